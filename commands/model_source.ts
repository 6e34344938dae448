/** A model named in the config: its folder, tokenizer and weights, or random weights of its shape. */
import { createHash } from "node:crypto";
import type { ChatRenderer } from "../data/chat_template.ts";
import { tokenizerOfGguf } from "../data/gguf_tokenizer.ts";
import { chooseTemplate } from "../data/named_templates.ts";
import { loadTokenizer, type TextTokenizer, type TokenizerFiles } from "../data/tokenizer.ts";
import type { Gpu } from "../gpu/device.ts";
import { readAdapter, storedTensors } from "../model/adapter_files.ts";
import { ModelError } from "../model/error.ts";
import { LlamaEngine, type LlamaOptions } from "../model/llama.ts";
import type { Architecture } from "../model/architecture.ts";
import { parseArchitecture } from "../model/parse_architecture.ts";
import { findGgufFile } from "../model/gguf/model_file.ts";
import { readVocabulary } from "../model/gguf/vocabulary.ts";
import { type ModelFolder, openModelFolder } from "../model/model_folder.ts";
import { initParameter, parameterList } from "../model/param_table.ts";
import { ConfigError } from "../trainer/error.ts";
import { findInput } from "./find_config.ts";
import type { HubInputs } from "./hub_pins.ts";

export interface ModelSource {
  /** Path of the folder, also that of a GGUF file. */
  readonly dir: string;
  /** Path of what holds the model: the folder, or the GGUF file. */
  readonly place: string;
  readonly config: Architecture;
  /** Text of `config.json`. */
  readonly configText: string;
  /** Paths of the files that belong to the model beside its weights and config. */
  readonly companions: readonly string[];
  /** Files that a model folder has and this model has not, by name: the tokenizer of a GGUF file. */
  readonly ownFiles: Readonly<Record<string, string>>;
  readonly notices: readonly string[];
  /** Identifies the weights: a sha256. */
  identity(): string;
  /** The model on the GPU. */
  load(gpu: Gpu, options: LlamaOptions): Promise<LlamaEngine>;
  /** Its stored values as float32, for putting them back. */
  parameter(name: string, shape: readonly number[]): Float32Array;
  /** Closes the weight files. */
  close(): void;
}

/** The path of a model folder: as given, below the project, or in the cache of the Hub. */
export async function modelDir(
  name: string,
  key: string,
  hub: HubInputs = {},
): Promise<string> {
  const place = await findInput(name) ?? hub[name]?.path;
  if (place === undefined) {
    throw new ConfigError(
      `Cannot find the model "${name}" of "${key}": there is no such folder, and it is no ` +
        `name on the Hub (owner/name). Give the path of a folder with config.json, ` +
        `model.safetensors and tokenizer.json`,
    );
  }
  return toPath(place);
}

/** A file path of a path or URL. */
export function toPath(place: string | URL): string {
  if (typeof place === "string") return place;
  const path = decodeURIComponent(place.pathname);
  return Deno.build.os === "windows" ? path.slice(1) : path;
}

/** Runs `action`; the folder is closed when it throws. */
function closingOnError<T>(folder: ModelFolder, action: () => T): T {
  try {
    return action();
  } catch (error) {
    folder.close();
    throw error;
  }
}

/** A model with the weights of its folder or GGUF file. */
export function pretrainedModel(dir: string): ModelSource {
  const folder = openModelFolder(dir);
  const parameter = (name: string) => folder.readParameter(name);
  let hash: string | undefined;
  return {
    ...closingOnError(folder, () => common(folder)),
    notices: folder.notices,
    identity: () => hash ??= hashWeights(folder),
    load: (gpu, options) => LlamaEngine.create(gpu, folder.config, options, parameter),
    parameter,
    close: () => folder.close(),
  };
}

/**
 * A base model with an adapter over it: loaded with the base's weights frozen, and the adapter's values
 * put in.
 */
export function adaptedModel(dir: string, base: ModelSource): ModelSource {
  const adapter = readAdapter(dir, base.config);
  return {
    ...base,
    dir,
    place: dir,
    notices: [...base.notices, ...adapter.notices],
    identity: () => `${base.identity()} with adapter ${adapter.identity}`,
    async load(gpu, options) {
      // The seed is of no use: every value is put in.
      const engine = await base.load(gpu, { ...options, lora: { ...adapter.settings, seed: 0 } });
      await engine.restore(storedTensors(base.config, adapter));
      return engine;
    },
  };
}

/** A model of a folder's shape with random weights; the folder needs no weights. */
export function randomModel(dir: string, seed: number): ModelSource {
  const shape = shapeOf(dir);
  const { config, configText } = shape;
  const specs = new Map(parameterList(config).map((spec) => [spec.name, spec]));
  const parameter = (name: string) => initParameter(specs.get(name)!, { seed });
  return {
    ...shape,
    notices: [],
    identity: () => `random ${seed} ${createHash("sha256").update(configText).digest("hex")}`,
    load: (gpu, options) => LlamaEngine.create(gpu, config, options, parameter),
    parameter,
    close: () => {},
  };
}

type Common = Pick<
  ModelSource,
  "dir" | "place" | "config" | "configText" | "companions" | "ownFiles"
>;

function common(folder: ModelFolder): Common {
  const { dir, config, configText, companions, gguf, weightFiles } = folder;
  return {
    dir,
    place: gguf === undefined ? dir : `${dir}/${weightFiles[0]}`,
    config,
    configText,
    companions: companions.map((name) => `${dir}/${name}`),
    ownFiles: ownFilesOf(folder),
  };
}

/** What a model is besides its weights. */
function shapeOf(dir: string): Common {
  if (findGgufFile(dir) !== undefined) {
    using folder = openModelFolder(dir);
    return common(folder);
  }
  const configText = readText(`${dir}/config.json`);
  const config = parseArchitecture(configText, `${dir}/config.json`);
  const companions = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
  ].map((name) => `${dir}/${name}`).filter((path) => optionalText(path) !== undefined);
  return { dir, place: dir, config, configText, companions, ownFiles: {} };
}

/** The tokenizer in a GGUF file, as the files that it would be; none where they lie beside it. */
export function ownFilesOf(folder: ModelFolder): Record<string, string> {
  if (folder.gguf === undefined || folder.companions.includes("tokenizer.json")) return {};
  const { tokenizer, config } = tokenizerFiles(folder);
  return { "tokenizer.json": tokenizer, "tokenizer_config.json": config! };
}

/** The tokenizer files of a model, those in its folder or those that its GGUF file stands for. */
export function tokenizerFiles(
  { gguf, dir, weightFiles, companions }: ModelFolder,
): TokenizerFiles {
  if (gguf === undefined || companions.includes("tokenizer.json")) return filesIn(dir);
  const path = `${dir}/${weightFiles[0]}`;
  return tokenizerOfGguf(path, readVocabulary(gguf, path));
}

/** The tokenizer of a model. */
export function openTokenizer({ dir, place, ownFiles }: ModelSource): TextTokenizer {
  const own = ownFiles["tokenizer.json"];
  return loadTokenizer(
    own === undefined
      ? filesIn(dir)
      : { name: place, tokenizer: own, config: ownFiles["tokenizer_config.json"] },
  );
}

function filesIn(dir: string): TokenizerFiles {
  return {
    name: dir,
    tokenizer: readText(`${dir}/tokenizer.json`),
    config: optionalText(`${dir}/tokenizer_config.json`),
    specialTokensMap: optionalText(`${dir}/special_tokens_map.json`),
    chatTemplate: optionalText(`${dir}/chat_template.jinja`),
  };
}

/** The chat template that `dataset.chat_template` asks for; a file is looked for like a model. */
export async function openTemplate(
  setting: boolean | string,
  tokenizer: TextTokenizer,
): Promise<ChatRenderer | undefined> {
  const place = typeof setting === "string" ? await findInput(setting) : undefined;
  return chooseTemplate(
    setting,
    tokenizer,
    () => place === undefined ? undefined : Deno.readTextFileSync(place),
  );
}

function readText(path: string): string {
  const text = optionalText(path);
  if (text === undefined) throw new ModelError(`Cannot read "${path}": it does not exist`);
  return text;
}

function optionalText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** sha256 over the config, and names and bytes of the files with weights. */
function hashWeights(folder: ModelFolder): string {
  const hash = createHash("sha256").update(folder.configText);
  const block = new Uint8Array(2 ** 24);
  for (const name of folder.weightFiles) {
    hash.update(name);
    using file = Deno.openSync(`${folder.dir}/${name}`);
    for (let n = file.readSync(block); n !== null; n = file.readSync(block)) {
      hash.update(block.subarray(0, n));
    }
  }
  return hash.digest("hex");
}
