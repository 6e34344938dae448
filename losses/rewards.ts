/** TRL's reward metrics of a decision set. */
import type { Metrics, ScoreBatch } from "./loss_mode.ts";
import { mean } from "./running_stats.ts";

/**
 * Means over the batch of the implicit rewards beta (policy - reference), of the share of pairs whose
 * chosen reward is strictly larger, and of the policy's log-probabilities; rewards only where there
 * are a beta and a reference.
 *
 * @param beta one beta, or one for each pair
 */
export function rewardMetrics(batch: ScoreBatch, beta?: number | Float64Array): Metrics {
  const { chosen, rejected } = batch;
  const metrics: Record<string, number> = { "logps/chosen": mean(chosen.policy) };
  if (rejected) metrics["logps/rejected"] = mean(rejected.policy);
  if (beta === undefined || !rejected || !chosen.reference || !rejected.reference) return metrics;
  const betaAt = (i: number) => typeof beta === "number" ? beta : beta[i];
  const better = chosen.policy.map((p, i) => betaAt(i) * (p - chosen.reference![i]));
  const worse = rejected.policy.map((p, i) => betaAt(i) * (p - rejected.reference![i]));
  metrics["rewards/chosen"] = mean(better);
  metrics["rewards/rejected"] = mean(worse);
  metrics["rewards/accuracies"] = mean(better.map((reward, i) => reward > worse[i] ? 1 : 0));
  metrics["rewards/margins"] = mean(better.map((reward, i) => reward - worse[i]));
  return metrics;
}

/** A mean over some rows of a decision set, and their number. */
export interface RowMean {
  readonly name: string;
  readonly value: number;
  readonly rows: number;
}

/**
 * TRL's metrics of rows with a label: means over the desirable rows as `chosen`, over the undesirable
 * ones as `rejected`; a kind that has no row has no mean.
 *
 * @param beta one beta, or one for each row
 */
export function labelMetrics(batch: ScoreBatch, beta?: number | Float64Array): RowMean[] {
  const { policy, reference } = batch.chosen;
  return [["chosen", 1] as const, ["rejected", 0] as const].flatMap(([kind, label]) => {
    const rows = [...batch.rows.keys()].filter((i) => batch.label![i] === label);
    if (rows.length === 0) return [];
    const means = [{
      name: `logps/${kind}`,
      value: mean(rows.map((i) => policy[i])),
      rows: rows.length,
    }];
    if (beta === undefined || !reference) return means;
    const betaAt = (i: number) => typeof beta === "number" ? beta : beta[i];
    const value = mean(rows.map((i) => betaAt(i) * (policy[i] - reference[i])));
    return [...means, { name: `rewards/${kind}`, value, rows: rows.length }];
  });
}
