/** What a run must provide: the needs of its mode, its pair losses and its modifiers together. */
import type { LossMode, Needs, Options } from "../losses/loss_mode.ts";
import { type PairLossChoice, pairLossNamed } from "../losses/pair_loss.ts";

/** Changes to log-probabilities and weights that go with any mode they make sense for. */
export interface Modifiers {
  /**
   * LD-DPO: factor of the tokens of the longer answer beyond the length of the shorter one, for policy
   * and reference alike (arXiv 2409.06411). Absent: none.
   */
  readonly ldAlpha?: number;
  /** WPO: pair losses weighted by how likely both answers are under the policy (arXiv 2406.11827). */
  readonly useWeighting?: boolean;
  /** TR-DPO: after every `steps` optimizer steps the reference moves by `alpha` (arXiv 2404.09656). */
  readonly referenceSync?: { readonly steps: number; readonly alpha: number };
}

/** What decides on the needs of a run. */
export interface NeedsRequest {
  readonly mode: LossMode;
  readonly modeOptions: Options;
  readonly lossTypes?: readonly PairLossChoice[];
  readonly modifiers?: Modifiers;
}

/** The union of all needs. */
export function runNeeds({ mode, modeOptions, lossTypes = [], modifiers }: NeedsRequest): Needs {
  const needs = mode.needs(modeOptions);
  const compared = !mode.loss &&
    lossTypes.some(({ type }) => pairLossNamed(type).reference === "logps");
  const reference = modifiers?.referenceSync && needs.reference !== "none"
    ? "live"
    : needs.reference === "none" && compared
    ? "logps"
    : needs.reference;
  const tokens = new Set(needs.tokens);
  if (modifiers?.useWeighting) tokens.add("logSumP2");
  return { ...needs, reference, tokens: [...tokens] };
}

/** True when the reference's weights change during the run. */
export function movesReference(request: NeedsRequest): boolean {
  return request.modifiers?.referenceSync !== undefined ||
    request.mode.needs(request.modeOptions).referenceSync === true;
}

/** Why modifiers do not go with a mode; undefined when they do. `key` is the config's. */
export function modifierProblem(
  { mode, modeOptions, lossTypes = [], modifiers = {} }: NeedsRequest,
): { readonly key: string; readonly text: string } | undefined {
  const { rows, reference, referenceSync } = mode.needs(modeOptions);
  const name = `mode "${mode.name}"`;
  if (modifiers.ldAlpha !== undefined && rows !== "pairs") {
    return { key: "ld_alpha", text: `it compares two answers, ${name} trains on single ones` };
  }
  if (modifiers.ldAlpha !== undefined && lossTypes.some(({ type }) => type === "sft")) {
    // TRL leaves the weights out of this one loss; with them it would be another loss of the same name.
    const text = 'loss_type "sft" counts every token alike, leave one of the two out';
    return { key: "ld_alpha", text };
  }
  if (modifiers.useWeighting) {
    const key = "use_weighting";
    if (mode.loss || rows !== "pairs") {
      return { key, text: `it weights pair losses, ${name} has a loss of its own` };
    }
    const sorted = lossTypes.find(({ type }) => type.startsWith("aot"));
    if (sorted) {
      return {
        key,
        text: `loss_type "${sorted.type}" sorts its batch, which no pair's weight survives`,
      };
    }
  }
  if (modifiers.referenceSync) {
    const key = "sync_ref_model";
    if (reference === "none") return { key, text: `${name} has no reference to move` };
    if (referenceSync) return { key, text: `${name} moves the reference itself` };
  }
  return undefined;
}
