/**
 * Number formats of weight files and their conversion from and to float32, on whole arrays. Files are
 * little-endian, as is every platform Deno runs on, so typed array views read them as they lie.
 */

/** Width in bits of every element type that safetensors knows; most are only recognised, not read. */
const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** Name of an element type in a safetensors header. */
export type Dtype = keyof typeof BITS;

/** Element types whose values this program reads as float32. */
export type FloatDtype = "F32" | "F16" | "BF16" | "F64";

/** Element types this program writes. */
export type StoredDtype = "F32" | "F16" | "BF16";

/** True for the name of a known element type. */
export function isDtype(name: unknown): name is Dtype {
  return typeof name === "string" && Object.hasOwn(BITS, name);
}

/** True for an element type that `decodeFloats` reads. */
export function isFloatDtype(dtype: Dtype): dtype is FloatDtype {
  return dtype === "F32" || dtype === "F16" || dtype === "BF16" || dtype === "F64";
}

/** Width of one element in bits (4 and 6 bit types exist). */
export function bitsOf(dtype: Dtype): number {
  return BITS[dtype];
}

/** Width of one element in bytes. */
export function bytesOf(dtype: FloatDtype): number {
  return BITS[dtype] / 8;
}

/**
 * Converts raw little-endian elements to float32, into `out[0 .. bytes / width]`. F64 is rounded to
 * nearest even; the other types are exact.
 *
 * @param bytes whole elements; its offset in its buffer must be a multiple of the width
 */
export function decodeFloats(dtype: FloatDtype, bytes: Uint8Array, out: Float32Array): void {
  const { buffer, byteOffset } = bytes;
  const n = bytes.byteLength / bytesOf(dtype);
  if (dtype === "F32") {
    out.set(new Float32Array(buffer, byteOffset, n));
  } else if (dtype === "F64") {
    out.set(new Float64Array(buffer, byteOffset, n));
  } else if (dtype === "BF16") {
    // A bfloat16 is the upper half of the float32 of the same value.
    const from = new Uint16Array(buffer, byteOffset, n);
    const to = new Uint32Array(out.buffer, out.byteOffset, n);
    for (let i = 0; i < n; i++) to[i] = from[i] << 16;
  } else {
    // There are only 65,536 float16 values: a table is several times faster than conversion.
    const from = new Uint16Array(buffer, byteOffset, n);
    const to = new Uint32Array(out.buffer, out.byteOffset, n);
    const table = float16Table();
    for (let i = 0; i < n; i++) to[i] = table[from[i]];
  }
}

/**
 * Converts float32 to raw little-endian elements, rounding to nearest, ties to even. Values beyond the
 * range become infinities, NaN stays NaN. For F32 the result is a view of `values`, not a copy.
 */
export function encodeFloats(
  dtype: StoredDtype,
  values: Float32Array,
): Uint8Array<ArrayBufferLike> {
  if (dtype === "F32") {
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }
  if (dtype === "F16") return new Uint8Array(new Float16Array(values).buffer);
  const from = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const to = new Uint16Array(values.length);
  for (let i = 0; i < from.length; i++) {
    const bits = from[i];
    // NaN apart: rounding up could carry its payload into the sign; a quiet NaN is kept instead.
    to[i] = (bits & 0x7fffffff) > 0x7f800000
      ? (bits >>> 16) | 0x40
      : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
  return new Uint8Array(to.buffer);
}

/** Index of the first NaN or infinity, -1 if all values are finite. Looks at the exponent bits. */
export function firstNonFinite(values: Float32Array): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i] & 0x7f800000) === 0x7f800000) return i;
  }
  return -1;
}

let float16Bits: Uint32Array | undefined;

/** float32 bits of every float16, [65536]; bits, because a NaN may change on its way through a number. */
function float16Table(): Uint32Array {
  if (float16Bits === undefined) {
    const all = new Float16Array(new Uint16Array(65536).map((_, i) => i).buffer);
    float16Bits = new Uint32Array(new Float32Array(all).buffer);
  }
  return float16Bits;
}
