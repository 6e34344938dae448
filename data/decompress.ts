/**
 * gzip and Zstandard files, known by their first bytes whatever they are called. Frames of Zstandard are
 * walked here (RFC 8878, section 3.1), because the decoder takes a cut file for a whole one and ignores
 * what follows the first frame.
 */
import { constants, gunzipSync, zstdDecompressSync } from "node:zlib";
import { DataError } from "./error.ts";

export type Packing = "gzip" | "zstd";

/** More than this is not held in memory. */
export const MAX_DECOMPRESSED_BYTES = 2 ** 31;

const ZSTD_MAGIC = 0xfd2fb528;
/** Frames to be skipped have one of 16 numbers. */
const SKIPPABLE_MAGIC = 0x184d2a50;

/** How a file that begins with these bytes is compressed; undefined: it is not. */
export function packingOf(head: Uint8Array): Packing | undefined {
  if (head.length >= 2 && head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head.length < 4) return undefined;
  const magic = uint32(head, 0);
  const skippable = (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
  return magic === ZSTD_MAGIC || skippable ? "zstd" : undefined;
}

/** The data is more than was allowed. */
export class TooLarge extends DataError {}

/**
 * Decompresses a whole file in memory.
 *
 * @param maxBytes bound of the result.
 * @throws TooLarge beyond the bound, another DataError when the data is broken or ends early.
 */
export function decompress(
  name: string,
  bytes: Uint8Array,
  packing: Packing,
  maxBytes = MAX_DECOMPRESSED_BYTES,
): Uint8Array {
  try {
    if (packing === "zstd") return decompressFrames(bytes, maxBytes);
    // node:zlib, because DecompressionStream refuses files of several members (`cat a.gz b.gz`).
    return gunzipSync(bytes, { maxOutputLength: maxBytes, finishFlush: constants.Z_FINISH });
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE") {
      const tool = packing === "zstd" ? "zstd -d" : "gunzip";
      throw new TooLarge(
        `Decompressing dataset "${name}": more than ${maxBytes} bytes, ` +
          `decompress it with ${tool} and give the plain file, which is not held in memory`,
        { cause: error },
      );
    }
    throw brokenData(name, packing, error);
  }
}

/** The error for compressed data that cannot be read. */
export function brokenData(name: string, packing: Packing, error: unknown): DataError {
  return new DataError(
    `Decompressing dataset "${name}": the ${packing} data is broken (${
      (error as Error).message
    }), fetch or compress it again`,
    { cause: error },
  );
}

function decompressFrames(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let total = 0;
  for (
    const [from, to] of zstdFrames(bytes.length, (at, length) => bytes.subarray(at, at + length))
  ) {
    const part = zstdDecompressSync(bytes.subarray(from, to), {
      maxOutputLength: maxBytes - total,
    });
    parts.push(part);
    total += part.length;
  }
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Begin and end of each frame with data, by the sizes of its blocks.
 *
 * @param read exactly that many bytes, or fewer at the end.
 * @throws Error when a frame ends early or is none.
 */
export function* zstdFrames(
  size: number,
  read: (at: number, length: number) => Uint8Array,
): Generator<[number, number]> {
  const take = (at: number, length: number) => {
    if (at + length > size) throw new Error("unexpected end of file");
    return read(at, length);
  };
  for (let at = 0; at < size;) {
    const magic = uint32(take(at, 4), 0);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      at += 8 + uint32(take(at + 4, 4), 0);
      if (at > size) throw new Error("unexpected end of file");
      continue;
    }
    if (magic !== ZSTD_MAGIC) throw new Error(`no frame at byte ${at}`);
    const descriptor = take(at + 4, 1)[0];
    const singleSegment = (descriptor & 0x20) !== 0;
    const sizeFlag = descriptor >> 6;
    const contentSize = sizeFlag === 0 ? Number(singleSegment) : 1 << sizeFlag;
    let end = at + 5 + Number(!singleSegment) + [0, 1, 2, 4][descriptor & 3] + contentSize;
    for (let last = false; !last;) {
      const [a, b, c] = take(end, 3);
      const header = a | b << 8 | c << 16;
      last = (header & 1) === 1;
      // A block of one repeated byte (type 1) holds that byte only.
      end += 3 + ((header >> 1 & 3) === 1 ? 1 : header >> 3);
    }
    end += descriptor & 4;
    if (end > size) throw new Error("unexpected end of file");
    yield [at, end];
    at = end;
  }
}

function uint32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> 0;
}
