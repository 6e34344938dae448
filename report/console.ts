/**
 * The run as text: on a terminal one line that is rewritten at every step and kept every
 * `logSteps`, elsewhere one plain line every `logSteps`. Numbers are averages over all pairs since
 * the last kept line: the reward accuracy of one small micro-batch is mostly noise.
 *
 * With `chart`, the courses of loss and margin stand above the line that is rewritten, and once, for
 * good, before the closing lines.
 */
import { PairAverages } from "./averages.ts";
import { chartLines, Course } from "./chart.ts";
import { lastingWriter } from "./plain_outputs.ts";
import type { MetricValues, RunEvent, Sink, StepEvent } from "./events.ts";

export interface ConsoleOptions {
  /** True when a line can be rewritten. */
  readonly terminal: boolean;
  /** Width of the terminal in characters. */
  readonly columns?: number;
  readonly logSteps: number;
  /** Draw loss and margin. */
  readonly chart?: boolean;
  /** Draw in colour: only where the terminal shows it and the user wants it. */
  readonly colour?: boolean;
  write(text: string): void;
  /** Milliseconds, e.g. `performance.now`. */
  clock(): number;
}

/** Steps left out of the estimate of the time left: they compile kernels. */
const COMPILING_STEPS = 1;

/** Steps of this process after which the time of the whole is told once. */
const ESTIMATE_AFTER = 3;

const CLEAR_LINE = "\r\x1b[2K";

/** What is drawn, by its title, in an ANSI colour. */
const CHARTS = [{ title: "loss", colour: 36 }, { title: "margin", colour: 33 }] as const;

/** A sink that writes the run to a terminal or a plain stream. */
export function consoleSink(options: ConsoleOptions): Sink {
  const averages = new PairAverages();
  const pace = new Pace(options.clock);
  const lines = new Lines(options);
  const charts = options.chart ? new Charts(options) : undefined;

  function step(event: StepEvent): void {
    pace.step(event);
    averages.add(shownValues(event), event.pairs);
    charts?.step(event);
    const last = event.step === event.totalSteps;
    if (last || event.step % options.logSteps === 0) {
      lines.keep(progressText(event, averages.take(), pace));
      pace.mark();
    } else if (options.terminal) {
      lines.rewrite(progressText(event, averages.values(), pace), charts?.lines());
    }
    const whole = last ? undefined : pace.estimate(event.totalSteps);
    if (whole) lines.keep(`about ${durationText(whole.seconds)} for ${whole.steps} steps`);
  }

  return {
    accept(event: RunEvent) {
      if (event.type !== "progress") lines.endPhase();
      switch (event.type) {
        case "end":
          charts?.lines().forEach((text) => lines.keep(text));
          return event.lines.forEach((text) => lines.keep(text));
        case "plan":
          return event.lines.forEach((text) => lines.keep(text));
        case "notice":
          return lines.keep(event.text);
        case "progress":
          return lines.phase(event.what, event.done, event.total);
        case "start":
          return pace.start(event.step);
        case "step":
          return step(event);
        case "samples":
          // The closing lines show them.
          return;
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

/** The courses of loss and margin, beside each other. */
class Charts {
  readonly #options: ConsoleOptions;
  #courses: ReadonlyMap<string, Course> | undefined;

  constructor(options: ConsoleOptions) {
    this.#options = options;
  }

  step({ step, totalSteps, metrics, margin }: StepEvent): void {
    this.#courses ??= new Map(CHARTS.map(({ title }) => [title, new Course(totalSteps)]));
    this.#courses.get("loss")!.add(step, metrics["loss"]);
    if (margin !== undefined) this.#courses.get("margin")!.add(step, margin);
  }

  /** None before the first step. */
  lines(): string[] {
    const courses = this.#courses;
    if (!courses) return [];
    const width = Math.floor(((this.#options.columns ?? 80) - 1) / CHARTS.length) - 1;
    const [left, right] = CHARTS.map(({ title, colour }) =>
      chartLines(courses.get(title)!, {
        title,
        width,
        colour: this.#options.colour ? colour : undefined,
      })
    );
    return left.map((line, i) => `${line} ${right[i]}`);
  }
}

/** Lines of text, of which the last ones may still be rewritten. */
class Lines {
  #options: ConsoleOptions;
  readonly #write: (text: string) => void;
  /** Lines that can be rewritten; the cursor stands at the end of the last of them. */
  #open = 0;
  /** The phase in progress: its name and the text that has to stay when it ends. */
  #phase: { readonly what: string; readonly text: string } | undefined;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#write = lastingWriter((text) => options.write(text));
  }

  /** A line that stays, in the place of those that can be rewritten. */
  keep(text: string): void {
    this.#write(this.#clear() + text + "\n");
    this.#open = 0;
  }

  /** A line that does not stay, under others that do not. */
  rewrite(text: string, above: readonly string[] = []): void {
    const width = (this.#options.columns ?? 80) - 1;
    const line = text.length > width ? text.slice(0, width) : text;
    const before = this.#open === 0 ? CLEAR_LINE : this.#clear();
    this.#write(before + [...above, line].join("\n"));
    this.#open = 1 + above.length;
  }

  /** What clears the lines that can be rewritten and leaves the cursor at the first. */
  #clear(): string {
    if (this.#open === 0) return "";
    return this.#open === 1 ? CLEAR_LINE : `\r\x1b[${this.#open - 1}A\x1b[J`;
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
    if (this.#open > 0) this.#write("\n");
    this.#open = 0;
  }
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
