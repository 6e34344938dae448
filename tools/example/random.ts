/**
 * Draws for the example's text. Draw n of the stream (seed, name) depends on nothing else, so row 17
 * reads the same however many rows are made around it.
 */
import { uniformStream } from "../../data/philox.ts";

/** A row of draws; two with the same seed and name give the same draws. */
export class Draws {
  #counter = 0;
  readonly #uniform: (counter: number) => number;

  /** `seed` is a non-negative safe integer; `name` keeps different uses of a seed apart. */
  constructor(seed: number, name: string) {
    this.#uniform = uniformStream(seed, `example/${name}`);
  }

  /** Next number in (0, 1). */
  uniform(): number {
    return this.#uniform(this.#counter++);
  }

  /** Next integer in low .. high, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low + 1));
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** One item of a list that is not empty. */
  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.uniform() * items.length)];
  }

  /** One item of a list that is not `other` (compared by identity); the list has at least two items. */
  pickOther<T>(items: readonly T[], other: T): T {
    return this.pick(items.filter((item) => item !== other));
  }

  /** Index of a weight, drawn in proportion to the weights (not negative, not all 0). */
  weighted(weights: readonly number[]): number {
    let left = this.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
    for (let i = 0; i < weights.length; i++) {
      left -= weights[i];
      if (left < 0) return i;
    }
    return weights.length - 1;
  }
}
