/** Layer norm (arXiv 1607.06450) in float64. */
import type { Numbers } from "./matmul.ts";

/** (x - mean) / sqrt(variance + eps) of a row, and 1 / that root. */
function standardized(x: Numbers, row: number, width: number, eps: number) {
  const values = Float64Array.from({ length: width }, (_, c) => x[row * width + c]);
  const mean = values.reduce((a, b) => a + b, 0) / width;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
  const inv = 1 / Math.sqrt(variance + eps);
  return { z: values.map((value) => (value - mean) * inv), inv };
}

/** y [rows, width] of x [rows, width]. */
export function layerNorm(x: Numbers, weight: Numbers, bias: Numbers, eps: number): Float64Array {
  const width = weight.length, y = new Float64Array(x.length);
  for (let r = 0; r < x.length / width; r++) {
    const { z } = standardized(x, r, width, eps);
    for (let c = 0; c < width; c++) y[r * width + c] = z[c] * weight[c] + bias[c];
  }
  return y;
}

/** Gradients of {@linkcode layerNorm} for the gradient dy of y. */
export function layerNormBackward(
  x: Numbers,
  weight: Numbers,
  dy: Numbers,
  eps: number,
): { dx: Float64Array; dWeight: Float64Array; dBias: Float64Array } {
  const width = weight.length, dx = new Float64Array(x.length);
  const dWeight = new Float64Array(width), dBias = new Float64Array(width);
  for (let r = 0; r < x.length / width; r++) {
    const { z, inv } = standardized(x, r, width, eps);
    const g = Float64Array.from(weight, (w, c) => w * dy[r * width + c]);
    const mean = g.reduce((a, b) => a + b, 0) / width;
    const slope = g.reduce((sum, value, c) => sum + value * z[c], 0) / width;
    for (let c = 0; c < width; c++) {
      dx[r * width + c] = inv * (g[c] - mean - z[c] * slope);
      dWeight[c] += dy[r * width + c] * z[c];
      dBias[c] += dy[r * width + c];
    }
  }
  return { dx, dWeight, dBias };
}
