/**
 * Blocks of GGUF files to float32. The formulas are GGML's, every product and sum rounded to float32 in
 * its order, so that the values are the same bits as those of other readers. d is a block's scale, m
 * its minimum, q the stored integer.
 */
import { decodeFloats } from "../dtype.ts";
import { blockOf, type ReadableType } from "./tensor_types.ts";

const { fround } = Math;

/**
 * Decodes whole blocks.
 *
 * @param bytes whole blocks, at an even offset of its buffer (a multiple of 4 for F32)
 * @param out as many values as the blocks hold
 */
export function dequantize(type: ReadableType, bytes: Uint8Array, out: Float32Array): void {
  if (type === "F32" || type === "F16" || type === "BF16") {
    decodeFloats(type, bytes, out);
    return;
  }
  const decode = DECODERS[type];
  const { values, bytes: width } = blockOf(type);
  const scales = new Float32Array(8), minima = new Float32Array(8);
  const context = { bytes, half: halfReader(bytes), out, scales, minima };
  for (let at = 0, to = 0; at < bytes.length; at += width, to += values) decode(context, at, to);
}

interface Context {
  readonly bytes: Uint8Array;
  /** The float16 at a byte offset, as a number. */
  readonly half: (at: number) => number;
  readonly out: Float32Array;
  /** Room for what the eight parts of a 256-value block share. */
  readonly scales: Float32Array;
  readonly minima: Float32Array;
}

type Decoder = (context: Context, at: number, to: number) => void;

function halfReader(bytes: Uint8Array): (at: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (at) => view.getFloat16(at, true);
}

const DECODERS: Readonly<Record<Exclude<ReadableType, "F32" | "F16" | "BF16">, Decoder>> = {
  /** d, 32 signed bytes: q d */
  Q8_0({ bytes, half, out }, at, to) {
    const d = half(at);
    for (let i = 0; i < 32; i++) out[to + i] = (bytes[at + 2 + i] << 24 >> 24) * d;
  },

  /** d, 16 bytes of two nibbles, low ones first: (q - 8) d */
  Q4_0({ bytes, half, out }, at, to) {
    const d = half(at);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 2 + i];
      out[to + i] = ((byte & 15) - 8) * d;
      out[to + 16 + i] = ((byte >> 4) - 8) * d;
    }
  },

  /** d, m, nibbles: q d + m */
  Q4_1({ bytes, half, out }, at, to) {
    const d = half(at), m = half(at + 2);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 4 + i];
      out[to + i] = fround((byte & 15) * d) + m;
      out[to + 16 + i] = fround((byte >> 4) * d) + m;
    }
  },

  /** d, 32 fifth bits, nibbles: (q - 16) d */
  Q5_0({ bytes, half, out }, at, to) {
    const d = half(at), high = fifthBits(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 6 + i];
      out[to + i] = ((byte & 15 | (high >>> i & 1) << 4) - 16) * d;
      out[to + 16 + i] = ((byte >> 4 | (high >>> i + 16 & 1) << 4) - 16) * d;
    }
  },

  /** d, m, 32 fifth bits, nibbles: q d + m */
  Q5_1({ bytes, half, out }, at, to) {
    const d = half(at), m = half(at + 2), high = fifthBits(bytes, at + 4);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 8 + i];
      out[to + i] = fround((byte & 15 | (high >>> i & 1) << 4) * d) + m;
      out[to + 16 + i] = fround((byte >> 4 | (high >>> i + 16 & 1) << 4) * d) + m;
    }
  },

  /** 8 parts of 32 values with a 6-bit scale and minimum each, nibbles of two parts in a byte */
  Q4_K(context, at, to) {
    const { bytes, out, scales, minima } = context;
    readScales(context, at);
    for (let i = 0; i < 256; i++) {
      const part = i >> 5;
      const q = bytes[at + 16 + (part >> 1) * 32 + (i & 31)] >> (part & 1) * 4 & 15;
      out[to + i] = fround(scales[part] * q) - minima[part];
    }
  },

  /** as Q4_K, with 32 bytes of fifth bits, a bit for each part */
  Q5_K(context, at, to) {
    const { bytes, out, scales, minima } = context;
    readScales(context, at);
    for (let i = 0; i < 256; i++) {
      const part = i >> 5;
      const low = bytes[at + 48 + (part >> 1) * 32 + (i & 31)] >> (part & 1) * 4 & 15;
      const q = low | (bytes[at + 16 + (i & 31)] >> part & 1) << 4;
      out[to + i] = fround(scales[part] * q) - minima[part];
    }
  },

  /** 128 bytes of low nibbles, 64 of two high bits, 16 signed scales, d: (q - 32) (d scale) */
  Q6_K({ bytes, half, out }, at, to) {
    const d = half(at + 208);
    for (let i = 0; i < 256; i++) {
      const part = i >> 7, quarter = i >> 5 & 3, column = i & 31;
      const low = bytes[at + part * 64 + (quarter & 1) * 32 + column] >> (quarter >> 1) * 4 & 15;
      const high = bytes[at + 128 + part * 32 + column] >> quarter * 2 & 3;
      const scale = fround(d * (bytes[at + 192 + (i >> 4)] << 24 >> 24));
      out[to + i] = scale * ((low | high << 4) - 32);
    }
  },
};

function fifthBits(bytes: Uint8Array, at: number): number {
  return bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24;
}

/**
 * d, dmin and 12 bytes with eight 6-bit scales and eight 6-bit minima: the first four of each have a
 * byte's low six bits, the last four a nibble of bytes 8..11 and the two high bits that were left.
 */
function readScales({ bytes, half, scales, minima }: Context, at: number): void {
  const d = half(at), dmin = half(at + 2), packed = at + 4;
  for (let j = 0; j < 4; j++) {
    const a = bytes[packed + j], b = bytes[packed + 4 + j], c = bytes[packed + 8 + j];
    scales[j] = d * (a & 63);
    minima[j] = dmin * (b & 63);
    scales[j + 4] = d * (c & 15 | a >> 2 & 48);
    minima[j + 4] = dmin * (c >> 4 | b >> 2 & 48);
  }
}
