/**
 * float32 to the types that are written. Q8_0 is GGML's: a block of 32 values has the scale
 * d = max |x| / 127, stored as float16, and q = round(x / d) with halves away from zero; d is rounded
 * to float16 only after q is computed with the float32 one.
 */
import { encodeFloats } from "../dtype.ts";

/** Types that are written. */
export type WrittenType = "F32" | "F16" | "Q8_0";

const BLOCK = 32, BYTES = 34, { fround, abs, floor } = Math;

/**
 * Encodes values; a number of them that the blocks of the type divide. What is beyond the range of
 * float16 becomes infinite.
 */
export function quantize(type: WrittenType, values: Float32Array): Uint8Array {
  if (type !== "Q8_0") return encodeFloats(type, values);
  const out = new Uint8Array(values.length / BLOCK * BYTES);
  const view = new DataView(out.buffer);
  for (let from = 0, at = 0; from < values.length; from += BLOCK, at += BYTES) {
    let largest = 0;
    for (let i = from; i < from + BLOCK; i++) largest = Math.max(largest, abs(values[i]));
    const d = fround(largest / 127);
    // Below 2^-128 the inverse is no float32; such a block is stored as zeros either way.
    const inverse = fround(1 / d) < Infinity ? fround(1 / d) : 0;
    view.setFloat16(at, d, true);
    for (let i = 0; i < BLOCK; i++) {
      const x = fround(values[from + i] * inverse);
      // Float32 has the half exactly, so that the sum may be done in float64.
      const q = floor(abs(x) + 0.5);
      out[at + 2 + i] = x < 0 ? -q : q;
    }
  }
  return out;
}
