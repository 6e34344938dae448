/**
 * What is known of every loss mode and pair loss, read from the plug-ins themselves: the source of
 * `deno task modes` and of `docs/modes.md`.
 */
import type { LossMode, Needs, OptionSpec, OptionTable } from "../losses/loss_mode.ts";
import { defaultOptions } from "../losses/options.ts";
import { type PairLoss, pairLosses } from "../losses/pair_losses.ts";
import { loadMode } from "../modes/mod.ts";

/** One option, with what may be written there in words. */
export interface OptionEntry {
  readonly name: string;
  readonly type: OptionSpec["type"];
  readonly default: number | boolean | string;
  /** Allowed values in words, e.g. `0 <= x < 0.5`; empty where the type says it all. */
  readonly range: string;
  /** Other places in the config where it may be written. */
  readonly from: readonly string[];
  readonly help: string;
}

/** What a mode needs when one option is not at its default. */
export interface OtherNeeds {
  readonly option: string;
  readonly value: boolean | string;
  readonly needs: Needs;
}

export interface ModeEntry {
  readonly name: string;
  readonly help: string;
  /** Version of the state in checkpoints. */
  readonly version: number;
  /** Addresses of the papers its help names. */
  readonly papers: readonly string[];
  /** With its own loss a mode does not read `loss_type`. */
  readonly ownLoss: boolean;
  /** With all options at their defaults. */
  readonly needs: Needs;
  readonly otherNeeds: readonly OtherNeeds[];
  readonly options: readonly OptionEntry[];
}

/** A file of `modes/` that cannot be listed, and why. */
export interface BrokenMode {
  readonly name: string;
  readonly error: string;
}

export interface PairLossEntry {
  readonly name: string;
  readonly help: string;
  readonly papers: readonly string[];
  readonly needs: {
    readonly reference: "none" | "logps";
    readonly beta: boolean;
    /** True for a loss of the decision set as a whole, such as one that sorts it. */
    readonly wholeSet: boolean;
  };
  readonly options: readonly OptionEntry[];
}

export interface Catalog {
  readonly modes: readonly ModeEntry[];
  readonly broken: readonly BrokenMode[];
  readonly pairLosses: readonly PairLossEntry[];
}

/** The allowed values of an option in words; empty where its type says all. */
export function rangeText({ min, max, above, below, choices }: OptionSpec): string {
  if (choices) return choices.map((choice) => choice === "" ? '""' : choice).join(" | ");
  const low = min !== undefined ? `${min} <= ` : above !== undefined ? `${above} < ` : "";
  const high = max !== undefined ? ` <= ${max}` : below !== undefined ? ` < ${below}` : "";
  if (low && high) return `${low}x${high}`;
  if (low) return min !== undefined ? `>= ${min}` : `> ${above}`;
  return high.trimStart();
}

function optionEntries(table: OptionTable): OptionEntry[] {
  return Object.entries(table).map(([name, spec]) => ({
    name,
    type: spec.type,
    default: spec.default,
    range: rangeText(spec),
    from: spec.from ?? [],
    help: spec.help,
  }));
}

function papersOf(help: string): string[] {
  const numbers = [...help.matchAll(/arXiv (\d{4}\.\d{4,5})/g)].map(([, number]) => number);
  return [...new Set(numbers)].map((number) => `https://arxiv.org/abs/${number}`);
}

/** The options one by one at their other values, where that changes what the mode needs. */
function otherNeeds(mode: LossMode): OtherNeeds[] {
  const options = defaultOptions(mode.options);
  const usual = JSON.stringify(mode.needs(options));
  const found: OtherNeeds[] = [];
  for (const [option, spec] of Object.entries(mode.options)) {
    const values = spec.type === "boolean" ? [true, false] : spec.choices ?? [];
    for (const value of values) {
      const needs = mode.needs({ ...options, [option]: value });
      if (JSON.stringify(needs) !== usual) found.push({ option, value, needs });
    }
  }
  return found;
}

/** The entry of one mode. */
export function modeEntry(mode: LossMode): ModeEntry {
  return {
    name: mode.name,
    help: mode.help,
    version: mode.version,
    papers: papersOf(mode.help),
    ownLoss: mode.loss !== undefined,
    needs: mode.needs(defaultOptions(mode.options)),
    otherNeeds: otherNeeds(mode),
    options: optionEntries(mode.options),
  };
}

function pairLossEntry(loss: PairLoss): PairLossEntry {
  return {
    name: loss.name,
    help: loss.help,
    papers: papersOf(loss.help),
    needs: {
      reference: loss.reference,
      beta: loss.needsBeta !== false,
      wholeSet: "evaluateBatch" in loss,
    },
    options: optionEntries(loss.options).map((option) => {
      // Pair losses have no section: their options are written beside `loss_type`.
      const [name = option.name, ...from] = option.from;
      return { ...option, name, from };
    }),
  };
}

/** Reads the modes of these names and all pair losses; a mode that cannot be read hides no other. */
export async function readCatalog(names: readonly string[]): Promise<Catalog> {
  const modes: ModeEntry[] = [];
  const broken: BrokenMode[] = [];
  for (const name of names) {
    try {
      modes.push(modeEntry(await loadMode(name)));
    } catch (error) {
      broken.push({ name, error: error instanceof Error ? error.message : String(error) });
    }
  }
  return { modes, broken, pairLosses: pairLosses.map(pairLossEntry) };
}

const REFERENCE: Record<Needs["reference"], string> = {
  none: "no reference model",
  logps: "reference log-probabilities",
  live: "the reference model during training",
};
const ROWS: Record<Needs["rows"], string> = {
  pairs: "pairs",
  unpaired: "single answers with a label",
  single: "single answers",
};
const SCOPE: Record<Needs["scope"], string> = {
  pair: "each pair by itself",
  micro: "one training call at a time",
  step: "all training calls of a step at once",
};
const TOKENS: Record<NonNullable<Needs["tokens"]>[number], string> = {
  promptLogp: "the prompt's log-probabilities",
  logSumP2: "the log-sum of squared probabilities of each token",
  epsilonMix: "log-probabilities of the mixed logits",
};

/** What a mode needs in words, by heading. */
export function needsInWords(needs: Needs): Readonly<Record<string, string>> {
  const more = [
    ...(needs.tokens ?? []).map((token) => TOKENS[token]),
    ...needs.extra ? [`a ${needs.extra} answer for each prompt`] : [],
    ...needs.random ? ["random numbers"] : [],
  ];
  return {
    reference: REFERENCE[needs.reference] + (needs.referenceSync ? ", which it moves" : ""),
    rows: ROWS[needs.rows],
    scope: `decides on ${SCOPE[needs.scope]}`,
    ...more.length > 0 ? { tokens: more.join(", ") } : undefined,
  };
}

/** Only what differs from the usual needs, in words. */
export function changedNeeds(usual: Needs, other: Needs): string {
  const before = needsInWords(usual);
  const changed = Object.entries(needsInWords(other)).filter(([key, text]) => before[key] !== text);
  return changed.map(([, text]) => text).join(", ") || "other numbers of the same kind";
}

/** What a pair loss needs in words. */
export function pairNeedsInWords({ reference, beta, wholeSet }: PairLossEntry["needs"]): string {
  return [
    REFERENCE[reference],
    beta ? "a beta from the mode" : "no beta",
    ...wholeSet ? ["looks at the decision set as a whole"] : [],
  ].join("; ");
}
