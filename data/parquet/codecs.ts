/**
 * Decompression of Parquet pages. The size of a page is known beforehand; whatever gives more or less is
 * damaged.
 */
import { brotliDecompressSync, constants, gunzipSync, zstdDecompressSync } from "node:zlib";
import { snappyUncompress } from "hyparquet";

/**
 * @param codec as named in the format: `SNAPPY`, `ZSTD`, ...
 * @param size bytes of the page, decompressed.
 * @throws Error when the codec is not known or the result has not that size.
 */
export function decompressPage(bytes: Uint8Array, codec: string, size: number): Uint8Array {
  const page = run(bytes, codec, size);
  if (page.length !== size) {
    throw new Error(`a page has ${page.length} bytes, its header says ${size}`);
  }
  return page;
}

function run(bytes: Uint8Array, codec: string, size: number): Uint8Array {
  // A bound of 0 would be none; one byte more shows that there is too much.
  const bound = { maxOutputLength: size + 1 };
  switch (codec) {
    case "UNCOMPRESSED":
      return bytes;
    case "SNAPPY": {
      const page = new Uint8Array(size);
      snappyUncompress(bytes, page);
      return page;
    }
    case "GZIP":
      return gunzipSync(bytes, { ...bound, finishFlush: constants.Z_FINISH });
    case "BROTLI":
      return brotliDecompressSync(bytes, bound);
    case "ZSTD":
      return size === 0 ? new Uint8Array() : zstdDecompressSync(bytes, bound);
    case "LZ4_RAW":
      return lz4(bytes, size);
    default:
      throw new Error(
        `the compression "${codec}" is not known, write the file with snappy, zstd, gzip, brotli or ` +
          `lz4 (LZ4_RAW)`,
      );
  }
}

/** One LZ4 block: literals and copies in turn, the last literals end it. */
function lz4(input: Uint8Array, size: number): Uint8Array {
  const output = new Uint8Array(size);
  let at = 0, end = 0;
  const byte = () => {
    if (at >= input.length) throw new Error("LZ4 data ends early");
    return input[at++];
  };
  /** Four bits of the token; 15 says that bytes to be added follow. */
  const length = (bits: number) => {
    let sum = bits;
    for (let next = bits === 15 ? 255 : 0; next === 255;) sum += next = byte();
    return sum;
  };
  while (at < input.length) {
    const token = byte();
    const literals = length(token >> 4);
    if (literals > input.length - at || literals > size - end) {
      throw new Error("LZ4 literals do not fit");
    }
    output.set(input.subarray(at, at + literals), end);
    at += literals;
    end += literals;
    if (at === input.length) break;
    const distance = byte() | byte() << 8;
    const copied = length(token & 15) + 4;
    if (distance === 0 || distance > end || copied > size - end) {
      throw new Error("an LZ4 copy does not fit");
    }
    // One by one: a copy may overlap itself.
    for (let i = 0; i < copied; i++, end++) output[end] = output[end - distance];
  }
  return output.subarray(0, end);
}
