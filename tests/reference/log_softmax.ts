/** Log-probability of one target a row, in float64. */
import type { Numbers } from "./matmul.ts";

/** Each row's largest logit and the log of the sum of exp(logit - largest). */
function normalizer(logits: Numbers, row: number, width: number): [top: number, rest: number] {
  let top = -Infinity, sum = 0;
  for (let c = 0; c < width; c++) top = Math.max(top, logits[row * width + c]);
  for (let c = 0; c < width; c++) sum += Math.exp(logits[row * width + c] - top);
  return [top, Math.log(sum)];
}

/**
 * logp [rows] of `targets` [rows], lse [rows], the log of the sum of exp(logit), and squares [rows], the
 * log of the sum of squared probabilities; logits [rows, width].
 */
export function logSoftmax(
  logits: Numbers,
  targets: Numbers,
): { logp: Float64Array; lse: Float64Array; squares: Float64Array } {
  const rows = targets.length, width = logits.length / rows;
  const logp = new Float64Array(rows), lse = new Float64Array(rows);
  const squares = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const [top, rest] = normalizer(logits, r, width);
    logp[r] = logits[r * width + targets[r]] - top - rest;
    lse[r] = top + rest;
    let sum = 0;
    for (let c = 0; c < width; c++) sum += Math.exp(2 * (logits[r * width + c] - lse[r]));
    squares[r] = Math.log(sum);
  }
  return { logp, lse, squares };
}

/** d logits [rows, width] = seed * (onehot - softmax). */
export function logSoftmaxBackward(
  logits: Numbers,
  targets: Numbers,
  seeds: Numbers,
): Float64Array {
  const rows = targets.length, width = logits.length / rows;
  const d = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    const [top, rest] = normalizer(logits, r, width);
    for (let c = 0; c < width; c++) {
      const probability = Math.exp(logits[r * width + c] - top - rest);
      d[r * width + c] = seeds[r] * ((c === targets[r] ? 1 : 0) - probability);
    }
  }
  return d;
}
