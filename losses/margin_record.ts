/** One line of `margins.jsonl`: the distribution of the margins of an optimizer step. */
import { quantileOfSorted } from "./quantile.ts";
import { deviation, mean } from "./running_stats.ts";

/** Names are the file's; the writer adds epoch, step, npy, rows and beta_used. */
export interface MarginRecord {
  readonly batch_size: number;
  readonly mean: number;
  /** Population standard deviation. */
  readonly std: number;
  readonly min: number;
  readonly p10: number;
  readonly median: number;
  readonly p90: number;
  readonly max: number;
  /** Share of margins above 0. */
  readonly pos_frac: number;
  /** The first margins, in the order of the batch. */
  readonly sample: readonly number[];
}

/**
 * Summary of margins [B]; percentiles interpolate linearly. A `sampleSize` of 0 keeps all of them in
 * `sample`.
 *
 * @throws RangeError when there are no margins
 */
export function marginRecord(margins: Float64Array, sampleSize: number): MarginRecord {
  const sorted = Float64Array.from(margins).sort();
  const center = mean(margins);
  return {
    batch_size: margins.length,
    mean: center,
    std: deviation(margins, center),
    min: sorted[0],
    p10: quantileOfSorted(sorted, 0.1),
    median: quantileOfSorted(sorted, 0.5),
    p90: quantileOfSorted(sorted, 0.9),
    max: sorted[sorted.length - 1],
    pos_frac: margins.filter((margin) => margin > 0).length / margins.length,
    sample: Array.from(sampleSize === 0 ? margins : margins.subarray(0, sampleSize)),
  };
}
