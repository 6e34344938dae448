/**
 * Pair losses that look at a decision set as a whole: they sort or average it, or keep a running mean
 * of what they have seen. Rows of weight 0 are as if they were not there.
 */
import { divergenceScore } from "./f_divergence.ts";
import type { Json, LossResult, Options, ScoreBatch } from "./loss_mode.ts";
import { logistic } from "./margin_losses.ts";
import type { BetaAndWeights } from "./pair_losses.ts";
import { addRewards, type RunningMean } from "./reward_shift.ts";

/** Rows that count, their weights and betas. */
function countedRows(batch: ScoreBatch, { beta, weights }: BetaAndWeights) {
  const weightAt = (i: number) => weights ? weights[i] : 1 / batch.size;
  const betaAt = (i: number) => typeof beta === "number" ? beta : beta![i];
  const rows = Array.from({ length: batch.size }, (_, i) => i).filter((i) => weightAt(i) !== 0);
  return { rows, weightAt, betaAt };
}

/** Rows by rising value; equal values keep their order. */
function sorted(rows: readonly number[], values: Float64Array): number[] {
  return rows.toSorted((a, b) => values[a] - values[b] || a - b);
}

/** A stretch of two sorted lists that face each other. */
interface Stretch {
  readonly high: number;
  readonly low: number;
  readonly weight: number;
}

/**
 * Lays two sorted lists of rows side by side, each row as long as its weight. With equal weights the
 * k-th of one list faces the k-th of the other; with others it is still the cheapest transport from
 * one to the other, and changes by little when the values do.
 */
function stretches(
  high: readonly number[],
  low: readonly number[],
  weightAt: (row: number) => number,
): Stretch[] {
  const parts: Stretch[] = [];
  const left = [0, 0];
  for (let a = -1, b = -1;;) {
    if (!(left[0] > 0) && ++a < high.length) left[0] = weightAt(high[a]);
    if (!(left[1] > 0) && ++b < low.length) left[1] = weightAt(low[b]);
    if (a >= high.length || b >= low.length) return parts;
    const weight = Math.min(left[0], left[1]);
    parts.push({ high: high[a], low: low[b], weight });
    left[0] -= weight;
    left[1] -= weight;
  }
}

/**
 * Label-smoothed logistic loss between two lists of rewards (beta times nats), sorted each for itself.
 * `slopes` are its derivatives in the rewards of both lists.
 */
function sortedLoss(
  rows: readonly number[],
  weightAt: (row: number) => number,
  upper: Float64Array,
  lower: Float64Array,
  options: Options,
) {
  const perPair = new Float64Array(upper.length);
  const slopes = { upper: new Float64Array(upper.length), lower: new Float64Array(upper.length) };
  let loss = 0;
  for (
    const { high, low, weight } of stretches(sorted(rows, upper), sorted(rows, lower), weightAt)
  ) {
    const value = logistic(upper[high] - lower[low], options.label_smoothing as number);
    loss += weight * value.loss;
    perPair[high] += weight / weightAt(high) * value.loss;
    slopes.upper[high] += weight * value.slope;
    slopes.lower[low] -= weight * value.slope;
  }
  return { loss, perPair, slopes };
}

/**
 * AOT on pairs (arXiv 2406.05882): the k-th smallest gap of the policy, P+ - P-, against the k-th
 * smallest of the reference. The derivative goes back through the sort of the policy's gaps.
 */
export function aotLoss(batch: ScoreBatch, decided: BetaAndWeights, options: Options): LossResult {
  const { chosen, rejected } = batch;
  const { rows, weightAt, betaAt } = countedRows(batch, decided);
  const policy = chosen.policy.map((p, i) => betaAt(i) * (p - rejected!.policy[i]));
  const reference = chosen.reference!.map((p, i) => betaAt(i) * (p - rejected!.reference![i]));
  const { loss, perPair, slopes } = sortedLoss(rows, weightAt, policy, reference, options);
  const seeds = slopes.upper.map((slope, i) => betaAt(i) * slope);
  return { loss, perPair, seeds: { chosen: seeds, rejected: seeds.map((seed) => -seed) } };
}

/**
 * AOT without pairing (arXiv 2406.05882): the k-th smallest log-ratio of the chosen answers against
 * the k-th smallest of the rejected ones. The derivative goes back through both sorts.
 */
export function aotUnpairedLoss(
  batch: ScoreBatch,
  decided: BetaAndWeights,
  options: Options,
): LossResult {
  const { chosen, rejected } = batch;
  const { rows, weightAt, betaAt } = countedRows(batch, decided);
  const better = chosen.policy.map((p, i) => betaAt(i) * (p - chosen.reference![i]));
  const worse = rejected!.policy.map((p, i) => betaAt(i) * (p - rejected!.reference![i]));
  const { loss, perPair, slopes } = sortedLoss(rows, weightAt, better, worse, options);
  return {
    loss,
    perPair,
    seeds: {
      chosen: slopes.upper.map((slope, i) => betaAt(i) * slope),
      rejected: slopes.lower.map((slope, i) => betaAt(i) * slope),
    },
  };
}

/**
 * Negative log-likelihood of the chosen answers: -sum w P / sum w L, every token of the decision set
 * counting the same where the weights are equal. `perPair` is the mean over the tokens of each row.
 */
export function tokenMeanLoss(
  batch: ScoreBatch,
  decided: BetaAndWeights = {},
): LossResult {
  const { policy, length } = batch.chosen;
  const { rows, weightAt } = countedRows(batch, decided);
  // Without weights plain counts are summed: integers, so that the divisor has no rounding.
  const share = (i: number) => decided.weights ? weightAt(i) : 1;
  const tokens = rows.reduce((sum, i) => sum + share(i) * length[i], 0) || 1;
  const chosen = new Float64Array(batch.size);
  let loss = 0;
  for (const i of rows) {
    chosen[i] = -share(i) / tokens;
    loss += policy[i] * chosen[i];
  }
  return {
    loss,
    perPair: policy.map((p, i) => -p / Math.max(1, length[i])),
    seeds: {
      chosen,
      ...batch.rejected ? { rejected: new Float64Array(batch.size) } : undefined,
    },
  };
}

/**
 * The shift of `bco_pair`: the mean, over the decision sets so far and this one, of the mean reward
 * of a set (one number a set, whatever its size, as in TRL up to 0.28). Evaluation only reads it.
 */
export function decideBcoShift(
  batch: ScoreBatch,
  decided: BetaAndWeights,
  state: Json,
  options: Options,
  training: boolean,
): { readonly state: Json; readonly aux: Json } {
  const before = state as RunningMean;
  const { rows, betaAt } = countedRows(batch, decided);
  if (!training || rows.length === 0) return { state, aux: before.mean };
  const reward = (scores: ScoreBatch["chosen"], i: number) =>
    betaAt(i) * divergenceScore(scores.policy[i] - scores.reference![i], options).value;
  const rewards = [
    ...rows.map((i) => reward(batch.chosen, i)),
    ...rows.map((i) => reward(batch.rejected!, i)),
  ];
  const after = addRewards(before, rewards, 1);
  // A reward that is no number is reported with its row when the loss is taken.
  if (!Number.isFinite(after.mean)) return { state, aux: before.mean };
  return { state: after, aux: after.mean };
}
