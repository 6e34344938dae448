/** How many of the values of single pairs lie where. */

/** Buckets of a histogram; `limits` are their upper ends. */
export interface Buckets {
  readonly limits: readonly number[];
  readonly counts: readonly number[];
}

/** Buckets drawn between the smallest and the largest value. */
const BUCKETS = 30;

/**
 * `count` equal buckets from the smallest to the largest finite value; one bucket where all are equal,
 * none where there is no finite value.
 */
export function bucketsOf(values: Float64Array, count = BUCKETS): Buckets {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return { limits: [], counts: [] };
  const low = finite.reduce((a, b) => Math.min(a, b)),
    high = finite.reduce((a, b) => Math.max(a, b));
  const width = (high - low) / count;
  if (!(width > 0)) return { limits: [high], counts: [finite.length] };
  const counts = new Array<number>(count).fill(0);
  for (const value of finite) counts[Math.min(count - 1, Math.floor((value - low) / width))]++;
  const limits = counts.map((_, i) => i === count - 1 ? high : low + width * (i + 1));
  return { limits, counts };
}
