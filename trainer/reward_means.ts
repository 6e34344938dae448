/** Rewards and log-probabilities of decision sets, gathered into means over rows. */
import type { ScoreBatch } from "../losses/loss_mode.ts";
import { labelMetrics, rewardMetrics } from "../losses/rewards.ts";
import type { WeightedMeans } from "./weighted_means.ts";

/**
 * Adds a decision set's rewards to `means`, each row counting once.
 *
 * @param prefix of the names, such as `eval_`
 */
export function addRewardMeans(
  means: WeightedMeans,
  batch: ScoreBatch,
  beta: number | Float64Array | undefined,
  prefix = "",
): void {
  if (batch.label) {
    for (const { name, value, rows } of labelMetrics(batch, beta)) {
      means.add(prefix + name, value, rows);
    }
    return;
  }
  for (const [name, value] of Object.entries(rewardMetrics(batch, beta))) {
    means.add(prefix + name, value, batch.size);
  }
}

/** The means with `rewards/margins` where rows have labels: the difference of the two kinds, as in TRL. */
export function withLabelMargins(
  values: Readonly<Record<string, number>>,
  prefix = "",
): Readonly<Record<string, number>> {
  const key = (kind: string) => `${prefix}rewards/${kind}`;
  const [good, bad] = [values[key("chosen")], values[key("rejected")]];
  if (good === undefined || bad === undefined || key("margins") in values) return values;
  return { ...values, [key("margins")]: good - bad };
}
