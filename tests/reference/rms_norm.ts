/** Root-mean-square norm (arXiv 1910.07467) in float64. */
import type { Numbers } from "./matmul.ts";

/** y = x inv weight with inv = 1 / sqrt(mean of x^2 + eps), a row at a time; x [rows, width]. */
export function rmsNorm(
  x: Numbers,
  weight: Numbers,
  eps: number,
): { y: Float64Array; inv: Float64Array } {
  const width = weight.length, rows = x.length / width;
  const y = new Float64Array(rows * width), inv = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let squares = 0;
    for (let c = 0; c < width; c++) squares += x[r * width + c] ** 2;
    inv[r] = 1 / Math.sqrt(squares / width + eps);
    for (let c = 0; c < width; c++) y[r * width + c] = x[r * width + c] * inv[r] * weight[c];
  }
  return { y, inv };
}

/** Gradients of {@linkcode rmsNorm} for the gradient dy [rows, width] of y. */
export function rmsNormBackward(
  x: Numbers,
  weight: Numbers,
  dy: Numbers,
  eps: number,
): { dx: Float64Array; dWeight: Float64Array } {
  const width = weight.length, rows = x.length / width;
  const { inv } = rmsNorm(x, weight, eps);
  const dx = new Float64Array(rows * width), dWeight = new Float64Array(width);
  for (let r = 0; r < rows; r++) {
    let dot = 0;
    for (let c = 0; c < width; c++) {
      const at = r * width + c;
      dot += dy[at] * weight[c] * x[at];
      dWeight[c] += dy[at] * x[at] * inv[r];
    }
    for (let c = 0; c < width; c++) {
      const at = r * width + c;
      dx[at] = dy[at] * weight[c] * inv[r] - x[at] * inv[r] ** 3 * dot / width;
    }
  }
  return { dx, dWeight };
}
