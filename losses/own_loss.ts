/** What modes with a loss of their own are built from. */
import type { AnswerScores, Decision, LossResult, ScoreBatch } from "./loss_mode.ts";
import { tokenMeanLoss } from "./batch_losses.ts";

/** Loss of one pair and its derivatives in the two summed policy log-probabilities. */
export interface OwnPairValue {
  readonly loss: number;
  readonly chosen: number;
  readonly rejected: number;
}

/** Mean log-probability of each answer's tokens, [B], in nats. */
export function tokenAverages(values: Float64Array, { length }: AnswerScores): Float64Array {
  return values.map((value, i) => value / Math.max(1, length[i]));
}

/**
 * Weighted sum over the pairs of a decision set, 1/B each where the decision has no weights, and its
 * derivatives. Pairs of weight 0 are not looked at.
 */
export function sumOverPairs(
  batch: ScoreBatch,
  { weights }: Pick<Decision, "weights">,
  valueAt: (i: number) => OwnPairValue,
): LossResult {
  const { size } = batch;
  const perPair = new Float64Array(size);
  const chosen = new Float64Array(size);
  const rejected = new Float64Array(size);
  let loss = 0;
  for (let i = 0; i < size; i++) {
    const weight = weights ? weights[i] : 1 / size;
    if (weight === 0) continue;
    const value = valueAt(i);
    perPair[i] = value.loss;
    loss += weight * value.loss;
    chosen[i] = weight * value.chosen;
    rejected[i] = weight * value.rejected;
  }
  return { loss, perPair, seeds: { chosen, rejected } };
}

/** A loss plus `factor` times the chosen answers' negative log-likelihood a token. */
export function addLikelihood(batch: ScoreBatch, result: LossResult, factor: number): LossResult {
  if (factor === 0) return result;
  const nll = tokenMeanLoss(batch);
  const sum = (a: Float64Array, b: Float64Array) => a.map((x, i) => x + factor * b[i]);
  return {
    loss: result.loss + factor * nll.loss,
    perPair: sum(result.perPair, nll.perPair),
    seeds: { ...result.seeds, chosen: sum(result.seeds!.chosen, nll.seeds!.chosen) },
  };
}
