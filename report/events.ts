/**
 * What a run tells the outside. The trainer emits events and knows no sink; a sink reads events and
 * knows no trainer. An event carries no time: sinks that show one have their own clock, so that the
 * training path stays free of clocks.
 */

/** Metric name (`loss`, `rewards/chosen`, `risk/tau`, ...) to value. */
export type MetricValues = Readonly<Record<string, number>>;

/** Name (`margins`, `rewards/chosen`, ...) to the value of each pair of a step. */
export type Distributions = Readonly<Record<string, Float64Array>>;

/** A held-out prompt as answered by the reference (or the model before training) and by the policy. */
export interface AnsweredPrompt {
  readonly prompt: string;
  readonly reference: string;
  readonly policy: string;
}

/** One finished optimizer step. */
export interface StepEvent {
  readonly type: "step";
  /** 1-based. */
  readonly step: number;
  readonly totalSteps: number;
  /** Pairs of this step, all micro-batches together. */
  readonly pairs: number;
  /** Tokens of this step: prompt and answer of every sequence, as transformers counts them. */
  readonly tokens: number;
  /** Mean margin (without beta); absent without a reference. */
  readonly margin?: number;
  /** Mean beta used; absent for a mode without one. */
  readonly beta?: number;
  readonly metrics: MetricValues;
  /** What means hide: margins (without beta) and rewards of all pairs, in no order that counts. */
  readonly distributions?: Distributions;
  /** Bytes that the run holds on the GPU; absent where nobody counts them. */
  readonly gpuBytes?: number;
}

export type RunEvent =
  | { readonly type: "plan"; readonly lines: readonly string[] }
  | { readonly type: "notice"; readonly text: string }
  /** A long phase outside the steps, e.g. reference log-probabilities or an evaluation. */
  | {
    readonly type: "progress";
    readonly what: string;
    readonly done: number;
    readonly total: number;
  }
  /** Training begins after `step` finished steps: 0, or more on resume. */
  | { readonly type: "start"; readonly step: number; readonly totalSteps: number }
  | StepEvent
  | {
    readonly type: "evaluation";
    readonly step: number;
    readonly pairs: number;
    readonly metrics: MetricValues;
  }
  /** Answers of the policy as it is after `step` steps. */
  | {
    readonly type: "samples";
    readonly step: number;
    readonly samples: readonly AnsweredPrompt[];
  }
  | { readonly type: "checkpoint"; readonly step: number; readonly path: string }
  /** Training waits after `step` until it is told to go on, or goes on. */
  | { readonly type: "paused" | "resumed"; readonly step: number }
  | { readonly type: "end"; readonly lines: readonly string[] };

/** A place metrics go to. */
export interface Sink {
  accept(event: RunEvent): void;
  /**
   * The run is over.
   *
   * @param code its exit code; absent where there is none
   * @returns a promise where something is still on its way; it is never rejected
   */
  close?(code?: number): void | Promise<void>;
}

/** One sink that passes every event on to all of `sinks`, in order. */
export function fanOut(sinks: readonly Sink[]): Sink {
  return {
    accept: (event) => sinks.forEach((sink) => sink.accept(event)),
    async close(code) {
      await Promise.all(sinks.map((sink) => sink.close?.(code)));
    },
  };
}
