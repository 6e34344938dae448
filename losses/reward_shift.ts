/** Mean of rewards over the decision sets of a run, which BCO subtracts from them. */
import { mean } from "./running_stats.ts";

/** A running mean and what it was taken over; plain JSON. */
export type RunningMean = { readonly mean: number; readonly count: number };

/** The running mean before the first decision set. */
export const noRewards: RunningMean = { mean: 0, count: 0 };

/**
 * The running mean with `rewards` in it, as TRL's RunningMoments.
 *
 * @param weight what the mean of `rewards` counts: 1 for one number a decision set, the number of
 * rewards for the mean of all of them
 */
export function addRewards(
  before: RunningMean,
  rewards: readonly number[],
  weight: number,
): RunningMean {
  const count = before.count + weight;
  return { mean: before.mean + (mean(rewards) - before.mean) * weight / count, count };
}
