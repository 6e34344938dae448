/**
 * Adapters as folders of PEFT: `adapter_config.json` and `adapter_model.safetensors`. Not what an adapter
 * is (`lora.ts`).
 */
import { createHash } from "node:crypto";
import type { Architecture } from "./architecture.ts";
import { firstNonFinite } from "./dtype.ts";
import { attemptWrite, parentOf, removeTree, syncFolder, writeSynced } from "./durable_file.ts";
import type { NamedTensor } from "./engine.ts";
import { ModelError, quoted } from "./error.ts";
import {
  adapterList,
  adapterNames,
  linearModules,
  type LoraSettings,
  storedRank,
  withRank,
} from "./lora.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { SafetensorsWriter } from "./safetensors_write.ts";
import { isJsonObject, type JsonObject, readJsonObject } from "./strict_json.ts";

export const ADAPTER_CONFIG = "adapter_config.json";
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";
/** PEFT wraps the model twice. */
const PREFIX = "base_model.model.";

/** An adapter as read from a folder. */
export interface Adapter {
  readonly dir: string;
  /** Its target modules are whole names. */
  readonly settings: LoraSettings;
  /** What it says it was trained on; may be a path that is not here. */
  readonly baseModel: string | undefined;
  readonly notices: readonly string[];
  /** Identifies its values and what they are multiplied by: a sha256. */
  readonly identity: string;
  /** A tensor by the name of `adapterList`, [rank, in] or [out, rank]. */
  tensor(name: string): Float32Array<ArrayBuffer>;
}

/** Fields that change what an adapter does, with the values that mean nothing special. */
const PLAIN: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ["LORA"],
  bias: ["none"],
  use_dora: [false],
  lora_bias: [false],
  layer_replication: [null],
  alora_invocation_tokens: [null],
  use_qalora: [false],
  use_bdlora: [null, false],
  eva_config: [null],
  corda_config: [null],
  loftq_config: [null, {}],
  arrow_config: [null],
  megatron_config: [null],
  rank_pattern: [null, {}],
  alpha_pattern: [null, {}],
  modules_to_save: [null, []],
  trainable_token_indices: [null],
  target_parameters: [null, []],
  exclude_modules: [null, []],
  layers_to_transform: [null],
};

/** Whether a folder holds an adapter. */
export function isAdapterFolder(dir: string): boolean {
  try {
    return Deno.statSync(`${dir}/${ADAPTER_CONFIG}`).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

/**
 * Reads an adapter for a model.
 *
 * @throws ModelError naming file and field or tensor: a kind of adapter that is not supported, an adapter
 * of another model, a rank that its tensors do not have, a truncated or malformed file, values that are
 * not finite
 */
export function readAdapter(dir: string, config: Architecture): Adapter {
  const path = `${dir}/${ADAPTER_CONFIG}`;
  const raw = readJsonObject(path).value;
  const fail = (field: string, problem: string): never => {
    throw new ModelError(
      `Cannot use ${quoted(path)}: field ${quoted(field)} is ${quoted(raw[field])}: ${problem}`,
    );
  };
  checkPlain(raw, fail);
  const rank = raw.r, alpha = raw.lora_alpha;
  if (!Number.isInteger(rank) || (rank as number) < 1) fail("r", "it must be a positive integer");
  if (typeof alpha !== "number" || !(alpha > 0 && alpha < Infinity)) {
    fail("lora_alpha", "it must be a positive number");
  }
  const file = `${dir}/${ADAPTER_WEIGHTS}`;
  using store = SafetensorsFile.open(file);
  const settings: LoraSettings = {
    rank: rank as number,
    alpha: alpha as number,
    rankStabilized: raw.use_rslora === true,
    targetModules: modulesOf(store, config, file),
  };
  const tensors = new Map<string, Float32Array<ArrayBuffer>>();
  for (const { name, shape } of adapterList(config, settings, settings.rank)) {
    tensors.set(name, readTensor(store, file, name, shape));
  }
  const identity = createHash("sha256").update(JSON.stringify(settings));
  for (const values of tensors.values()) identity.update(new Uint8Array(values.buffer));
  const base = raw.base_model_name_or_path;
  const notices = typeof raw.lora_dropout === "number" && raw.lora_dropout > 0
    ? [`The adapter "${dir}" was trained with a dropout of ${raw.lora_dropout}; here it has none`]
    : [];
  return {
    dir,
    settings,
    baseModel: typeof base === "string" ? base : undefined,
    notices,
    identity: identity.digest("hex"),
    tensor: (name) => tensors.get(name)!,
  };
}

/** All tensors of an adapter as an engine stores them. */
export function storedTensors(config: Architecture, adapter: Adapter): NamedTensor[] {
  const { settings } = adapter, rank = storedRank(settings);
  return adapterList(config, settings, settings.rank).map((spec) => ({
    name: spec.name,
    shape: spec.shape,
    data: withRank(spec, adapter.tensor(spec.name), rank),
  }));
}

function checkPlain(raw: JsonObject, fail: (field: string, problem: string) => never): void {
  if (raw.peft_type === undefined) fail("peft_type", 'it must be "LORA"');
  for (const [field, allowed] of Object.entries(PLAIN)) {
    const value = raw[field];
    if (value === undefined) continue;
    const empty = isJsonObject(value) && Object.keys(value).length === 0;
    const text = JSON.stringify(value);
    if (empty || allowed.some((one) => JSON.stringify(one) === text)) continue;
    fail(field, `only ${allowed.map((one) => JSON.stringify(one)).join(" or ")} is supported`);
  }
}

/** The modules that the file has matrices of; each must be one of the model's. */
function modulesOf(store: SafetensorsFile, config: Architecture, file: string): string[] {
  const known = new Set(linearModules(config).map(({ name }) => name));
  const modules = new Set<string>();
  for (const tensor of store.tensors.keys()) {
    const match = /^base_model\.model\.(.+)\.lora_[AB]\.weight$/.exec(tensor);
    if (match === null || !known.has(match[1])) {
      throw new ModelError(
        `Cannot use ${quoted(file)}: tensor ${
          quoted(tensor)
        } belongs to no linear module of this ` +
          `${config.modelType} model; it is an adapter of another model, or of a kind that is not ` +
          "supported",
      );
    }
    modules.add(match[1]);
  }
  if (modules.size === 0) throw new ModelError(`Cannot use ${quoted(file)}: it has no tensors`);
  // The model's order, whatever the file's.
  return [...known].filter((name) => modules.has(name));
}

function readTensor(
  store: SafetensorsFile,
  file: string,
  name: string,
  shape: readonly number[],
): Float32Array<ArrayBuffer> {
  const entry = store.tensors.get(PREFIX + name);
  if (entry === undefined) {
    throw new ModelError(`Cannot use ${quoted(file)}: tensor ${quoted(PREFIX + name)} is missing`);
  }
  if (String(entry.shape) !== String(shape)) {
    throw new ModelError(
      `Cannot use ${quoted(file)}: tensor ${quoted(PREFIX + name)} has shape ` +
        `${quoted(entry.shape)}, the model and "r" ask for ${quoted(shape)}`,
    );
  }
  const data = store.readF32(PREFIX + name);
  const bad = firstNonFinite(data);
  if (bad < 0) return data;
  throw new ModelError(
    `Cannot use ${quoted(file)}: tensor ${quoted(PREFIX + name)} has ${data[bad]} at index ${bad}`,
  );
}

/** What `writeAdapter` needs. */
export interface AdapterToWrite {
  readonly config: Architecture;
  readonly settings: LoraSettings;
  /** Folder or name of the base model. */
  readonly baseModel: string;
  /** All tensors of `adapterList`, as stored on the GPU. */
  readonly tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>;
  readonly extraFiles?: Readonly<Record<string, string>>;
}

/**
 * Writes an adapter folder that PEFT loads; whole or absent.
 *
 * @throws ModelError naming a tensor that is not finite; Error naming the path when the file system refuses
 */
export async function writeAdapter(outDir: string, adapter: AdapterToWrite): Promise<void> {
  const { config, settings, baseModel } = adapter;
  const partial = `${outDir}.partial`, file = `${partial}/${ADAPTER_WEIGHTS}`;
  const specs = adapterList(config, settings, settings.rank)
    .map(({ name, shape }) => ({ name: PREFIX + name, shape, dtype: "F32" as const }));
  attemptWrite(partial, () => {
    removeTree(partial);
    Deno.mkdirSync(partial, { recursive: true });
  });
  using writer = new SafetensorsWriter(file, specs);
  for await (const tensor of adapter.tensors) {
    const data = withRank(tensor, tensor.data, settings.rank), bad = firstNonFinite(data);
    if (bad >= 0) {
      throw new ModelError(
        `Cannot write ${quoted(file)}: tensor ${quoted(tensor.name)} has ${
          data[bad]
        } at index ${bad}`,
      );
    }
    writer.write(PREFIX + tensor.name, data);
  }
  writer.finish();
  const files = {
    ...adapter.extraFiles,
    [ADAPTER_CONFIG]: JSON.stringify(peftConfig(config, settings, baseModel), null, 2) + "\n",
  };
  for (const [name, text] of Object.entries(files)) {
    writeSynced(`${partial}/${name}`, new TextEncoder().encode(text));
  }
  attemptWrite(outDir, () => {
    syncFolder(partial);
    Deno.renameSync(partial, outDir);
    syncFolder(parentOf(outDir));
  });
}

function peftConfig(config: Architecture, settings: LoraSettings, baseModel: string) {
  const { rank, alpha, rankStabilized, targetModules } = settings;
  const layer = Object.values(config.names.layer) as string[];
  const all = linearModules(config).map(({ name }) => layer.find((part) => name.endsWith(part))!);
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    use_rslora: rankStabilized,
    use_dora: false,
    bias: "none",
    // GPT-2 keeps its matrices transposed.
    fan_in_fan_out: config.names.transposed === true,
    target_modules: targetModules === "all-linear" ? [...new Set(all)] : targetModules,
    modules_to_save: null,
    inference_mode: true,
    init_lora_weights: true,
  };
}

/** Adds scale B A to a matrix [out, in], or to [in, out] where it is transposed; in float64. */
export function mergeAdapter(
  weight: Float32Array,
  module: string,
  adapter: Pick<Adapter, "settings" | "tensor">,
  { scale, transposed }: { readonly scale: number; readonly transposed: boolean },
): Float32Array<ArrayBuffer> {
  const { rank } = adapter.settings, names = adapterNames(module);
  const a = adapter.tensor(names.a), b = adapter.tensor(names.b);
  const inputs = a.length / rank, outputs = b.length / rank;
  const merged = Float32Array.from(weight);
  const row = new Float64Array(inputs);
  for (let o = 0; o < outputs; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * b[o * rank + r];
      const begin = r * inputs;
      for (let i = 0; i < inputs; i++) row[i] += factor * a[begin + i];
    }
    const [start, step] = transposed ? [o, outputs] : [o * inputs, 1];
    for (let i = 0; i < inputs; i++) merged[start + i * step] = weight[start + i * step] + row[i];
  }
  return merged;
}
