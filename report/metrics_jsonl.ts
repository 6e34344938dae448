/**
 * `metrics.jsonl`: one line per optimizer step, and `timings.jsonl` beside it.
 *
 * The first holds only what the config determines, so two runs of one config have the same bytes
 * and a checkpoint can record its length; whatever depends on the clock is in the second.
 */
import type { MetricValues, RunEvent, Sink } from "./events.ts";
import { JsonLinesFile, readTextIfThere } from "./json_lines.ts";
import { StepClock } from "./step_clock.ts";

/** Keys that lead a line, in this order; the rest follow in the order of the alphabet. */
const LEADING = [
  "step",
  "epoch",
  "loss",
  "grad_norm",
  "learning_rate",
  "num_tokens",
  "rewards/chosen",
  "rewards/rejected",
  "rewards/accuracies",
  "rewards/margins",
  "logps/chosen",
  "logps/rejected",
];

/** The record of a step with its keys in the fixed order. */
export function metricsRecord(step: number, metrics: MetricValues): Record<string, number> {
  const record: Record<string, number> = { step };
  const names = Object.keys(metrics).filter((name) => name !== "step");
  const leading = LEADING.filter((name) => names.includes(name));
  const others = names.filter((name) => !LEADING.includes(name)).sort();
  for (const name of [...leading, ...others]) record[name] = metrics[name];
  return record;
}

/** A line of the metrics file. */
export type MetricsRow = Record<string, number> & { readonly step: number };

/**
 * The whole lines of a metrics file; none where there is no file.
 *
 * @throws ReportFileError when it cannot be read
 */
export function readMetrics(path: string): MetricsRow[] {
  const text = readTextIfThere(path);
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

export interface TimingOptions {
  /** Finished steps at the start of the run; later lines of an earlier attempt are dropped. */
  readonly finished: number;
  /** Milliseconds, e.g. `performance.now`. */
  clock(): number;
  /** Bytes of main memory that the process holds; absent: not written. */
  memory?(): number;
}

/**
 * A sink that writes, for each step, the seconds since the run's start (in this process), the tokens
 * per second of the step and the bytes held in memory to `path`.
 *
 * @throws ReportFileError when the file system refuses
 */
export function timingsSink(path: string, options: TimingOptions): Sink {
  const file = JsonLinesFile.open(path, keptBytes(path, options.finished));
  const clock = new StepClock(options.clock);
  return {
    accept(event: RunEvent) {
      if (event.type === "start") clock.mark();
      if (event.type !== "step") return;
      file.append({
        step: event.step,
        ...clock.step(event.tokens),
        ...event.gpuBytes !== undefined && { "memory/gpu": event.gpuBytes },
        ...options.memory && { "memory/process": options.memory() },
      });
    },
    close: () => file.close(),
  };
}

/** Bytes of the leading lines whose step is at most `finished`. */
function keptBytes(path: string, finished: number): number {
  const text = readTextIfThere(path);
  let kept = 0;
  for (const line of text.split("\n").slice(0, -1)) {
    const step = /^\{"step":(\d+),/.exec(line)?.[1];
    if (step === undefined || Number(step) > finished) break;
    kept += new TextEncoder().encode(line).length + 1;
  }
  return kept;
}
