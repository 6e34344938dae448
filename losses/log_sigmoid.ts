/** The logistic function and its logarithm, exact at both ends. */

/** 1 / (1 + e^-x) without overflow. */
export function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/** log(1 / (1 + e^-x)) = -softplus(-x): no overflow, and full precision for large positive x. */
export function logSigmoid(x: number): number {
  const tail = Math.log1p(Math.exp(-Math.abs(x)));
  return x >= 0 ? -tail : x - tail;
}
