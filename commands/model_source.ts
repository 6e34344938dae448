/** A model named in the config: its folder, tokenizer and weights, or random weights of its shape. */
import { createHash } from "node:crypto";
import type { ChatRenderer } from "../data/chat_template.ts";
import { chooseTemplate } from "../data/named_templates.ts";
import { loadTokenizer, type TextTokenizer } from "../data/tokenizer.ts";
import type { Gpu } from "../gpu/device.ts";
import { readAdapter, storedTensors } from "../model/adapter_files.ts";
import { ModelError } from "../model/error.ts";
import { LlamaEngine, type LlamaOptions } from "../model/llama.ts";
import type { Architecture } from "../model/architecture.ts";
import { parseArchitecture } from "../model/parse_architecture.ts";
import { type ModelFolder, openModelFolder } from "../model/model_folder.ts";
import { initParameter, parameterList } from "../model/param_table.ts";
import { ConfigError } from "../trainer/error.ts";
import { findInput } from "./find_config.ts";
import type { HubInputs } from "./hub_pins.ts";

export interface ModelSource {
  /** Path of the folder. */
  readonly dir: string;
  readonly config: Architecture;
  /** Text of `config.json`. */
  readonly configText: string;
  /** Paths of the files that belong to the model beside its weights and config. */
  readonly companions: readonly string[];
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

/** A model with the weights of its folder. */
export function pretrainedModel(dir: string): ModelSource {
  const folder = openModelFolder(dir);
  const parameter = (name: string) => folder.readParameter(name);
  let hash: string | undefined;
  return {
    ...common(dir, folder.config, folder.configText, folder.companions),
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
  const configText = readText(`${dir}/config.json`);
  const config = parseArchitecture(configText, `${dir}/config.json`);
  const names = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
  ].filter((name) => optionalText(`${dir}/${name}`) !== undefined);
  const specs = new Map(parameterList(config).map((spec) => [spec.name, spec]));
  const parameter = (name: string) => initParameter(specs.get(name)!, { seed });
  return {
    ...common(dir, config, configText, names),
    notices: [],
    identity: () => `random ${seed} ${createHash("sha256").update(configText).digest("hex")}`,
    load: (gpu, options) => LlamaEngine.create(gpu, config, options, parameter),
    parameter,
    close: () => {},
  };
}

function common(dir: string, config: Architecture, configText: string, names: readonly string[]) {
  return { dir, config, configText, companions: names.map((name) => `${dir}/${name}`) };
}

/** The tokenizer of a model folder. */
export function openTokenizer(dir: string): TextTokenizer {
  return loadTokenizer({
    name: dir,
    tokenizer: readText(`${dir}/tokenizer.json`),
    config: optionalText(`${dir}/tokenizer_config.json`),
    specialTokensMap: optionalText(`${dir}/special_tokens_map.json`),
    chatTemplate: optionalText(`${dir}/chat_template.jinja`),
  });
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

/** sha256 over names and bytes of the folder's weight files. */
function hashWeights(folder: ModelFolder): string {
  const hash = createHash("sha256").update(folder.configText);
  const names = [...Deno.readDirSync(folder.dir)].map((entry) => entry.name)
    .filter((name) => name.endsWith(".safetensors")).sort();
  const block = new Uint8Array(2 ** 24);
  for (const name of names) {
    hash.update(name);
    using file = Deno.openSync(`${folder.dir}/${name}`);
    for (let n = file.readSync(block); n !== null; n = file.readSync(block)) {
      hash.update(block.subarray(0, n));
    }
  }
  return hash.digest("hex");
}
