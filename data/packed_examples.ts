/** Tokenized examples in a few large arrays: small objects for every row would cost more than their tokens. */
import type { TokenizedExample } from "./tokenize.ts";

const CHUNK_WORDS = 1 << 20;

/**
 * Append-only store of tokenized examples. An example is a run of u32 words: row, prompt length, number
 * of answers with the label, (length, scoredFrom) of each answer, then the ids.
 */
export class PackedExamples {
  #chunks: Uint32Array[] = [];
  /** Words in use of the last chunk. */
  #used = 0;
  /** Chunk number and word of each example. */
  #places: number[] = [];

  /** Examples in the store. */
  get length(): number {
    return this.#places.length;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }

  /** Appends an example. */
  push(example: TokenizedExample): void {
    const { row, prompt, answers } = example;
    const header = [row, prompt.length, answersAndLabel(example)];
    for (const { ids, scoredFrom } of answers) header.push(ids.length, scoredFrom);
    let words = header.length + prompt.length;
    for (const { ids } of answers) words += ids.length;
    if (this.#chunks.length === 0 || this.#used + words > this.#chunks.at(-1)!.length) {
      this.#chunks.push(new Uint32Array(Math.max(words, CHUNK_WORDS)));
      this.#used = 0;
    }
    const chunk = this.#chunks.at(-1)!;
    // A place is exact in float64: at most 2^24 chunks of fewer than 2^29 words.
    this.#places.push((this.#chunks.length - 1) * 2 ** 29 + this.#used);
    for (const part of [header, prompt, ...answers.map(({ ids }) => ids)]) {
      chunk.set(part, this.#used);
      this.#used += part.length;
    }
  }

  /** A copy of example `i`; changing it does not change the store. */
  get(i: number): TokenizedExample {
    const place = this.#places[i];
    if (place === undefined) throw new RangeError(`Example ${i} is not in the store`);
    const chunk = this.#chunks[Math.floor(place / 2 ** 29)];
    const start = place % 2 ** 29;
    const [row, promptLength, both] = chunk.subarray(start, start + 3);
    const count = both & 0xffff, label = both >>> 16;
    let at = start + 3 + 2 * count;
    const take = (length: number) => chunk.slice(at, at += length);
    const prompt = take(promptLength);
    const answers = Array.from({ length: count }, (_, a) => {
      const [length, scoredFrom] = chunk.subarray(start + 3 + 2 * a, start + 5 + 2 * a);
      return { ids: take(length), scoredFrom };
    });
    return { row, prompt, answers, ...label > 0 && { label: label === 2 ? 1 : 0 } };
  }
}

/**
 * The number of answers in the low 16 bits, label + 1 above them. Without a label that is the number of
 * answers alone, so that the fingerprints of such data, which caches and checkpoints hold, stay.
 */
function answersAndLabel({ answers, label }: TokenizedExample): number {
  return answers.length + (label === undefined ? 0 : (label + 1) << 16);
}

/** Identifies a sequence of tokenized examples; row numbers, boundaries and labels included. */
export class ExampleHash {
  #a = 0x811c9dc5;
  #b = 0x9747b28c;

  /** Takes in the next example. */
  add(example: TokenizedExample): void {
    const { row, prompt, answers } = example;
    for (const word of [row, prompt.length, answersAndLabel(example)]) this.#word(word);
    for (const id of prompt) this.#word(id);
    for (const { ids, scoredFrom } of answers) {
      this.#word(ids.length);
      this.#word(scoredFrom);
      for (const id of ids) this.#word(id);
    }
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return [this.#a, this.#b].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** Two 32-bit lanes with different mixing: FNV-1a by words, and a multiply-rotate as in murmur3. */
  #word(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193);
    this.#a ^= this.#a >>> 15;
    const mixed = Math.imul(word, 0xcc9e2d51);
    const b = this.#b ^ Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
    this.#b = Math.imul((b << 13) | (b >>> 19), 5) + 0xe6546b64 | 0;
  }
}
