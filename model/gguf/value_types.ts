/**
 * The metadata values of a GGUF file: numbers of ten kinds, booleans, texts, and flat arrays of them.
 * Little-endian, as is every platform Deno runs on, so typed array views read arrays as they lie.
 */

/** Kinds of numbers, with the typed array that holds many of them. */
export const NUMBER_ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f64: Float64Array,
} as const;

export type NumberType = keyof typeof NUMBER_ARRAYS;
export type NumberArray = InstanceType<(typeof NUMBER_ARRAYS)[NumberType]>;

/** A kind of single value. */
export type ScalarType = NumberType | "bool" | "string";

/** Codes of the kinds in files; 9 is an array. */
const CODES: Readonly<Record<ScalarType, number>> = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  u64: 10,
  i64: 11,
  f64: 12,
};

export const ARRAY_CODE = 9;

/** A value of a file's metadata; 64-bit integers are bigint, booleans in arrays are 0 and 1. */
export type GgufValue =
  | { readonly type: NumberType; readonly value: number | bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "array"; readonly of: NumberType; readonly value: NumberArray }
  | { readonly type: "array"; readonly of: "bool"; readonly value: Uint8Array }
  | { readonly type: "array"; readonly of: "string"; readonly value: readonly string[] };

/** Metadata by key, in the file's order. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** The kind with this code; undefined when there is none (an array is none). */
export function scalarType(code: number): ScalarType | undefined {
  return (Object.keys(CODES) as ScalarType[]).find((type) => CODES[type] === code);
}

/** The code of a kind. */
export function codeOf(type: ScalarType): number {
  return CODES[type];
}
