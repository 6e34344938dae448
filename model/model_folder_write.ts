/** Writing a model as a Hugging Face folder that is whole or absent. */
import type { NamedTensor } from "./engine.ts";
import { firstNonFinite, type StoredDtype } from "./dtype.ts";
import { attemptWrite, parentOf, removeTree, syncFolder, writeSynced } from "./durable_file.ts";
import { ModelError, quoted, readingError } from "./error.ts";
import { parseArchitecture } from "./parse_architecture.ts";
import { parameterList } from "./param_table.ts";
import { WeightsWriter } from "./safetensors_shards.ts";
import type { TensorSpec } from "./safetensors_write.ts";
import { parseStrictJson } from "./strict_json.ts";

/** Storage types of a written model, as the config spells them. */
export type Precision = "f32" | "fp16" | "bf16";

const DTYPES: Record<Precision, { stored: StoredDtype; torch: string }> = {
  f32: { stored: "F32", torch: "float32" },
  fp16: { stored: "F16", torch: "float16" },
  bf16: { stored: "BF16", torch: "bfloat16" },
};

/** What `writeModelFolder` needs. */
export interface ModelToWrite {
  /** Text of the source's `config.json`: its fields are kept as they are written. */
  readonly configText: string;
  readonly precision: Precision;
  /** Most bytes of tensor data in a file of weights; without it there is one file. */
  readonly maxShardBytes?: number;
  /** All parameters of the config, each once, in any order. */
  readonly tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>;
  /** Paths of files to copy under their own names: tokenizer, `generation_config.json`. */
  readonly filesToCopy?: readonly string[];
  /** Further small files by name, e.g. `mode_state.json`. */
  readonly extraFiles?: Readonly<Record<string, string>>;
}

/**
 * Writes a model folder that `openModelFolder` and `transformers` load: `config.json` with the dtype
 * brought up to date, `model.safetensors` or shards of it, the copied files. Everything is written and synced in
 * `<outDir>.partial`, then renamed: the folder is whole or absent.
 *
 * @throws ModelError: `outDir` exists and is not an empty folder, a tensor missing, unknown, of wrong
 * size, not finite, or too large for the precision; Error naming the path when the file system refuses
 */
export async function writeModelFolder(outDir: string, model: ModelToWrite): Promise<void> {
  const target = outDir.replace(/(?<=.)[/\\]+$/, "");
  refuseOccupied(target);
  const partial = `${target}.partial`;
  const { stored, torch } = DTYPES[model.precision];
  const config = parseArchitecture(model.configText, "config.json");
  const specs = parameterList(config).map(({ name, shape }) => ({ name, shape, dtype: stored }));
  try {
    attemptWrite(partial, () => {
      removeTree(partial);
      Deno.mkdirSync(partial, { recursive: true });
    });
    for (const path of model.filesToCopy ?? []) {
      writeSynced(`${partial}/${path.replace(/^.*[/\\]/, "")}`, readWhole(path));
    }
    for (const [name, text] of Object.entries(model.extraFiles ?? {})) {
      writeText(`${partial}/${name}`, text);
    }
    // After the copies, so that none of them can take the place of these two.
    await writeWeights(partial, specs, model);
    writeText(`${partial}/config.json`, withDtype(model.configText, torch));
    attemptWrite(target, () => {
      syncFolder(partial);
      // An empty folder in the way would stop the rename on some systems.
      removeEmptyFolder(target);
      Deno.renameSync(partial, target);
      syncFolder(parentOf(target));
    });
  } catch (error) {
    try {
      removeTree(partial);
    } catch {
      // The first error says what went wrong; the next run removes the leftover.
    }
    throw error;
  }
}

async function writeWeights(
  dir: string,
  specs: readonly TensorSpec[],
  { tensors, maxShardBytes = Infinity }: ModelToWrite,
): Promise<void> {
  using writer = new WeightsWriter(dir, specs, maxShardBytes);
  for await (const { name, data } of tensors) {
    const at = firstNonFinite(data);
    if (at >= 0) {
      throw new ModelError(
        `Cannot write ${quoted(dir)}: tensor ${quoted(name)} has ${data[at]} at index ${at}`,
      );
    }
    writer.write(name, data);
  }
  writer.finish();
}

/**
 * The text of a config with its dtype replaced (both spellings, `dtype` and `torch_dtype`, where
 * present; else `torch_dtype` is added). Numbers keep their spelling: transformers tells 1.0 from 1.
 */
function withDtype(text: string, torch: string): string {
  const config = parseStrictJson(text, "config.json") as Record<string, unknown>;
  const spellings = ["dtype", "torch_dtype"].filter((name) => Object.hasOwn(config, name));
  const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;
  const keepNumbers = (_key: string, value: unknown, context: { source: string }) =>
    typeof value === "number" ? rawJson(context.source) : value;
  const copy = JSON.parse(text, keepNumbers as (key: string, value: unknown) => unknown);
  for (const name of spellings.length > 0 ? spellings : ["torch_dtype"]) copy[name] = torch;
  return JSON.stringify(copy, null, 2) + "\n";
}

function refuseOccupied(dir: string): void {
  try {
    for (const _ of Deno.readDirSync(dir)) {
      throw new ModelError(`Cannot write ${quoted(dir)}: the folder is not empty; choose another`);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) {
      throw new ModelError(`Cannot write ${quoted(dir)}: a file is in the way; choose another`);
    }
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function removeEmptyFolder(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function readWhole(path: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    throw readingError(path, error);
  }
}

function writeText(path: string, text: string): void {
  writeSynced(path, new TextEncoder().encode(text));
}
