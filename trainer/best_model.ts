/**
 * The best model of a run by a metric of its evaluations, and when a run has stopped getting better:
 * `metric_for_best_model`, `load_best_model_at_end` and `early_stopping_patience`, named as in
 * transformers. Nothing here reads or writes a file.
 */
import { nearestName } from "../losses/nearest_name.ts";
import type { CheckpointState } from "./checkpoint.ts";
import { ConfigError } from "./error.ts";

type MetricValues = Readonly<Record<string, number>>;

export interface BestModelSettings {
  /** With or without "eval_"; absent: `eval_loss_beta0` where the mode has it, else `eval_loss`. */
  readonly metric?: string;
  /** Absent: by the name, a loss is better when smaller, everything else when greater. */
  readonly greaterIsBetter?: boolean;
  /** Keep the checkpoint of the best evaluation, and end with its weights. */
  readonly loadAtEnd: boolean;
  /** Evaluations in a row without a better one after which the run ends; absent: it goes on. */
  readonly patience?: number;
  /** An evaluation is better when it is better by more than this. */
  readonly threshold: number;
}

/** The best evaluation so far. */
export type BestModel = NonNullable<CheckpointState["best"]>;

/** Whether anything asks for the best evaluation. */
export function followsBest({ loadAtEnd, patience }: BestModelSettings): boolean {
  return loadAtEnd || patience !== undefined;
}

/**
 * The best evaluation after one more, that of `step`.
 *
 * @throws ConfigError when the evaluation has no such metric, naming those that it has
 */
export function nextBest(
  settings: BestModelSettings,
  before: BestModel | null,
  metrics: MetricValues,
  step: number,
): BestModel {
  const metric = metricName(settings, metrics);
  const value = metrics[metric];
  const greater = settings.greaterIsBetter ?? !/loss/.test(metric);
  // One of another metric, of the config before a resume, says nothing about this one.
  if (before?.metric !== metric) return { metric, value, step, since: 0 };
  const gain = greater ? value - before.value : before.value - value;
  return gain > settings.threshold
    ? { metric, value, step, since: 0 }
    : { ...before, since: before.since + 1 };
}

/** Whether the run has waited long enough for a better evaluation. */
export function isExhausted({ patience }: BestModelSettings, best: BestModel | null): boolean {
  return patience !== undefined && best !== null && best.since >= patience;
}

function metricName({ metric }: BestModelSettings, metrics: MetricValues): string {
  if (metric === undefined) {
    return Object.hasOwn(metrics, "eval_loss_beta0") ? "eval_loss_beta0" : "eval_loss";
  }
  const found = [metric, `eval_${metric}`].find((name) => Object.hasOwn(metrics, name));
  if (found !== undefined) return found;
  const near = nearestName(metric, Object.keys(metrics));
  throw new ConfigError(
    `Cannot choose the best model: "metric_for_best_model" is "${metric}", which is no metric of ` +
      `the evaluation${near === undefined ? "" : `; did you mean "${near}"?`} It has ` +
      Object.keys(metrics).sort().join(", "),
  );
}
