import { durationText } from "./console.ts";
import type { MetricValues } from "./events.ts";

/** What a run came to. */
export interface RunSummary {
  readonly mode: string;
  /** Finished optimizer steps, and those of the whole run. */
  readonly steps: number;
  readonly totalSteps: number;
  /** Finished epochs, with a fraction. */
  readonly epochs: number;
  /** Tokens trained on, those before a resume included. */
  readonly tokens: number;
  /** Metrics of the first step of the run; absent when no step was made. */
  readonly first?: MetricValues;
  /** Metrics of the last finished step. */
  readonly last?: MetricValues;
  /** Metrics of the evaluation before the first step, if there was one. */
  readonly before?: MetricValues;
  /** Metrics of the last evaluation. */
  readonly evaluation?: MetricValues;
  /** The newest checkpoint. */
  readonly checkpoint?: string;
  /** True when a signal ended the run before its last step. */
  readonly stopped: boolean;
}

export interface SummaryExtras {
  /** Evaluation of the written folder, read back and rounded to its precision. */
  readonly final?: MetricValues;
  /** The folder of the tuned model. */
  readonly finalFolder?: string;
  readonly seconds?: number;
  readonly gpuBytes?: number;
  /** Who stopped the run; absent: a signal. */
  readonly stoppedBy?: string;
}

/** The closing summary, one fact a line. */
export function summaryLines(summary: RunSummary, extras: SummaryExtras = {}): string[] {
  const lines: string[] = [];
  const done = summary.stopped
    ? `Stopped by ${
      extras.stoppedBy ?? "a signal"
    } after step ${summary.steps} of ${summary.totalSteps}`
    : `Finished ${summary.steps} steps`;
  const duration = extras.seconds === undefined ? "" : ` in ${durationText(extras.seconds)}`;
  lines.push(
    `${done}${duration}: mode ${summary.mode}, ${summary.epochs.toFixed(2)} epochs, ` +
      `${summary.tokens} tokens`,
  );
  lines.push(...change("Training loss", "loss", 4, summary.first, summary.last));
  const after = extras.final ?? summary.evaluation;
  const evaluated = extras.final ? "Evaluation of the written model: " : "Evaluation: ";
  lines.push(...change(`${evaluated}loss`, "eval_loss", 4, summary.before, after));
  const accuracy = change(
    `${evaluated}reward accuracy`,
    "eval_rewards/accuracies",
    3,
    summary.before,
    after,
  );
  lines.push(...accuracy.map((line) => line + remarkOnStart(summary.before)));
  if (extras.gpuBytes !== undefined) {
    lines.push(`GPU memory held: ${bytesText(extras.gpuBytes)}`);
  }
  if (summary.checkpoint) lines.push(`Newest checkpoint: ${summary.checkpoint}`);
  if (extras.finalFolder) lines.push(`Tuned model: ${extras.finalFolder}`);
  if (summary.stopped) lines.push("Run the same command with --resume to continue");
  return lines;
}

/**
 * A pair counts as right only where its margin is above 0. With none above 0 and a mean of 0, all
 * margins are 0: the policy was still the reference, and an accuracy of 0 says nothing against it.
 */
function remarkOnStart(before: MetricValues | undefined): string {
  const equal = before?.["eval_rewards/accuracies"] === 0 && before["eval_rewards/margins"] === 0;
  return equal ? " (before: all margins are 0)" : "";
}

function change(
  title: string,
  name: string,
  digits: number,
  before: MetricValues | undefined,
  after: MetricValues | undefined,
): string[] {
  const to = after?.[name];
  if (to === undefined) return [];
  const from = before?.[name];
  const text = from === undefined ? "" : `${from.toFixed(digits)} -> `;
  return [`${title} ${text}${to.toFixed(digits)}`];
}

/** Bytes as `12.3 MiB` or `4.56 GiB`. */
export function bytesText(bytes: number): string {
  if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  if (bytes >= 2 ** 20) return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${(bytes / 2 ** 10).toFixed(1)} KiB`;
}
