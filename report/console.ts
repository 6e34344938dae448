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

const CLEAR_LINE = "\r\x1b[2K";

/** A sink that writes the run to a terminal or a plain stream. */
export function consoleSink(options: ConsoleOptions): Sink {
  const averages = new PairAverages();
  const pace = new Pace(options.clock);
  let open = false;

  function line(text: string): void {
    options.write((open ? CLEAR_LINE : "") + text + "\n");
    open = false;
  }
  function rewrite(text: string): void {
    const width = (options.columns ?? 80) - 1;
    options.write(CLEAR_LINE + (text.length > width ? text.slice(0, width) : text));
    open = true;
  }
  function step(event: StepEvent): void {
    pace.step(event);
    averages.add(shownValues(event), event.pairs);
    const last = event.step === event.totalSteps;
    if (last || event.step % options.logSteps === 0) {
      line(progressText(event, averages.take(), pace));
      pace.mark();
    } else if (options.terminal) {
      rewrite(progressText(event, averages.values(), pace));
    }
  }

  return {
    accept(event: RunEvent) {
      switch (event.type) {
        case "plan":
        case "end":
          return event.lines.forEach(line);
        case "notice":
          return line(event.text);
        case "progress":
          if (options.terminal) rewrite(`${event.what}: ${event.done}/${event.total}`);
          else if (event.done === event.total) line(`${event.what}: ${event.total}`);
          return;
        case "start":
          return pace.start(event.step);
        case "step":
          return step(event);
        case "evaluation":
          return line(evaluationText(event.step, event.pairs, event.metrics));
        case "checkpoint":
          return line(`Checkpoint of step ${event.step}: ${event.path}`);
      }
    },
    close() {
      if (open) options.write("\n");
      open = false;
    },
  };
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
    this.#markTime = this.#clock();
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
    if (!this.#warm || this.#step === this.#warm.step) return undefined;
    const seconds = (this.#clock() - this.#warm.time) / 1000;
    return seconds / (this.#step - this.#warm.step) * (totalSteps - this.#step);
  }
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
