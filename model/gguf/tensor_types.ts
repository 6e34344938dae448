/**
 * How GGUF files store numbers: in blocks along a row, each of a fixed number of values and bytes. All
 * types that files may have are known, so that a refusal can name them; those of `READABLE` are read.
 */

/** Values and bytes of a block. */
interface BlockSize {
  readonly code: number;
  readonly values: number;
  readonly bytes: number;
}

const block = (code: number, values: number, bytes: number): BlockSize => ({ code, values, bytes });

const TYPES = {
  F32: block(0, 1, 4),
  F16: block(1, 1, 2),
  Q4_0: block(2, 32, 18),
  Q4_1: block(3, 32, 20),
  Q5_0: block(6, 32, 22),
  Q5_1: block(7, 32, 24),
  Q8_0: block(8, 32, 34),
  Q8_1: block(9, 32, 40),
  Q2_K: block(10, 256, 84),
  Q3_K: block(11, 256, 110),
  Q4_K: block(12, 256, 144),
  Q5_K: block(13, 256, 176),
  Q6_K: block(14, 256, 210),
  Q8_K: block(15, 256, 292),
  IQ2_XXS: block(16, 256, 66),
  IQ2_XS: block(17, 256, 74),
  IQ3_XXS: block(18, 256, 98),
  IQ1_S: block(19, 256, 50),
  IQ4_NL: block(20, 32, 18),
  IQ3_S: block(21, 256, 110),
  IQ2_S: block(22, 256, 82),
  IQ4_XS: block(23, 256, 136),
  I8: block(24, 1, 1),
  I16: block(25, 1, 2),
  I32: block(26, 1, 4),
  I64: block(27, 1, 8),
  F64: block(28, 1, 8),
  IQ1_M: block(29, 256, 56),
  BF16: block(30, 1, 2),
  TQ1_0: block(34, 256, 54),
  TQ2_0: block(35, 256, 66),
  MXFP4: block(39, 32, 17),
} as const;

/** Name of a storage type, as GGML spells it. */
export type GgmlType = keyof typeof TYPES;

/** Types whose values are read as float32. */
export const READABLE = [
  "F32",
  "F16",
  "BF16",
  "Q8_0",
  "Q4_0",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q4_K",
  "Q5_K",
  "Q6_K",
] as const satisfies readonly GgmlType[];

export type ReadableType = (typeof READABLE)[number];

/** Values and bytes of a block of this type. */
export function blockOf(type: GgmlType): BlockSize {
  return TYPES[type];
}

/** The type with this code; undefined for an unknown one. */
export function ggmlType(code: number): GgmlType | undefined {
  return (Object.keys(TYPES) as GgmlType[]).find((type) => TYPES[type].code === code);
}

/** True for a type that `dequantize` reads. */
export function isReadable(type: GgmlType): type is ReadableType {
  return (READABLE as readonly GgmlType[]).includes(type);
}
