/**
 * Reading a model from a Hugging Face folder or a GGUF file, everything checked against its
 * `config.json`, which a GGUF file says in other words.
 */
import { firstNonFinite } from "./dtype.ts";
import { ModelError, quoted, readingError } from "./error.ts";
import type { Architecture } from "./architecture.ts";
import { parseArchitecture } from "./parse_architecture.ts";
import { findGgufFile, openGgufModel } from "./gguf/model_file.ts";
import { READABLE } from "./gguf/tensor_types.ts";
import type { GgufMetadata } from "./gguf/value_types.ts";
import { parameterList, type ParameterSpec } from "./param_table.ts";
import type { TensorStore } from "./safetensors.ts";
import { elementCount } from "./safetensors_header.ts";
import { openSafetensorsFolder } from "./safetensors_folder.ts";
import { readJsonObject } from "./strict_json.ts";

export { type ModelToWrite, type Precision, writeModelFolder } from "./model_folder_write.ts";

/** A checked model folder; weights are read on demand. */
export interface ModelFolder extends Disposable {
  /** The folder, also that of a GGUF file. */
  readonly dir: string;
  readonly config: Architecture;
  /** Text of `config.json`, for `writeModelFolder`. */
  readonly configText: string;
  readonly parameters: readonly ParameterSpec[];
  readonly parameterCount: number;
  /** Element types of the stored parameters as their file calls them, sorted. */
  readonly dtypes: readonly string[];
  /** Names of the files with weights in `dir`, sorted. */
  readonly weightFiles: readonly string[];
  /** Metadata of a GGUF file; absent for a folder. */
  readonly gguf?: GgufMetadata;
  /** Files beside weights and config that belong to the model (tokenizer, generation settings). */
  readonly companions: readonly string[];
  /** What was ignored, one sentence each. */
  readonly notices: readonly string[];
  /**
   * Values of a parameter as float32, row-major; `rowFrom .. rowTo` of its first dimension (default
   * all).
   *
   * @throws ModelError naming tensor and index when a value is NaN or infinite
   */
  readParameter(name: string, rowFrom?: number, rowTo?: number): Float32Array<ArrayBuffer>;
  close(): void;
}

/** Everything `transformers` may want beside config and weights. */
const COMPANIONS = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
];

/** Tensors that old files carry although they follow from the config. */
const IGNORABLE = /(^|\.)(rotary_emb\.inv_freq|self_attn\.bias|(attn|attention)\.(masked_)?bias)$/;

/** Values compared at once when a tied head is stored too. */
const COMPARE_VALUES = 4 * 1024 * 1024;

/**
 * Opens a model: a folder with `config.json`, a GGUF file, or a folder with one. The config is checked,
 * and names, shapes and types of all weights against it. Weight values are not read yet.
 *
 * @throws ModelError naming file and field or tensor
 */
export function openModelFolder(place: string): ModelFolder {
  const gguf = findGgufFile(place);
  if (gguf !== undefined) return openGguf(gguf);
  checkIsFolder(place);
  const configText = readJsonObject(`${place}/config.json`).text;
  const config = parseArchitecture(configText, `${place}/config.json`);
  const store = openSafetensorsFolder(place);
  const weightFiles = [...Deno.readDirSync(place)].map(({ name }) => name)
    .filter((name) => name.endsWith(".safetensors")).sort();
  return describeFolder({ dir: place, config, configText, weightFiles }, store);
}

function openGguf(path: string): ModelFolder {
  const { dir, configText, store, metadata } = openGgufModel(path);
  try {
    const config = parseArchitecture(configText, path);
    const weightFiles = [path.replace(/^.*[/\\]/, "")];
    return describeFolder({ dir, config, configText, weightFiles, gguf: metadata }, store);
  } catch (error) {
    store.close();
    throw error;
  }
}

/** What a model is described by, checked against its weights; they are closed when they do not fit. */
function describeFolder(
  facts: Pick<ModelFolder, "dir" | "config" | "configText" | "weightFiles" | "gguf">,
  store: TensorStore,
): ModelFolder {
  const { dir, config } = facts;
  try {
    const parameters = parameterList(config);
    const notices = checkTensors(parameters, config, store, dir);
    const known = new Set(parameters.map(({ name }) => name));
    const stored = storedNames(config, store);
    const close = () => store.close();
    return {
      ...facts,
      parameters,
      parameterCount: parameters.reduce((n, { shape }) => n + elementCount(shape), 0),
      dtypes: [...new Set(parameters.map(({ name }) => store.tensors.get(stored(name))!.dtype))]
        .sort(),
      companions: COMPANIONS.filter((name) => isFile(`${dir}/${name}`)),
      notices,
      readParameter(name, rowFrom = 0, rowTo) {
        if (!known.has(name)) {
          throw new ModelError(`Cannot read ${quoted(dir)}: the model has no ${quoted(name)}`);
        }
        const values = store.readF32(stored(name), rowFrom, rowTo);
        refuseNonFinite(values, stored(name), store, rowFrom);
        return values;
      },
      close,
      [Symbol.dispose]: close,
    };
  } catch (error) {
    store.close();
    throw error;
  }
}

/**
 * Under which name a parameter is stored: files of a model without its head, as some of GPT-2 are, leave
 * out what all other names begin with ("transformer."); transformers takes both, and so does this.
 */
function storedNames({ names }: Architecture, store: TensorStore): (name: string) => string {
  const embedding = `${names.embedding}.weight`, prefix = embedding.replace(/\..*$/, ".");
  const isBare = !store.tensors.has(embedding) && store.tensors.has(embedding.slice(prefix.length));
  return (name) => isBare && name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

/** Compares stored tensors with the parameters the config asks for; returns notices. */
function checkTensors(
  parameters: readonly ParameterSpec[],
  config: Architecture,
  store: TensorStore,
  dir: string,
): string[] {
  const head = `${config.names.head}.weight`;
  const stored = storedNames(config, store);
  for (const { name, shape } of parameters) {
    const entry = store.tensors.get(stored(name));
    if (entry === undefined) {
      const hint = name === head ? "; if it shares the embedding, set tie_word_embeddings" : "";
      throw new ModelError(
        `Cannot read the weights of ${quoted(dir)}: tensor ${quoted(name)} ${quoted(shape)}, ` +
          `which config.json asks for, is missing${hint}`,
      );
    }
    checkShapeAndType(stored(name), shape, store);
  }
  const known = new Set(parameters.map(({ name }) => stored(name)));
  const notices: string[] = [];
  let ignored = 0;
  for (const name of store.tensors.keys()) {
    if (known.has(name)) continue;
    if (name === head && config.tieWordEmbeddings) checkTiedHead(config, store);
    else if (IGNORABLE.test(name)) ignored++;
    else {
      throw new ModelError(
        `Cannot read ${quoted(store.fileOf(name))}: tensor ${
          quoted(name)
        } is not part of the model ` +
          `that config.json describes`,
      );
    }
  }
  if (ignored > 0) {
    notices.push(`Ignored ${ignored} stored tensors of "${dir}" that follow from config.json`);
  }
  return notices;
}

function checkShapeAndType(name: string, shape: readonly number[], store: TensorStore): void {
  const entry = store.tensors.get(name)!;
  if (entry.shape.length !== shape.length || entry.shape.some((n, i) => n !== shape[i])) {
    throw new ModelError(
      `Cannot read ${quoted(store.fileOf(name))}: tensor ${quoted(name)} has shape ` +
        `${quoted(entry.shape)}, config.json asks for ${quoted(shape)}`,
    );
  }
  const { dtype } = entry;
  if (dtype !== "F64" && !(READABLE as readonly string[]).includes(dtype)) {
    throw new ModelError(
      `Cannot read ${quoted(store.fileOf(name))}: tensor ${quoted(name)} has dtype ${dtype}, ` +
        `supported are F32, F16, BF16 and F64`,
    );
  }
}

/**
 * A tied model may store its head a second time, if it is the same. If not, readers disagree on what
 * the model is (some tie, some do not), so the user has to say.
 */
function checkTiedHead(config: Architecture, store: TensorStore): void {
  const head = `${config.names.head}.weight`;
  const stored = storedNames(config, store)(`${config.names.embedding}.weight`);
  const shape = [config.vocabSize, config.hiddenSize];
  checkShapeAndType(head, shape, store);
  const step = Math.max(1, Math.floor(COMPARE_VALUES / config.hiddenSize));
  for (let row = 0; row < config.vocabSize; row += step) {
    const end = Math.min(row + step, config.vocabSize);
    const own = new Uint32Array(store.readF32(head, row, end).buffer);
    const embedding = new Uint32Array(store.readF32(stored, row, end).buffer);
    const differs = own.findIndex((bits, i) => bits !== embedding[i]);
    if (differs < 0) continue;
    throw new ModelError(
      `Cannot read ${quoted(store.fileOf(head))}: config.json says tie_word_embeddings, but ` +
        `${quoted(head)} differs from ${quoted(stored)} in row ` +
        `${row + Math.floor(differs / config.hiddenSize)}; remove the one or the other`,
    );
  }
}

function refuseNonFinite(
  values: Float32Array,
  name: string,
  store: TensorStore,
  rowFrom: number,
): void {
  const at = firstNonFinite(values);
  if (at < 0) return;
  const rowLength = elementCount(store.tensors.get(name)!.shape.slice(1));
  throw new ModelError(
    `Cannot use ${quoted(store.fileOf(name))}: tensor ${quoted(name)} has ${values[at]} at index ` +
      `${rowFrom * rowLength + at}`,
  );
}

function checkIsFolder(dir: string): void {
  try {
    if (!Deno.statSync(dir).isDirectory) {
      throw new ModelError(`Cannot read the model ${quoted(dir)}: it is not a folder`);
    }
  } catch (error) {
    throw readingError(dir, error);
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
