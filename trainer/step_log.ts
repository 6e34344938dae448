/** What is said of steps: margins, the `step` event, the line in the metrics file, first and last metrics. */
import type { RunEvent } from "../report/events.ts";
import { metricsRecord } from "../report/metrics_jsonl.ts";
import type { CheckpointState } from "./checkpoint.ts";
import { distributionsOf } from "./distributions.ts";
import { type BegunStep, finishStep } from "./optimizer_step.ts";
import type { RunFiles } from "./run_files.ts";

type MetricValues = Readonly<Record<string, number>>;

/** A step whose update is not known yet, and where the run stood when it was made. */
export interface PendingStep {
  readonly begun: BegunStep;
  readonly epoch: number;
  /** Finished epochs, with a fraction, after the step. */
  readonly epochs: number;
  /** Tokens of the run, this step's included. */
  readonly tokens: number;
}

export class StepLog {
  readonly #files: RunFiles;
  readonly #emit: (event: RunEvent) => void;
  readonly #totalSteps: number;
  #kept: CheckpointState["metrics"];
  #pending: PendingStep | undefined;

  constructor(
    files: RunFiles,
    kept: CheckpointState["metrics"] | undefined,
    totalSteps: number,
    emit: (event: RunEvent) => void,
  ) {
    this.#files = files;
    this.#emit = emit;
    this.#totalSteps = totalSteps;
    this.#kept = kept ?? { first: null, last: null, before: null, evaluation: null };
  }

  /** Metrics of the first and last step, of the evaluation before and the last one. */
  get kept(): CheckpointState["metrics"] {
    return this.#kept;
  }

  /** An evaluation before the first step. */
  before(metrics: MetricValues): void {
    this.#kept = { ...this.#kept, before: metrics };
    this.#files.metrics.append(metricsRecord(0, { epoch: 0, ...metrics }));
  }

  /** Takes a step whose update is not known yet; the one before must be finished. */
  begin(pending: PendingStep): void {
    this.#pending = pending;
  }

  /**
   * Says what is to be said of the step that was begun last, if it has not been said yet; `evaluate` then
   * runs between its event and its line, so that a step is one line, and whole.
   *
   * @throws NumbersError when its gradient norm is not finite
   */
  async finish(evaluate?: () => Promise<MetricValues>): Promise<void> {
    const pending = this.#pending;
    if (!pending) return;
    this.#pending = undefined;
    const { begun, epoch, epochs, tokens } = pending;
    const { step, margins, pairs, margin, beta } = begun;
    const metrics = { ...await finishStep(begun), epoch: epochs, num_tokens: tokens };
    if (margins.length > 0) this.#files.margins?.write(epoch, step, margins);
    this.#emit({
      type: "step",
      step,
      totalSteps: this.#totalSteps,
      pairs,
      tokens: begun.tokens,
      margin,
      beta,
      metrics,
      distributions: distributionsOf(begun),
    });
    const evaluated = await evaluate?.();
    this.#files.metrics.append(metricsRecord(step, { ...metrics, ...evaluated }));
    this.#kept = {
      ...this.#kept,
      first: this.#kept.first ?? metrics,
      last: metrics,
      evaluation: evaluated ?? this.#kept.evaluation,
    };
  }

  /** Waits until all lines are on the disk: a checkpoint refers to these bytes. */
  sync(): CheckpointState["positions"] {
    const { metrics, margins } = this.#files;
    metrics.sync();
    margins?.sync();
    return { metrics: metrics.position, margins: margins?.position ?? 0 };
  }

  close(): void {
    this.#files.metrics.close();
    this.#files.margins?.close();
  }
}
