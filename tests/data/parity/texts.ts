/** The texts on which tokenizers are compared; texts.py makes the same ones. */
import pieces from "./pieces.json" with { type: "json" };

/** Marsaglia's xorshift with 32 bits. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to below `bound`. */
  below(bound: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % bound;
  }
}

/** Any scalar value of the first three planes, the small ones more often. */
function codePoint(random: Random): number {
  const limit = [0x80, 0x800, 0x3000, 0x10000, 0x30000][random.below(5)];
  const value = random.below(limit);
  return value >= 0xd800 && value < 0xe000 ? 0xfffd : value;
}

/** Text number `index`: words, code, numbers, blanks, marks, special tokens, in any order. */
export function parityText(index: number): string {
  const random = new Random((0x9e3779b9 ^ Math.imul(index, 2654435761)) || 1);
  const piece = () => pieces[random.below(pieces.length)];
  let text = "";
  for (let left = 1 + random.below(24); left > 0; left--) {
    const kind = random.below(16);
    if (kind === 0) text += String.fromCodePoint(codePoint(random));
    else if (kind === 1) text += piece().repeat(1 + random.below(5));
    else if (kind < 6) text += ` ${piece()}`;
    else text += piece();
  }
  return text;
}

/** 32-bit FNV-1a over the bytes of the ids, low byte first, four a number. */
export function fnv(ids: Iterable<number>): number {
  let hash = 0x811c9dc5;
  for (const id of ids) {
    for (const shift of [0, 8, 16, 24]) {
      hash = Math.imul(hash ^ (id >>> shift & 255), 0x01000193);
    }
  }
  return hash >>> 0;
}
