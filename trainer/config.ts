/** The configuration: YAML text to a checked, frozen config. */
import { stringify } from "@std/yaml";
import { pairLosses } from "../losses/pair_losses.ts";
import { ConfigError } from "./error.ts";
import {
  explainIssues,
  headOf,
  type Problem,
  problemsError,
  type Source,
} from "./config/explain.ts";
import { resolveMode } from "./config/mode.ts";
import {
  applyOverride,
  isMapping,
  type Mapping,
  put,
  readOverride,
  readYaml,
} from "./config/read_yaml.ts";
import { checkRelations } from "./config/relations.ts";
import {
  BUILT_IN_MODES,
  type Config,
  configSchema,
  FOREIGN_SECTIONS,
  KNOWN_KEYS,
} from "./config/schema.ts";
import { dpoTrainingSection, sftTrainingSection } from "./config/sections.ts";

export { type TrainingSettings, trainingSettings } from "./config/settings.ts";
export { type Config, configJsonSchema } from "./config/schema.ts";
export { KEYS_BESIDE_OPTIONS } from "./config/sections.ts";

/** Where a config comes from. */
export interface ConfigSource {
  /** Name of the file in messages. */
  readonly file: string;
  /** `--set` arguments, `section.key=value`, later ones win. */
  readonly overrides?: readonly string[];
  /** Names of modes beside the built-in ones whose sections may stand in the file unselected. */
  readonly modes?: readonly string[];
}

/** A config, and what the user should be told about it. */
export interface ParsedConfig {
  readonly config: Config;
  readonly mode: string;
  /** Remarks to print once; each is a sentence. */
  readonly notices: readonly string[];
  /** The config as used, with overrides and defaults, as YAML; reading it again gives the same. */
  readonly text: string;
  /** An error at a key (`"risk.scope"`) that a later check found, with file and line. */
  problem(key: string, text: string): ConfigError;
}

/**
 * Reads, checks and completes a config.
 *
 * @throws {ConfigError} One error that lists everything wrong, each with line, key and a hint
 */
export function parseConfig(text: string, from: ConfigSource): ParsedConfig {
  const overrides = (from.overrides ?? []).map(readOverride);
  const tree = readYaml(text, headOf(from.file));
  for (const override of overrides) applyOverride(tree, override);
  openEmptySections(tree);
  const source: Source = { file: from.file, text, overrides };

  const choice = resolveMode(tree);
  const { mode } = choice;
  const split = takeModeSections(tree, mode, [...BUILT_IN_MODES, ...from.modes ?? []]);
  const relations = checkRelations(tree, mode);
  const result = configSchema.safeParse(split.typed);
  const problems = firstOfEachKey([
    ...choice.problems,
    ...explainIssues(result.error?.issues ?? [], tree),
    ...split.problems,
    ...relations.problems,
  ]);
  if (!result.success || problems.length > 0) throw problemsError(problems, source);

  const config = complete(result.data, mode, split.raw);
  return {
    config,
    mode,
    notices: [...choice.notices, ...split.notices, ...relations.notices],
    text: stringify(config, { lineWidth: -1 }),
    problem: (key, words) => problemsError([{ path: key.split("."), text: words }], source),
  };
}

/** A key that is wrong in itself needs no word on how it stands to others. */
function firstOfEachKey(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ path }) => {
    const key = JSON.stringify(path);
    return !seen.has(key) && seen.add(key);
  });
}

/** `dpo_training:` with every line below it commented out is null in YAML; it means no settings. */
function openEmptySections(tree: Mapping): void {
  for (const name of [...KNOWN_KEYS.keys(), ...BUILT_IN_MODES]) {
    if (Object.hasOwn(tree, name) && tree[name] === null) put(tree, name, {});
  }
}

/** Shadows whose section is theirs: not those named like a pair loss or a key of the config. */
function shadowModes(tree: Mapping): string[] {
  return [tree.shadow].flat().filter((name): name is string =>
    typeof name === "string" &&
    (BUILT_IN_MODES.includes(name) ||
      !KNOWN_KEYS.get("")!.includes(name) && !pairLosses.some((loss) => loss.name === name))
  );
}

interface Split {
  /** What the schema checks. */
  readonly typed: Mapping;
  /** Sections, and keys of `beta_dpo`, that are left to the tables of the modes that run. */
  readonly raw: Mapping;
  readonly notices: string[];
  readonly problems: Problem[];
}

/** Parts the tree: what the schema knows, what belongs to the mode and its shadows, what belongs to other tools. */
function takeModeSections(tree: Mapping, mode: string, modes: readonly string[]): Split {
  const split: Split = { typed: {}, raw: {}, notices: [], problems: [] };
  const foreign: string[] = [];
  const read = [mode, ...shadowModes(tree)];
  const typedKeys = KNOWN_KEYS.get("beta_dpo")!;
  for (const [name, value] of Object.entries(tree)) {
    if (FOREIGN_SECTIONS.includes(name)) {
      foreign.push(`"${name}"`);
    } else if (name === "beta_dpo" && read.includes(name) && isMapping(value)) {
      const entries = Object.entries(value);
      put(
        split.typed,
        name,
        Object.fromEntries(entries.filter(([key]) => typedKeys.includes(key))),
      );
      put(split.raw, name, Object.fromEntries(entries.filter(([key]) => !typedKeys.includes(key))));
    } else if (name === "beta_dpo" || !(read.includes(name) || modes.includes(name))) {
      put(split.typed, name, value);
    } else if (!isMapping(value)) {
      split.problems.push({
        path: [name],
        text: "expected a section with the options of the mode",
      });
    } else if (read.includes(name)) {
      put(split.raw, name, value);
    } else {
      split.notices.push(`Section "${name}" is not read: the mode is "${mode}"`);
    }
  }
  if (foreign.length > 0) {
    const [are, them] = foreign.length > 1 ? ["Sections", "are"] : ["Section", "is"];
    split.notices.push(`${are} ${foreign.join(" and ")} of other tools ${them} not read`);
  }
  return split;
}

/** Fills in what depends on several keys, puts the mode's own section back, and freezes all. */
function complete(data: ReturnType<typeof configSchema.parse>, mode: string, raw: Mapping): Config {
  const section = mode === "sft"
    ? { sft_training: data.sft_training ?? sftTrainingSection.parse({}) }
    : { dpo_training: data.dpo_training ?? dpoTrainingSection.parse({}) };
  const full: Mapping = { ...data, ...section, mode, ref_name: data.ref_name ?? data.policy_name };
  // The schema's order, whatever was filled in later.
  const tree: Mapping = {};
  for (const name of Object.keys(configSchema.shape)) tree[name] = full[name];
  for (const [name, options] of Object.entries(raw)) {
    const typed = Object.hasOwn(tree, name) ? tree[name] as Mapping : {};
    put(tree, name, { ...typed, ...options as Mapping });
  }
  return freeze(tree) as Config;
}

/** A frozen copy without undefined members: those have no YAML. */
function freeze(value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map(freeze));
  if (!isMapping(value)) return value;
  const copy: Mapping = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) put(copy, key, freeze(member));
  }
  return Object.freeze(copy);
}
