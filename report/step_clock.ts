/** Seconds since the start, seconds of each step and tokens a second, by a clock of the sink's own. */
export class StepClock {
  readonly #clock: () => number;
  readonly #start: number;
  #last: number;

  /** @param clock milliseconds; the first step begins now */
  constructor(clock: () => number) {
    this.#clock = clock;
    this.#start = this.#last = clock();
  }

  /** What came since the last step was no part of the next one. */
  mark(): void {
    this.#last = this.#clock();
  }

  /** The timings of a step that ends now, rounded to milliseconds. */
  step(tokens: number): Record<string, number> {
    const now = this.#clock();
    const seconds = Math.max(1e-9, (now - this.#last) / 1000);
    this.#last = now;
    return {
      "time/elapsed": rounded((now - this.#start) / 1000),
      "time/step": rounded(seconds),
      "time/tokens_per_second": rounded(tokens / seconds),
    };
  }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
