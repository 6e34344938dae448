/**
 * The file of a reference cache.
 *
 * A cache file holds one float32 for each scored token of each answer, so that losses which weigh
 * tokens can use it too. Its name is a sha256 of everything the numbers depend on. Layout, little
 * endian: the 8 letters `ddporef1`; u32 length of the header; the header, JSON, padded with blanks to
 * a multiple of 4; u32 row ids [rows]; u32 answers of each row [rows]; u32 tokens of each answer
 * [answers]; f32 log-probabilities [tokens]; the sha256 of everything before it, 32 bytes.
 */
import { createHash } from "node:crypto";
import type { TokenLogps } from "../model/engine.ts";

/** Token log-probabilities of a whole dataset. */
export interface CachedScores extends TokenLogps {
  readonly rows: Uint32Array;
  readonly answers: Uint32Array;
}

const MAGIC = "ddporef1";
const HASH_BYTES = 32;

/** Name of the cache file of a key: a sha256 in hexadecimal, `.logps`. */
export function cacheFileName(key: Readonly<Record<string, string>>): string {
  return createHash("sha256").update(canonicalKey(key)).digest("hex") + ".logps";
}

function canonicalKey(key: Readonly<Record<string, string>>): string {
  return JSON.stringify([MAGIC, Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

/** The bytes of a cache file. */
export function encodeCache(
  key: Readonly<Record<string, string>>,
  scores: CachedScores,
): Uint8Array<ArrayBuffer> {
  const counts = Uint32Array.from(
    { length: scores.offsets.length - 1 },
    (_, a) => scores.offsets[a + 1] - scores.offsets[a],
  );
  const plain = JSON.stringify({
    key: canonicalKey(key),
    rows: scores.rows.length,
    answers: counts.length,
    tokens: scores.logps.length,
  });
  const header = new TextEncoder().encode(plain + " ".repeat(3));
  const headerBytes = header.length - header.length % 4;
  const payload = [scores.rows, scores.answers, counts, scores.logps];
  const begin = MAGIC.length + 4 + headerBytes;
  const end = begin + payload.reduce((sum, part) => sum + part.byteLength, 0);
  const bytes = new Uint8Array(end + HASH_BYTES);
  bytes.set(new TextEncoder().encode(MAGIC));
  new DataView(bytes.buffer).setUint32(MAGIC.length, headerBytes, true);
  bytes.set(header.subarray(0, headerBytes), MAGIC.length + 4);
  let offset = begin;
  for (const part of payload) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), offset);
    offset += part.byteLength;
  }
  bytes.set(createHash("sha256").update(bytes.subarray(0, end)).digest(), end);
  return bytes;
}

/** The scores of a cache file, or what is wrong with it. */
export function decodeCache(
  bytes: Uint8Array<ArrayBuffer>,
  key: Readonly<Record<string, string>>,
): CachedScores | string {
  const end = bytes.length - HASH_BYTES;
  if (end < MAGIC.length + 4) return `it has only ${bytes.length} bytes`;
  const digest = createHash("sha256").update(bytes.subarray(0, end)).digest();
  if (digest.some((byte, i) => byte !== bytes[end + i])) return "its sha256 does not match";
  if (new TextDecoder().decode(bytes.subarray(0, MAGIC.length)) !== MAGIC) return "wrong format";
  const headerBytes = new DataView(bytes.buffer).getUint32(MAGIC.length, true);
  const begin = MAGIC.length + 4 + headerBytes;
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(MAGIC.length + 4, begin)));
  if (header.key !== canonicalKey(key)) return "it is of another key";
  const { rows, answers, tokens } = header;
  if (begin + 4 * (2 * rows + answers + tokens) !== end) return "its length is wrong";
  const words = (first: number, length: number) =>
    new Uint32Array(bytes.buffer, begin + 4 * first, length);
  const offsets = new Uint32Array(answers + 1);
  words(2 * rows, answers).forEach((count, a) => offsets[a + 1] = offsets[a] + count);
  return {
    rows: words(0, rows),
    answers: words(rows, rows),
    offsets,
    logps: new Float32Array(bytes.buffer, begin + 4 * (2 * rows + answers), tokens),
  };
}
