/** Means, deviations and their exponential moving averages. */

/** Arithmetic mean, summed in the order of the values; NaN for none. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/**
 * Root mean square of `values[i] - center` with divisor n - ddof (0: population, 1: sample).
 * Scaled by the largest deviation, so that the squares neither overflow nor underflow. 0 where the
 * divisor is not positive.
 */
export function deviation(values: ArrayLike<number>, center: number, ddof = 0): number {
  const divisor = values.length - ddof;
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    largest = Math.max(largest, Math.abs(values[i] - center));
  }
  if (divisor <= 0 || largest === 0) return 0;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const scaled = (values[i] - center) / largest;
    sum += scaled * scaled;
  }
  return largest * Math.sqrt(sum / divisor);
}

/** Moving average: momentum * previous + (1 - momentum) * value. */
export function movingAverage(previous: number, value: number, momentum: number): number {
  return momentum * previous + (1 - momentum) * value;
}
