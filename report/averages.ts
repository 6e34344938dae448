import type { MetricValues } from "./events.ts";

/** Metrics of which the last value counts, not an average. */
const LAST_VALUE = new Set(["learning_rate", "epoch", "num_tokens"]);

/**
 * Averages of metrics over all pairs since the last `take`: a step of twice the pairs counts twice,
 * and a metric that only some steps have is averaged over those.
 */
export class PairAverages {
  #sums = new Map<string, number>();
  #weights = new Map<string, number>();

  /** Adds the metrics of a step with so many pairs. */
  add(metrics: MetricValues, pairs: number): void {
    for (const [name, value] of Object.entries(metrics)) {
      if (LAST_VALUE.has(name)) {
        this.#sums.set(name, value * pairs);
        this.#weights.set(name, pairs);
      } else {
        this.#sums.set(name, (this.#sums.get(name) ?? 0) + value * pairs);
        this.#weights.set(name, (this.#weights.get(name) ?? 0) + pairs);
      }
    }
  }

  /** The averages so far. */
  values(): Record<string, number> {
    const values: Record<string, number> = {};
    for (const [name, sum] of this.#sums) {
      values[name] = sum / (this.#weights.get(name) ?? 1);
    }
    return values;
  }

  /** The averages so far; begins anew. */
  take(): Record<string, number> {
    const values = this.values();
    this.#sums.clear();
    this.#weights.clear();
    return values;
  }
}
