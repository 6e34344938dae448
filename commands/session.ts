/** Opens what a config names: mode, models, tokenizer and rows. Shared by train and eval. */
import { loadDataset, type LoadedData, type TokenizedDataset } from "../data/load.ts";
import type { TextTokenizer } from "../data/tokenizer.ts";
import { withMismatched } from "../data/mismatched.ts";
import { withoutRows } from "../data/without_rows.ts";
import type { LossMode, Needs, Options } from "../losses/loss_mode.ts";
import { ModeError } from "../losses/mode_error.ts";
import { readOptions } from "../losses/options.ts";
import { type PairLossChoice, pairLossNamed } from "../losses/pair_loss.ts";
import { pairLosses } from "../losses/pair_losses.ts";
import {
  type Adapter,
  ADAPTER_CONFIG,
  isAdapterFolder,
  readAdapter,
} from "../model/adapter_files.ts";
import type { TokenizedExample } from "../model/engine.ts";
import { findGgufFile } from "../model/gguf/model_file.ts";
import { packedLength, scoredLength } from "../model/pack.ts";
import { builtInModes, loadMode } from "../modes/mod.ts";
import type { Sink } from "../report/events.ts";
import {
  KEYS_BESIDE_OPTIONS,
  parseConfig,
  type ParsedConfig,
  type TrainingSettings,
  trainingSettings,
} from "../trainer/config.ts";
import { ConfigError } from "../trainer/error.ts";
import { modifierProblem, runNeeds } from "../trainer/needs.ts";
import { askedExamples } from "../trainer/score_set.ts";
import { pairLossShadow, type Shadow, shadowProblem } from "../trainer/shadow.ts";
import { dataSources } from "./data_source.ts";
import { findConfig, findInput } from "./find_config.ts";
import type { HubInputs } from "./hub_pins.ts";
import {
  adaptedModel,
  modelDir,
  type ModelSource,
  openTemplate,
  openTokenizer,
  pretrainedModel,
  randomModel,
  toPath,
} from "./model_source.ts";

export interface Session {
  readonly parsed: ParsedConfig;
  /** Name of the config file without folder and ending. */
  readonly configName: string;
  readonly settings: TrainingSettings;
  readonly mode: LossMode;
  readonly modeOptions: Options;
  readonly lossTypes: readonly PairLossChoice[];
  /** What the run provides for the mode, its pair losses and the modifiers in `settings`. */
  readonly needs: Needs;
  /** Modes and pair losses that look on in training. */
  readonly shadows: readonly Shadow[];
  readonly policy: ModelSource;
  /** What the policy's adapters start from; absent: from nothing, or there are none. */
  readonly adapter?: Adapter;
  /** Absent when the mode needs no reference; `policy` itself when both are the same weights. */
  readonly reference?: ModelSource;
  readonly tokenizer: TextTokenizer;
  readonly data: LoadedData;
  /** Where names of the Hub lie. */
  readonly hub: HubInputs;
}

/** Closes the files of a session. */
export function closeSession({ policy, reference, data }: Session): void {
  policy.close();
  if (reference !== policy) reference?.close();
  data.close();
}

/** What a session is opened with. */
export interface SessionRequest {
  /** `--config`. */
  readonly config: string;
  readonly overrides: readonly string[];
  /** A model folder to evaluate instead of the config's policy. */
  readonly model?: string;
  readonly events: Sink;
  /** Training rows that are left out. */
  readonly excludedRows?: readonly number[];
  /** Where large compressed data is unpacked; absent: in memory. */
  readonly cacheFolder?: string;
  /** Where names of the Hub lie; absent: every name is a path. */
  readonly hub?: HubInputs;
  /** Finds modes by name; absent: as they are, nobody looks after their calls. */
  readonly loadMode?: typeof loadMode;
}

/** Reads and checks everything but weight values, so that bad input is found before any work. */
export async function openSession(request: SessionRequest): Promise<Session> {
  const place = await findConfig(request.config);
  const file = toPath(place);
  const parsed = parseConfig(await Deno.readTextFile(place), {
    file,
    overrides: request.overrides,
  });
  const { config } = parsed;
  const notice = (text: string) => request.events.accept({ type: "notice", text });
  parsed.notices.forEach(notice);
  const settings = trainingSettings(config, parsed.mode);
  const { mode, modeOptions, lossTypes, shadows, needs } = await openMode(
    parsed,
    settings,
    request.loadMode ?? loadMode,
  );

  const hub = request.hub ?? {};
  const policyDir = await modelDir(request.model ?? config.policy_name, "policy_name", hub);
  const random = config.init === "random" && request.model === undefined;
  const adapted = request.model !== undefined && isAdapterFolder(policyDir);
  const baseDir = adapted ? await modelDir(config.policy_name, "policy_name", hub) : policyDir;
  const base = random ? randomModel(baseDir, settings.dataSeed) : pretrainedModel(baseDir);
  const policy = adapted ? adaptedModel(policyDir, base) : base;
  policy.notices.forEach(notice);
  const reference = needs.reference === "none"
    ? undefined
    : await openReference(config.ref_name ?? config.policy_name, policy, { random, hub });
  const adapter = settings.lora?.from === undefined
    ? undefined
    : readAdapter(await adapterDir(settings.lora.from, hub), policy.config);
  adapter?.notices.forEach(notice);
  const tokenizer = openTokenizer(base);
  const data = await openData(parsed, settings, needs, {
    tokenizer,
    contextLength: Math.min(
      policy.config.maxPositionEmbeddings,
      reference?.config.maxPositionEmbeddings ?? Infinity,
    ),
    events: request.events,
    excludedRows: request.excludedRows ?? [],
    cacheFolder: request.cacheFolder,
    hub,
  });
  const configName = file.split(/[\\/]/).at(-1)!.replace(/\.ya?ml$/, "");
  return {
    parsed,
    configName,
    settings,
    mode,
    modeOptions,
    lossTypes,
    needs,
    shadows,
    policy,
    adapter,
    reference,
    tokenizer,
    data,
    hub,
  };
}

async function adapterDir(name: string, hub: HubInputs): Promise<string> {
  const place = await findInput(name) ?? hub[name]?.path;
  if (place !== undefined && isAdapterFolder(toPath(place))) return toPath(place);
  throw new ConfigError(
    `Cannot find the adapter "${name}" of "lora.adapter_name_or_path": ` +
      (place === undefined ? "there is no such folder" : `it has no ${ADAPTER_CONFIG}`),
  );
}

async function openMode(
  parsed: ParsedConfig,
  settings: TrainingSettings,
  load: typeof loadMode,
) {
  try {
    const mode = await load(parsed.mode);
    const config = parsed.config as unknown as Record<string, unknown>;
    const modeOptions = readOptions(
      mode.name,
      mode.options,
      config,
      KEYS_BESIDE_OPTIONS[mode.name],
    );
    const lossTypes = settings.lossTypes.map((type, i): PairLossChoice => ({
      type,
      weight: settings.lossWeights[i],
      // Options of pair losses have no section: each is read at its place beside loss_type.
      options: readOptions("", pairLossNamed(type).options, config),
    }));
    const shadows = await openShadows(parsed, lossTypes, load);
    const accumulation = settings.gradientAccumulation;
    const request = { mode, modeOptions, lossTypes, modifiers: settings.modifiers };
    const modifier = modifierProblem(request);
    if (modifier) throw parsed.problem(modifier.key, modifier.text);
    const problem = shadowProblem({ ...request, shadows, accumulation });
    if (problem) throw parsed.problem("shadow", problem);
    return { mode, modeOptions, lossTypes, shadows, needs: runNeeds(request) };
  } catch (error) {
    if (error instanceof ModeError && error.path) throw parsed.problem(error.path, error.message);
    throw error;
  }
}

/** What `shadow` names: a mode that comes with the program, a pair loss, or a file in modes/. */
async function openShadows(
  parsed: ParsedConfig,
  lossTypes: readonly PairLossChoice[],
  load: typeof loadMode,
): Promise<Shadow[]> {
  const config = parsed.config as unknown as Record<string, unknown>;
  const shadows: Shadow[] = [];
  for (const name of [parsed.config.shadow ?? []].flat()) {
    const loss = pairLosses.find((known) => known.name === name);
    if (loss && !builtInModes.includes(name)) {
      shadows.push(pairLossShadow(name, readOptions("", loss.options, config)));
      continue;
    }
    const mode = await load(name).catch((error) => {
      if (!(error instanceof ModeError)) throw error;
      const names = pairLosses.map((known) => known.name).join(", ");
      const known = error.message.startsWith("Unknown") ? `; pair losses are ${names}` : "";
      throw new ModeError(error.message + known, { path: "shadow", cause: error });
    });
    const options = readOptions(name, mode.options, config, KEYS_BESIDE_OPTIONS[name]);
    shadows.push({ name, mode, options, lossTypes });
  }
  return shadows;
}

/** The reference; the very same folder is opened once, and its weights are loaded once. */
async function openReference(
  name: string,
  policy: ModelSource,
  { random, hub }: { readonly random: boolean; readonly hub: HubInputs },
): Promise<ModelSource> {
  const dir = await modelDir(name, "ref_name", hub);
  const place = findGgufFile(dir) ?? dir;
  if (!random && await Deno.realPath(place) === await Deno.realPath(policy.place)) return policy;
  const reference = pretrainedModel(dir);
  if (reference.config.vocabSize !== policy.config.vocabSize) {
    throw new ConfigError(
      `The reference "${dir}" has a vocabulary of ${reference.config.vocabSize}, the policy ` +
        `"${policy.dir}" of ${policy.config.vocabSize}: both must use one tokenizer`,
    );
  }
  return reference;
}

async function openData(
  parsed: ParsedConfig,
  settings: TrainingSettings,
  { rows, extra }: Needs,
  context: {
    tokenizer: TextTokenizer;
    contextLength: number;
    events: Sink;
    excludedRows: readonly number[];
    cacheFolder?: string;
    hub: HubInputs;
  },
): Promise<LoadedData> {
  const { dataset } = parsed.config;
  const { parts, validation } = await dataSources(parsed, context.hub);
  const all = await loadDataset({
    source: parts,
    validation,
    cacheFolder: context.cacheFolder,
    use: rows,
    form: dataset.generated_data ? "explicit" : "auto",
    valRatio: dataset.val_ratio,
    seed: settings.dataSeed,
    tokenizer: context.tokenizer,
    chatTemplate: await openTemplate(dataset.chat_template, context.tokenizer),
    limits: {
      maxPromptLength: settings.maxPromptLength,
      maxCompletionLength: settings.maxCompletionLength,
      maxLength: settings.maxLength,
      truncationMode: settings.truncationMode,
      contextLength: context.contextLength,
    },
    onProgress: (done, total) =>
      context.events.accept({ type: "progress", what: "Reading rows", done, total }),
  });
  const loaded = withoutRows(all, context.excludedRows);
  if (extra !== "mismatched") return loaded;
  const longest = Math.min(settings.maxLength, context.contextLength);
  const view = (dataset: TokenizedDataset): TokenizedDataset => ({
    text: (i) => dataset.text(i),
    ...withMismatched(dataset, longest),
  });
  return { ...loaded, train: view(loaded.train), validation: view(loaded.validation) };
}

/**
 * Most tokens and scored tokens that any `rows` examples, and any single sequence set that a model is
 * asked for, can have.
 */
export function largestSets(
  datasets: readonly { readonly length: number; get(i: number): TokenizedExample }[],
  rows: number,
  { sharePrompt, needs }: { readonly sharePrompt: boolean; readonly needs: Needs },
): { tokens: number; scored: number; leastTokens: number; leastScored: number } {
  const tokens: number[] = [], scored: number[] = [];
  let leastTokens = 0, leastScored = 0;
  for (const dataset of datasets) {
    for (let i = 0; i < dataset.length; i++) {
      const asked = askedExamples([dataset.get(i)], needs);
      const sizes = asked.map((example) => packedLength(example, sharePrompt));
      const counts = asked.map(scoredLength);
      tokens.push(sizes.reduce((sum, size) => sum + size, 0));
      scored.push(counts.reduce((sum, count) => sum + count, 0));
      leastTokens = Math.max(leastTokens, ...sizes);
      leastScored = Math.max(leastScored, ...counts);
    }
  }
  const top = (values: number[]) =>
    values.sort((a, b) => b - a).slice(0, rows).reduce((sum, value) => sum + value, 0);
  const sums = { tokens: top(tokens), scored: top(scored) };
  return { ...sums, leastTokens, leastScored };
}
