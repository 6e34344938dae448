/** Seeded numbers for tests: the same seed gives the same values on every machine. */

/** A small generator (Bob Jenkins' small fast, 32 bits); good enough to fill matrices. */
export class Random {
  #a = 0xf1ea5eed;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    this.#b = this.#c = this.#d = seed | 0;
    for (let i = 0; i < 20; i++) this.bits();
  }

  /** 32 random bits. */
  bits(): number {
    const e = (this.#a - (this.#b << 27 | this.#b >>> 5)) | 0;
    this.#a = this.#b ^ (this.#c << 17 | this.#c >>> 15);
    this.#b = (this.#c + this.#d) | 0;
    this.#c = (this.#d + e) | 0;
    this.#d = (e + this.#a) | 0;
    return this.#d >>> 0;
  }

  /** In (0, 1). */
  uniform(): number {
    return (this.bits() + 0.5) / 2 ** 32;
  }

  /** An integer in [0, below). */
  integer(below: number): number {
    return Math.floor(this.uniform() * below);
  }

  /** N(0, 1), by Box and Muller. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** `count` values of N(0, scale^2), float32. */
  normals(count: number, scale = 1): Float32Array {
    return Float32Array.from({ length: count }, () => scale * this.normal());
  }

  /** `rows` rows whose `width` values are all the same number, another one in each row. */
  flatRows(rows: number, width: number): Float32Array {
    const values = this.normals(rows);
    return Float32Array.from({ length: rows * width }, (_, i) => values[i / width | 0]);
  }

  /** `count` integers in [0, below). */
  integers(count: number, below: number): Uint32Array {
    return Uint32Array.from({ length: count }, () => this.integer(below));
  }

  /** A vector of length 1 in a random direction. */
  direction(count: number): Float64Array {
    const v = Float64Array.from({ length: count }, () => this.normal());
    const length = Math.hypot(...v);
    return v.map((x) => x / length);
  }
}

/** The kinds of values every kernel is tried with, one for each of five seeds. */
export const KINDS = ["normal", "small", "large", "flat", "normal"] as const;
export type Kind = typeof KINDS[number];

/** [rows, width] of N(0, 1), of that times 1e-3 or 1e3, or of rows whose values are all equal. */
export function fill(random: Random, kind: Kind, rows: number, width: number): Float32Array {
  if (kind === "flat") return random.flatRows(rows, width);
  return random.normals(rows * width, { normal: 1, small: 1e-3, large: 1e3 }[kind]);
}
