/**
 * The run as text: on a terminal one line that is rewritten at every step and kept every
 * `logSteps`, elsewhere one plain line every `logSteps`. Numbers are averages over all pairs since
 * the last kept line: the reward accuracy of one small micro-batch is mostly noise.
 */
import { PairAverages } from "./averages.ts";
import type { MetricValues, RunEvent, Sink, StepEvent } from "./events.ts";

export interface ConsoleOptions {
  /** True when a line can be rewritten. */
  readonly terminal: boolean;
  /** Width of the terminal in characters. */
  readonly columns?: number;
  readonly logSteps: number;
  write(text: string): void;
  /** Milliseconds, e.g. `performance.now`. */
  clock(): number;
}

/** Steps left out of the estimate of the time left: they compile kernels. */
const COMPILING_STEPS = 1;

/** Steps of this process after which the time of the whole is told once. */
const ESTIMATE_AFTER = 3;

const CLEAR_LINE = "\r\x1b[2K";

/** A sink that writes the run to a terminal or a plain stream. */
export function consoleSink(options: ConsoleOptions): Sink {
  const averages = new PairAverages();
  const pace = new Pace(options.clock);
  const lines = new Lines(options);

  function step(event: StepEvent): void {
    pace.step(event);
    averages.add(shownValues(event), event.pairs);
    const last = event.step === event.totalSteps;
    if (last || event.step % options.logSteps === 0) {
      lines.keep(progressText(event, averages.take(), pace));
      pace.mark();
    } else if (options.terminal) {
      lines.rewrite(progressText(event, averages.values(), pace));
    }
    const whole = last ? undefined : pace.estimate(event.totalSteps);
    if (whole) lines.keep(`about ${durationText(whole.seconds)} for ${whole.steps} steps`);
  }

  return {
    accept(event: RunEvent) {
      if (event.type !== "progress") lines.endPhase();
      switch (event.type) {
        case "plan":
        case "end":
          return event.lines.forEach((text) => lines.keep(text));
        case "notice":
          return lines.keep(event.text);
        case "progress":
          return lines.phase(event.what, event.done, event.total);
        case "start":
          return pace.start(event.step);
        case "step":
          return step(event);
        case "evaluation":
          lines.keep(evaluationText(event.step, event.pairs, event.metrics));
          return pace.mark();
        case "checkpoint":
          lines.keep(`Checkpoint of step ${event.step}: ${event.path}`);
          return pace.mark();
        case "paused":
          return lines.keep(`Paused after step ${event.step}`);
        case "resumed":
          lines.keep(`Going on after step ${event.step}`);
          return pace.mark();
      }
    },
    close() {
      lines.endPhase();
      lines.end();
    },
  };
}

/** Lines of text, of which the last may still be rewritten. */
class Lines {
  #options: ConsoleOptions;
  /** True while the cursor stands behind a line that can be rewritten. */
  #open = false;
  /** The phase in progress: its name and the text that has to stay when it ends. */
  #phase: { readonly what: string; readonly text: string } | undefined;
  #broken = false;

  constructor(options: ConsoleOptions) {
    this.#options = options;
  }

  /** A line that stays, in the place of the one that can be rewritten. */
  keep(text: string): void {
    this.#write((this.#open ? CLEAR_LINE : "") + text + "\n");
    this.#open = false;
  }

  rewrite(text: string): void {
    const width = (this.#options.columns ?? 80) - 1;
    this.#write(CLEAR_LINE + (text.length > width ? text.slice(0, width) : text));
    this.#open = true;
  }

  /** Progress of a phase: rewritten on a terminal; its last state stays, there and elsewhere. */
  phase(what: string, done: number, total: number): void {
    if (this.#phase?.what !== what) this.endPhase();
    this.#phase = { what, text: `${what}: ${done}/${total}` };
    if (done === total) this.endPhase();
    else if (this.#options.terminal) this.rewrite(this.#phase.text);
  }

  endPhase(): void {
    if (this.#phase) this.keep(this.#phase.text);
    this.#phase = undefined;
  }

  end(): void {
    if (this.#open) this.#write("\n");
    this.#open = false;
  }

  /** Who reads may go away (`| head`, a closed terminal); the run goes on without. */
  #write(text: string): void {
    if (this.#broken) return;
    try {
      this.#options.write(text);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#broken = true;
    }
  }
}

/** True for what the system says, e.g. a broken pipe, and false for faults of the program. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && (error.name in Deno.errors || "code" in error);
}

/** Speed since the last kept line, and the time left. */
class Pace {
  #clock: () => number;
  #first = 0;
  #warm: { step: number; time: number } | undefined;
  #markTime = 0;
  #tokens = 0;
  #step = 0;

  constructor(clock: () => number) {
    this.#clock = clock;
  }
  start(finished: number): void {
    this.#first = finished;
    this.mark();
  }
  step(event: StepEvent): void {
    this.#step = event.step;
    this.#tokens += event.tokens;
    if (!this.#warm && event.step - this.#first >= COMPILING_STEPS) {
      this.#warm = { step: event.step, time: this.#clock() };
    }
  }
  tokensPerSecond(): number {
    return this.#tokens / Math.max(1e-3, (this.#clock() - this.#markTime) / 1000);
  }
  /** Seconds for the remaining steps; undefined until a step after the compiling ones is done. */
  secondsLeft(totalSteps: number): number | undefined {
    const each = this.#secondsPerStep();
    return each === undefined ? undefined : each * (totalSteps - this.#step);
  }
  /** The steps of this process and their seconds, at the one step at which that is told. */
  estimate(totalSteps: number): { steps: number; seconds: number } | undefined {
    const each = this.#secondsPerStep();
    if (each === undefined || this.#step - this.#first !== ESTIMATE_AFTER) return undefined;
    const steps = totalSteps - this.#first;
    return { steps, seconds: each * steps };
  }
  #secondsPerStep(): number | undefined {
    if (!this.#warm || this.#step === this.#warm.step) return undefined;
    const seconds = (this.#clock() - this.#warm.time) / 1000;
    return seconds / (this.#step - this.#warm.step);
  }
  /** Begins to measure the speed anew: what came before, or took time beside the steps, is out. */
  mark(): void {
    this.#markTime = this.#clock();
    this.#tokens = 0;
  }
}

function shownValues(event: StepEvent): MetricValues {
  const values: Record<string, number> = {};
  const take = (name: string, value: number | undefined) => {
    if (value !== undefined) values[name] = value;
  };
  take("loss", event.metrics["loss"]);
  take("accuracy", event.metrics["rewards/accuracies"]);
  take("margin", event.margin);
  take("beta", event.beta);
  return values;
}

function progressText(event: StepEvent, values: MetricValues, pace: Pace): string {
  const parts = [`step ${event.step}/${event.totalSteps}`];
  if (values.loss !== undefined) parts.push(`loss ${values.loss.toFixed(4)}`);
  if (values.accuracy !== undefined) parts.push(`accuracy ${values.accuracy.toFixed(3)}`);
  if (values.margin !== undefined) parts.push(`margin ${values.margin.toFixed(3)}`);
  if (values.beta !== undefined) parts.push(`beta ${values.beta.toPrecision(4)}`);
  parts.push(`${Math.round(pace.tokensPerSecond())} tokens/s`);
  const left = pace.secondsLeft(event.totalSteps);
  if (left !== undefined) parts.push(`${durationText(left)} left`);
  return parts.join("  ");
}

function evaluationText(step: number, pairs: number, metrics: MetricValues): string {
  const parts = [`evaluation at step ${step}, ${pairs} pairs`];
  for (const name of ["eval_loss", "eval_loss_beta0", "eval_rewards/accuracies"]) {
    if (metrics[name] !== undefined) parts.push(`${name} ${metrics[name].toFixed(4)}`);
  }
  return parts.join("  ");
}

/** Seconds as `45 s`, `3 min 20 s` or `2 h 05 min`. */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
