/**
 * Log-probabilities of the reference: read from a live model, or computed once and kept on disk.
 *
 * A cache file holds one float32 for each scored token of each answer, so that losses which weigh
 * tokens can use it too. Its name is a sha256 of everything the numbers depend on. Layout, little
 * endian: the 8 letters `ddporef1`; u32 length of the header; the header, JSON, padded with blanks to
 * a multiple of 4; u32 row ids [rows]; u32 answers of each row [rows]; u32 tokens of each answer
 * [answers]; f32 log-probabilities [tokens]; the sha256 of everything before it, 32 bytes.
 */
import { createHash } from "node:crypto";
import type { ScoringEngine, TokenizedExample, TokenLogps } from "../model/engine.ts";
import type { Sink } from "../report/events.ts";
import { atomicWriteFile, diskOperations, type FileOperations } from "./atomic_write.ts";
import { answerSums, checkLogps, scoredTokens, type TrainingDataset } from "./decision_set.ts";
import { turnEventLoop } from "./event_loop.ts";

/** Sums of the scored tokens of each answer under the reference, answers in the order of examples. */
export interface ReferenceLogps {
  sums(examples: readonly TokenizedExample[]): Float64Array | Promise<Float64Array>;
}

/** The reference as a model that is held and run during training. */
export function liveReference(engine: Pick<ScoringEngine, "score">): ReferenceLogps {
  return {
    async sums(examples) {
      const scores = await engine.score(examples);
      checkLogps(examples, scores, { when: "the reference pass", model: "reference" });
      return answerSums(scores);
    },
  };
}

export interface ReferenceCacheRequest {
  /** Folder of cache files; made when missing. */
  readonly folder: string;
  /** Everything the numbers depend on: model, data, tokenisation, engine fingerprint. */
  readonly key: Readonly<Record<string, string>>;
  readonly dataset: TrainingDataset;
  /** Rows a call of the engine. */
  readonly batchSize: number;
  /** Gives the reference; called only when there is no usable file. */
  engine(): Pick<ScoringEngine, "score"> | Promise<Pick<ScoringEngine, "score">>;
  readonly events?: Sink;
  readonly signal?: AbortSignal;
  readonly operations?: FileOperations;
}

/** Token log-probabilities of a whole dataset. */
interface CachedScores extends TokenLogps {
  readonly rows: Uint32Array;
  readonly answers: Uint32Array;
}

const MAGIC = "ddporef1";
const HASH_BYTES = 32;

/** Name of the cache file of a key: a sha256 in hexadecimal, `.logps`. */
export function cacheFileName(key: Readonly<Record<string, string>>): string {
  return createHash("sha256").update(canonicalKey(key)).digest("hex") + ".logps";
}

/**
 * The reference log-probabilities of a dataset, from its cache file or computed and written there. A
 * damaged file is told about and computed anew.
 *
 * @throws NumbersError when a computed log-probability is not finite; Error when the file cannot be
 * written; the signal's reason when stopped
 */
export async function cachedReference(request: ReferenceCacheRequest): Promise<ReferenceLogps> {
  const path = `${request.folder}/${cacheFileName(request.key)}`;
  const found = await readCache(path, request);
  if (found) return lookUp(indexOf(found));
  const scores = await scoreAll(request);
  const operations = request.operations ?? diskOperations;
  await operations.mkdir(request.folder);
  await atomicWriteFile(operations, path, [encodeCache(request.key, scores)]);
  return lookUp(indexOf(scores));
}

async function readCache(
  path: string,
  request: ReferenceCacheRequest,
): Promise<CachedScores | undefined> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const result = decodeCache(bytes, request.key);
  if (typeof result !== "string") return result;
  request.events?.accept({
    type: "notice",
    text: `The reference cache "${path}" is damaged (${result}): computing it again`,
  });
  return undefined;
}

async function scoreAll(request: ReferenceCacheRequest): Promise<CachedScores> {
  const { dataset, batchSize, events, signal } = request;
  const engine = await request.engine();
  const parts: TokenLogps[] = [];
  const rows = new Uint32Array(dataset.length);
  const answers = new Uint32Array(dataset.length);
  for (let begin = 0; begin < dataset.length; begin += batchSize) {
    await turnEventLoop();
    signal?.throwIfAborted();
    const end = Math.min(begin + batchSize, dataset.length);
    const examples: TokenizedExample[] = [];
    for (let i = begin; i < end; i++) {
      const example = await dataset.get(i);
      examples.push(example);
      rows[i] = example.row;
      answers[i] = example.answers.length;
    }
    const scores = await engine.score(examples);
    checkLogps(examples, scores, { when: "the reference pass", model: "reference" });
    // The engine may reuse its read-back buffer.
    parts.push({ logps: scores.logps.slice(), offsets: scores.offsets.slice() });
    events?.accept({
      type: "progress",
      what: "Reference log-probabilities",
      done: end,
      total: dataset.length,
    });
  }
  return { rows, answers, ...concatenate(parts) };
}

function concatenate(parts: readonly TokenLogps[]): TokenLogps {
  const tokens = parts.reduce((sum, part) => sum + part.logps.length, 0);
  const answers = parts.reduce((sum, part) => sum + part.offsets.length - 1, 0);
  const logps = new Float32Array(tokens);
  const offsets = new Uint32Array(answers + 1);
  let token = 0;
  let answer = 0;
  for (const part of parts) {
    logps.set(part.logps, token);
    for (let a = 1; a < part.offsets.length; a++) offsets[answer + a] = token + part.offsets[a];
    token += part.logps.length;
    answer += part.offsets.length - 1;
  }
  return { logps, offsets };
}

/** Sums by row, with the token counts as a check of what is asked for. */
interface CacheIndex {
  readonly sums: Float64Array;
  readonly tokens: Uint32Array;
  /** Row id to the position of its first answer. */
  readonly first: ReadonlyMap<number, number>;
}

function indexOf(cached: CachedScores): CacheIndex {
  const sums = answerSums(cached);
  const tokens = Uint32Array.from(sums, (_, a) => cached.offsets[a + 1] - cached.offsets[a]);
  const first = new Map<number, number>();
  let answer = 0;
  cached.rows.forEach((row, i) => {
    first.set(row, answer);
    answer += cached.answers[i];
  });
  return { sums, tokens, first };
}

/** Holds the index only, so that the tokens' log-probabilities can be collected. */
function lookUp({ sums, tokens, first }: CacheIndex): ReferenceLogps {
  return {
    sums(examples) {
      return Float64Array.from(examples.flatMap((example) => {
        const start = first.get(example.row);
        return example.answers.map((wanted, a) => {
          if (start === undefined || tokens[start + a] !== scoredTokens(wanted)) {
            throw new Error(
              `The reference cache does not fit the data at row ${example.row}: ` +
                "delete the cache folder and run again",
            );
          }
          return sums[start + a];
        });
      }));
    },
  };
}

function canonicalKey(key: Readonly<Record<string, string>>): string {
  return JSON.stringify([MAGIC, Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function encodeCache(
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
function decodeCache(
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
