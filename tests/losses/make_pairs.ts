/** Decision sets of pairs for tests. */
import { counterUniform, makeContext } from "../../losses/contract_batches.ts";
import type { ScoreBatch, StepContext } from "../../losses/loss_mode.ts";

/** Arrays of one batch as the golden file has them. */
export interface PairArrays {
  readonly policy_chosen: readonly number[];
  readonly policy_rejected: readonly number[];
  readonly ref_chosen: readonly number[];
  readonly ref_rejected: readonly number[];
  readonly chosen_len?: readonly number[];
  readonly rejected_len?: readonly number[];
}

/** A decision set from plain arrays; answers without a length have 10 tokens. */
export function pairsOf(arrays: PairArrays): ScoreBatch {
  const size = arrays.policy_chosen.length;
  const ten = new Array(size).fill(10);
  return {
    size,
    rows: Uint32Array.from({ length: size }, (_, i) => i),
    chosen: {
      policy: Float64Array.from(arrays.policy_chosen),
      reference: Float64Array.from(arrays.ref_chosen),
      length: Uint32Array.from(arrays.chosen_len ?? ten),
    },
    rejected: {
      policy: Float64Array.from(arrays.policy_rejected),
      reference: Float64Array.from(arrays.ref_rejected),
      length: Uint32Array.from(arrays.rejected_len ?? ten),
    },
  };
}

/** A decision set with these margins exactly. */
export function pairsWithMargins(margins: ArrayLike<number>): ScoreBatch {
  const zeros = new Array<number>(margins.length).fill(0);
  return pairsOf({
    policy_chosen: Array.from(margins),
    policy_rejected: zeros,
    ref_chosen: zeros,
    ref_rejected: zeros,
  });
}

/** A repeatable normal deviate: Box and Muller on two counters. */
export function normal(seed: number, i: number): number {
  const radius = Math.sqrt(-2 * Math.log(counterUniform(seed, 2 * i)));
  return radius * Math.cos(2 * Math.PI * counterUniform(seed, 2 * i + 1));
}

/** Normal margins of deviation `scale`, [size]. */
export function normalMargins(seed: number, size: number, scale: number): number[] {
  return Array.from({ length: size }, (_, i) => scale * normal(seed, i));
}

/** A training context whose uniform numbers are given. */
export function contextWithDraws(draws: readonly number[], microStep = 0): StepContext {
  return { ...makeContext(true, microStep), uniform: (i) => draws[i] };
}
