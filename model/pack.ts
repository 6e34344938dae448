/**
 * Packs examples into chunks without padding: one row of tokens, the sequences behind each other, with
 * the arrays the kernels need. With a shared prompt an example is `[prompt | answer 1 | answer 2 ...]`;
 * every answer sees the prompt and itself, and counts its positions from the prompt.
 */
import { ModelError } from "./error.ts";
import type { TokenizedExample } from "./engine.ts";

/** A run of tokens with the same mask: `[begin, end)` sees `[prefixBegin, prefixEnd)` and itself. */
interface Segment {
  readonly begin: number;
  readonly end: number;
  readonly prefixBegin: number;
  readonly prefixEnd: number;
  /** Its keys are seen by queries up to here, exclusive. */
  readonly queryEnd: number;
}

/** A chunk of examples as the kernels see it; T tokens, S scored tokens. */
export interface Pack {
  readonly tokens: number;
  readonly scored: number;
  /** [T] */
  readonly ids: Uint32Array;
  /** [T], counted from the start of the token's own sequence. */
  readonly positions: Uint32Array;
  /** [T, 4]: prefix begin, prefix end, own begin, query end. */
  readonly mask: Uint32Array;
  readonly segments: readonly Segment[];
  /** [S]: the token whose hidden state predicts the scored one. */
  readonly sources: Uint32Array;
  /** [S] */
  readonly targets: Uint32Array;
}

/** Token count of an example in a pack. */
export function packedLength(example: TokenizedExample, sharePrompt: boolean): number {
  const prompt = example.prompt.length;
  const answers = example.answers.reduce((sum, answer) => sum + answer.ids.length, 0);
  return answers + prompt * (sharePrompt ? 1 : example.answers.length);
}

/** Scored tokens of an example. */
export function scoredLength(example: TokenizedExample): number {
  return example.answers.reduce((sum, answer) => sum + answer.ids.length - answer.scoredFrom, 0);
}

/** Splits examples, in order, into runs of at most `capacity` tokens. Throws when one does not fit. */
export function planChunks(
  examples: readonly TokenizedExample[],
  capacity: { readonly tokens: number; readonly scored: number },
  sharePrompt: boolean,
): TokenizedExample[][] {
  const chunks: TokenizedExample[][] = [];
  let current: TokenizedExample[] = [], tokens = 0, scored = 0;
  for (const example of examples) {
    const t = packedLength(example, sharePrompt), s = scoredLength(example);
    if (t > capacity.tokens || s > capacity.scored) {
      throw new ModelError(
        `Row ${example.row} has ${t} tokens, a chunk holds ${capacity.tokens}; raise ` +
          `"memory_budget" or lower "dataset.max_length"`,
      );
    }
    if (current.length > 0 && (tokens + t > capacity.tokens || scored + s > capacity.scored)) {
      chunks.push(current);
      current = [];
      tokens = scored = 0;
    }
    current.push(example);
    tokens += t;
    scored += s;
  }
  if (current.length > 0) chunks.push(current);
  return chunks;
}

class Builder {
  readonly ids: Uint32Array;
  readonly positions: Uint32Array;
  readonly mask: Uint32Array;
  readonly segments: Segment[] = [];
  readonly sources: Uint32Array;
  readonly targets: Uint32Array;
  at = 0;
  slot = 0;

  constructor(tokens: number, scored: number) {
    this.ids = new Uint32Array(tokens);
    this.positions = new Uint32Array(tokens);
    this.mask = new Uint32Array(tokens * 4);
    this.sources = new Uint32Array(scored);
    this.targets = new Uint32Array(scored);
  }

  /** Appends one segment; `prefix` is the run of tokens it sees besides itself. */
  segment(ids: Uint32Array, prefix: readonly [number, number], queryEnd: number): number {
    const begin = this.at, end = begin + ids.length;
    if (ids.length === 0) return begin;
    this.ids.set(ids, begin);
    for (let i = 0; i < ids.length; i++) {
      this.positions[begin + i] = prefix[1] - prefix[0] + i;
      this.mask.set([prefix[0], prefix[1], begin, queryEnd], (begin + i) * 4);
    }
    this.segments.push({
      begin,
      end,
      prefixBegin: prefix[0],
      prefixEnd: prefix[1],
      queryEnd,
    });
    this.at = end;
    return begin;
  }

  /** Notes the scored tokens of an answer that starts at `begin` and follows token `before`. */
  score(ids: Uint32Array, from: number, begin: number, before: number, row: number): void {
    for (let i = from; i < ids.length; i++) {
      const source = i === 0 ? before : begin + i - 1;
      if (source < 0) {
        throw new ModelError(`Row ${row} scores its first token, which nothing precedes`);
      }
      this.sources[this.slot] = source;
      this.targets[this.slot++] = ids[i];
    }
  }
}

/** One pack of all `examples`. */
export function packExamples(examples: readonly TokenizedExample[], sharePrompt: boolean): Pack {
  let tokens = 0, scored = 0;
  for (const example of examples) {
    tokens += packedLength(example, sharePrompt);
    scored += scoredLength(example);
  }
  const builder = new Builder(tokens, scored);
  for (const { row, prompt, answers } of examples) {
    if (sharePrompt) {
      const total = answers.reduce((sum, answer) => sum + answer.ids.length, prompt.length);
      const start = builder.segment(prompt, [0, 0], builder.at + total);
      const prefix = [start, start + prompt.length] as const;
      for (const { ids, scoredFrom } of answers) {
        const begin = builder.segment(ids, prefix, builder.at + ids.length);
        builder.score(ids, scoredFrom, begin, prompt.length > 0 ? prefix[1] - 1 : -1, row);
      }
    } else {
      for (const { ids, scoredFrom } of answers) {
        const whole = new Uint32Array(prompt.length + ids.length);
        whole.set(prompt);
        whole.set(ids, prompt.length);
        const begin = builder.segment(whole, [0, 0], builder.at + whole.length);
        builder.score(whole, prompt.length + scoredFrom, begin, -1, row);
      }
    }
  }
  const { ids, positions, mask, segments, sources, targets } = builder;
  return { tokens, scored, ids, positions, mask, segments, sources, targets };
}

/** Throws `ModelError` where a pack asks for positions or ids that the model does not have. */
export function checkPack(
  pack: Pack,
  examples: readonly TokenizedExample[],
  model: { readonly maxPositionEmbeddings: number; readonly vocabSize: number },
): void {
  const limit = model.maxPositionEmbeddings;
  if (pack.positions.some((position) => position >= limit)) {
    throw new ModelError(
      `A sequence of rows ${examples.map((e) => e.row).join(", ")} is longer than the model's ` +
        `${limit} positions; lower "dataset.max_length"`,
    );
  }
  if (pack.ids.some((id) => id >= model.vocabSize)) {
    throw new ModelError(
      `The tokenizer gives ids beyond the model's vocabulary of ${model.vocabSize}; ` +
        `use the tokenizer that belongs to the model`,
    );
  }
}

/** Blocks of at most `size` tokens that start at each segment: [blocks, 2] of (first token, count). */
export function blocksOf(pack: Pack, size: number): Uint32Array {
  const blocks: number[] = [];
  for (const { begin, end } of pack.segments) {
    for (let t = begin; t < end; t += size) blocks.push(t, Math.min(size, end - t));
  }
  return Uint32Array.from(blocks);
}

/** For each distinct value of `index`, ascending, the places where it stands, ascending. */
export interface Lists {
  readonly count: number;
  /** [count, 3] of (value, first, end) into `positions`. */
  readonly lists: Uint32Array;
  readonly positions: Uint32Array;
}

/** Groups equal values, for gradients that are gathered instead of scattered. */
export function groupByValue(index: Uint32Array): Lists {
  const positions = Uint32Array.from(index.keys());
  positions.sort((a, b) => index[a] - index[b] || a - b);
  const lists: number[] = [];
  for (let i = 0; i < positions.length; i++) {
    if (i === 0 || index[positions[i]] !== index[positions[i - 1]]) {
      if (i > 0) lists.push(i);
      lists.push(index[positions[i]], i);
    }
  }
  if (positions.length > 0) lists.push(positions.length);
  return { count: lists.length / 3, lists: Uint32Array.from(lists), positions };
}

/** [answers + 1] offsets of the scored tokens of each answer. */
export function answerOffsets(examples: readonly TokenizedExample[]): Uint32Array {
  const offsets = [0];
  for (const { answers } of examples) {
    for (const { ids, scoredFrom } of answers) {
      offsets.push(offsets.at(-1)! + ids.length - scoredFrom);
    }
  }
  return Uint32Array.from(offsets);
}

/** The examples that have a seed other than zero, and their seeds. */
export function withSeeds(examples: readonly TokenizedExample[], seeds: Float32Array) {
  const kept: TokenizedExample[] = [], parts: number[] = [];
  let at = 0;
  for (const example of examples) {
    const own = seeds.subarray(at, at += scoredLength(example));
    if (own.every((seed) => seed === 0)) continue;
    kept.push(example);
    for (const seed of own) parts.push(seed);
  }
  return { examples: kept, seeds: Float32Array.from(parts) };
}
