/** Rotary position embedding (arXiv 2104.09864), halves rotated as Hugging Face stores them. */
import type { Numbers } from "./matmul.ts";

/** x [tokens, heads, D] rotated by sign * angle; `table` [positions, D/2] of (cos, sin). */
export function rotate(
  x: Numbers,
  positions: Numbers,
  table: Numbers,
  heads: number,
  headDim: number,
  sign: 1 | -1,
): Float64Array {
  const y = new Float64Array(x.length), half = headDim / 2;
  for (let t = 0; t < positions.length; t++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < half; i++) {
        const cosine = table[(positions[t] * half + i) * 2];
        const sine = sign * table[(positions[t] * half + i) * 2 + 1];
        const low = (t * heads + h) * headDim + i, high = low + half;
        y[low] = x[low] * cosine - x[high] * sine;
        y[high] = x[high] * cosine + x[low] * sine;
      }
    }
  }
  return y;
}
