/**
 * Log-probabilities of the reference: read from a live model, or computed once and kept on disk.
 */
import { pairTokenWeights } from "../losses/token_weights.ts";
import type { ScoringEngine, TokenizedExample, TokenLogps } from "../model/engine.ts";
import type { LlamaEngine } from "../model/llama.ts";
import type { Sink } from "../report/events.ts";
import { atomicWriteFile, diskOperations, type FileOperations } from "./atomic_write.ts";
import {
  answerLengths,
  answerSums,
  checkLogps,
  scoredTokens,
  type TrainingDataset,
} from "./decision_set.ts";
import { turnEventLoop } from "./event_loop.ts";
import { attempt, FileError } from "./file_error.ts";
import type { RunEngine } from "./run.ts";
import { type CachedScores, cacheFileName, decodeCache, encodeCache } from "./reference_file.ts";

/** Sums of the scored tokens of each answer under the reference, answers in the order of examples. */
export interface ReferenceLogps {
  /** The cache file they were read from or written to; absent for a live reference. */
  readonly path?: string;
  /** Weights that can be moved towards the policy; a live reference only. */
  readonly moving?: MovingReference;
  sums(examples: readonly TokenizedExample[]): Float64Array | Promise<Float64Array>;
}

/** The weights of a live reference. */
export interface MovingReference
  extends Pick<RunEngine, "weights" | "restore" | "parameterShapes"> {
  /** (1 - alpha) reference + alpha policy; 1 copies. */
  blend(alpha: number): void;
}

/** The weights of a reference on the GPU that can move towards a policy of the same shape. */
export function movingReference(reference: LlamaEngine, policy: LlamaEngine): MovingReference {
  return {
    parameterShapes: reference.parameterShapes,
    blend: (alpha) => reference.blend(policy, alpha),
    weights: () => reference.weights(),
    restore: (tensors) => reference.restore(tensors),
  };
}

/**
 * The reference as a model that is held and run during training.
 *
 * @param ldAlpha LD-DPO's factor of tokens, see `Modifiers`
 * @param moving where its weights can be moved
 */
export function liveReference(
  engine: Pick<ScoringEngine, "score">,
  { ldAlpha, moving }: { readonly ldAlpha?: number; readonly moving?: MovingReference } = {},
): ReferenceLogps {
  return {
    moving,
    async sums(examples) {
      const scores = await engine.score(examples);
      checkLogps(examples, scores, { when: "the reference pass", model: "reference" });
      return answerSums(scores, pairTokenWeights(answerLengths(scores), ldAlpha));
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
  /** LD-DPO's factor of tokens, see `Modifiers`; the file holds them unweighted. */
  readonly ldAlpha?: number;
  /** Gives the reference; called only when there is no usable file. */
  engine(): Pick<ScoringEngine, "score"> | Promise<Pick<ScoringEngine, "score">>;
  readonly events?: Sink;
  readonly signal?: AbortSignal;
  readonly operations?: FileOperations;
}

/**
 * The reference log-probabilities of a dataset, from its cache file or computed and written there. A
 * file that is damaged or does not fit the dataset is told about and computed anew; a folder that
 * cannot be used is told about and done without.
 *
 * @throws NumbersError when a computed log-probability is not finite; the signal's reason when stopped
 */
export async function cachedReference(request: ReferenceCacheRequest): Promise<ReferenceLogps> {
  const { folder, key, ldAlpha, operations = diskOperations } = request;
  const path = `${folder}/${cacheFileName(key)}`;
  try {
    const found = await readCache(path, request);
    if (found) return lookUp(indexOf(found, ldAlpha), path);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    tellUnusable(request, error);
    return lookUp(indexOf(await scoreAll(request), ldAlpha));
  }
  const scores = await scoreAll(request);
  const bytes = encodeCache(key, scores);
  try {
    await attempt("create", folder, () => operations.mkdir(folder));
    await atomicWriteFile(operations, path, [bytes]);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    tellUnusable(request, error);
    return lookUp(indexOf(scores, ldAlpha));
  }
  return lookUp(indexOf(scores, ldAlpha), path);
}

function tellUnusable({ events, folder }: ReferenceCacheRequest, error: FileError): void {
  events?.accept({
    type: "notice",
    text: `The reference cache "${folder}" is not used, the next run computes again: ` +
      error.message,
  });
}

/** @throws FileError when there is a file and it cannot be read */
async function readCache(
  path: string,
  request: ReferenceCacheRequest,
): Promise<CachedScores | undefined> {
  const bytes = await attempt("read", path, async () => {
    try {
      return await Deno.readFile(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  });
  if (!bytes) return undefined;
  const result = decodeCache(bytes, request.key);
  const problem = typeof result === "string" ? result : await misfit(result, request.dataset);
  if (typeof result !== "string" && problem === undefined) return result;
  request.events?.accept({
    type: "notice",
    text: `The reference cache "${path}" is damaged (${problem}): computing it again`,
  });
  return undefined;
}

/** Rows compared before a cache is believed: getting a row may mean tokenizing it again. */
const COMPARED_ROWS = 64;

/** How a cache does not fit the dataset it is for; the key says that it does, so a sample is enough. */
async function misfit(cached: CachedScores, dataset: TrainingDataset): Promise<string | undefined> {
  if (cached.rows.length !== dataset.length) {
    return `it has ${cached.rows.length} rows, the data ${dataset.length}`;
  }
  const index = indexOf(cached);
  const compared = Math.min(COMPARED_ROWS, dataset.length);
  for (let i = 0; i < compared; i++) {
    const at = Math.floor(i * (dataset.length - 1) / Math.max(1, compared - 1));
    const example = await dataset.get(at);
    if (cached.rows[at] !== example.row || positionOf(index, example) === undefined) {
      return `it is of other data at row ${example.row}`;
    }
  }
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

function indexOf(cached: CachedScores, ldAlpha?: number): CacheIndex {
  const tokens = answerLengths(cached);
  const sums = answerSums(cached, pairTokenWeights(tokens, ldAlpha));
  const first = new Map<number, number>();
  let answer = 0;
  cached.rows.forEach((row, i) => {
    first.set(row, answer);
    answer += cached.answers[i];
  });
  return { sums, tokens, first };
}

/** Position of an example's first answer; undefined where the row or its lengths are others. */
function positionOf({ first, tokens }: CacheIndex, example: TokenizedExample): number | undefined {
  const start = first.get(example.row);
  if (start === undefined) return undefined;
  const same = example.answers.every((answer, a) => tokens[start + a] === scoredTokens(answer));
  return same ? start : undefined;
}

/** Holds the index only, so that the tokens' log-probabilities can be collected. */
function lookUp(index: CacheIndex, path?: string): ReferenceLogps {
  return {
    path,
    sums(examples) {
      return Float64Array.from(examples.flatMap((example) => {
        const start = positionOf(index, example);
        if (start === undefined) {
          throw new Error(
            `The reference log-probabilities do not fit the data at row ${example.row}: ` +
              (path ? `delete "${path}" and run again` : "the rows changed during the run"),
          );
        }
        return example.answers.map((_, a) => index.sums[start + a]);
      }));
    },
  };
}
