/**
 * How values lie in GPU memory: f32, or f16 packed four to a `vec2<u32>`, which needs no feature of the
 * adapter. Kernels compute in f32 whatever they read and write; see `docs/numerics.md`.
 */
export type Storage = "f32" | "f16";

/** Bytes of a value. */
export function valueBytes(storage: Storage = "f32"): number {
  return storage === "f16" ? 2 : 4;
}

/**
 * WGSL of `pack_f16`: four values as f16, rounded to nearest, ties to even. On bits, because WGSL leaves
 * the rounding of `pack2x16float` to the adapter, and some of them truncate. Finite values beyond 65504
 * become that, so that one large activation does not poison a run; infinities and NaN stay what they
 * are, so that a broken run is still found.
 */
export const PACK_F16 = `fn pack_f16(value: vec4<f32>) -> vec2<u32> {
  let bits = bitcast<vec4<u32>>(value);
  let size = bits & vec4<u32>(0x7fffffffu);
  let finite = min(size, vec4<u32>(0x477fe000u));
  let odd = (finite >> vec4<u32>(13u)) & vec4<u32>(1u);
  let normal = (finite - vec4<u32>(0x37fff001u) + odd) >> vec4<u32>(13u);
  // Below 2^-14 f16 has steps of 2^-24, as f32 has them from 0.5 on.
  let small = bitcast<vec4<u32>>(bitcast<vec4<f32>>(finite) + 0.5) - vec4<u32>(0x3f000000u);
  let rounded = select(normal, small, finite < vec4<u32>(0x38800000u));
  let special = select(vec4<u32>(0x7c00u), vec4<u32>(0x7e00u), size > vec4<u32>(0x7f800000u));
  let half = ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u)) |
    select(rounded, special, size >= vec4<u32>(0x7f800000u));
  return vec2<u32>(half.x | (half.y << 16u), half.z | (half.w << 16u));
}
`;

/** WGSL of the values of an expression of type `vec2<u32>`. */
export function unpackF16(packed: string): string {
  return `vec4<f32>(unpack2x16float(${packed}.x), unpack2x16float(${packed}.y))`;
}
