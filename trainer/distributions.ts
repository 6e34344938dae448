/** Values of single pairs that a step tells beside their means: margins, and rewards of both answers. */
import type { ScoreBatch } from "../losses/loss_mode.ts";
import type { Distributions } from "../report/events.ts";
import type { MarginPart } from "./margin_log.ts";

/** Rewards of the pairs of a decision set, each [B]. */
export interface PairRewards {
  readonly chosen: Float64Array;
  readonly rejected: Float64Array;
}

/**
 * The implicit rewards beta (policy - reference) of both answers of each pair; undefined for rows that
 * are no pairs, and without a beta or a reference.
 *
 * @param beta one beta, or one for each pair
 */
export function pairRewards(
  { chosen, rejected }: ScoreBatch,
  beta: number | Float64Array | undefined,
): PairRewards | undefined {
  if (beta === undefined || !rejected || !chosen.reference || !rejected.reference) return undefined;
  const betaAt = (i: number) => typeof beta === "number" ? beta : beta[i];
  return {
    chosen: chosen.policy.map((p, i) => betaAt(i) * (p - chosen.reference![i])),
    rejected: rejected.policy.map((p, i) => betaAt(i) * (p - rejected.reference![i])),
  };
}

/** The rewards of a step's decision sets in one; undefined when none has any. */
export function joined(parts: readonly PairRewards[]): Distributions | undefined {
  if (parts.length === 0) return undefined;
  return {
    "rewards/chosen": concatenated(parts.map(({ chosen }) => chosen)),
    "rewards/rejected": concatenated(parts.map(({ rejected }) => rejected)),
  };
}

/** What the `step` event tells of single pairs; undefined for a mode without pairs. */
export function distributionsOf(
  { margins, rewards }: {
    readonly margins: readonly MarginPart[];
    readonly rewards?: Distributions;
  },
): Distributions | undefined {
  if (margins.length === 0) return rewards;
  return { margins: concatenated(margins.map((part) => part.margins)), ...rewards };
}

function concatenated(parts: readonly Float64Array[]): Float64Array {
  return Float64Array.from(parts.flatMap((part) => [...part]));
}
