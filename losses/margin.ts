/** Margins of a decision set, and what to do with pairs whose margin is not a number. */
import type { ScoreBatch } from "./loss_mode.ts";
import { ModeError } from "./mode_error.ts";

/**
 * Margin of each pair, [B]: (policy - reference) of chosen minus that of rejected, in nats, without
 * beta. Taken in this order: at policy = reference it is exactly 0.
 *
 * @throws ModeError when the batch has no rejected answers or no reference
 */
export function batchMargins(batch: ScoreBatch): Float64Array {
  const { chosen, rejected } = batch;
  if (!rejected || !chosen.reference || !rejected.reference) {
    throw new ModeError(
      'Cannot take margins: the decision set lacks rejected answers or reference log-probabilities; the mode must need rows "pairs" and reference "logps"',
    );
  }
  const margins = new Float64Array(batch.size);
  for (let i = 0; i < batch.size; i++) {
    margins[i] = (chosen.policy[i] - chosen.reference[i]) -
      (rejected.policy[i] - rejected.reference[i]);
  }
  return margins;
}

/** Indices of the finite values, ascending. */
export function finiteIndices(values: Float64Array): number[] {
  const indices: number[] = [];
  for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i])) indices.push(i);
  return indices;
}

/** Weights of a mean over `selected` of `size` rows: 1 / selected.length there, 0 elsewhere. */
export function meanWeights(size: number, selected: readonly number[]): Float64Array {
  const weights = new Float64Array(size);
  for (const i of selected) weights[i] = 1 / selected.length;
  return weights;
}
