/** Quantiles with linear interpolation: Hyndman and Fan's type 7, the default of numpy and torch. */

/**
 * Type-7 quantile of ascending values: with rank r = q (n - 1) and lo = floor(r),
 * x[lo] + (r - lo) (x[lo + 1] - x[lo]).
 *
 * @throws RangeError when `sorted` is empty or q lies outside [0, 1]
 */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) throw new RangeError("Cannot take a quantile of no values");
  if (!(q >= 0 && q <= 1)) throw new RangeError(`Quantile "${q}" lies outside [0, 1]`);
  const rank = q * (sorted.length - 1);
  const low = Math.floor(rank);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (rank - low) * (sorted[high] - sorted[low]);
}

/** Type-7 quantile of finite values in any order; see {@linkcode quantileOfSorted}. */
export function quantile(values: ArrayLike<number>, q: number): number {
  return quantileOfSorted(Float64Array.from(values).sort(), q);
}
