/**
 * The order in which rows are seen. Everything is a pure function of (seed, epoch), so a run resumes
 * from two integers and sees the same rows in the same order.
 */
import { uniformStream } from "./philox.ts";

/**
 * A permutation of 0 .. length - 1 for an epoch, by Fisher-Yates with counter-based numbers.
 *
 * @returns [length] row numbers.
 */
export function epochPermutation(length: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  const random = uniformStream(seed, `shuffle/${epoch}`);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random(i) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/**
 * Splits rows 0 .. length - 1 into training and validation rows, each in file order.
 *
 * The `ceil(length * ratio)` rows with the smallest random numbers are held out (the count of
 * scikit-learn and `datasets.train_test_split`), but at least one row is left for training. The
 * choice depends on row numbers only: other lengths, tokenizers or drops hold out the same rows.
 *
 * @param ratio share of validation rows in [0, 1).
 * @throws RangeError when the ratio lies outside.
 */
export function splitRows(
  length: number,
  ratio: number,
  seed: number,
): { train: Uint32Array; validation: Uint32Array } {
  if (!(ratio >= 0 && ratio < 1)) {
    throw new RangeError(`The validation ratio must lie in [0, 1), got "${ratio}"`);
  }
  const random = uniformStream(seed, "split");
  const keys = Float64Array.from({ length }, (_, i) => random(i));
  const order = Uint32Array.from({ length }, (_, i) => i);
  order.sort((a, b) => keys[a] - keys[b] || a - b);
  const held = Math.max(0, Math.min(Math.ceil(length * ratio), length - 1));
  return { train: order.slice(held).sort(), validation: order.slice(0, held).sort() };
}

/** Where a sampler stands: `index` rows of `epoch` have been handed out. */
export interface SamplerPosition {
  readonly epoch: number;
  readonly index: number;
}

/** A batch of row numbers, and the epoch they belong to. */
export interface SampledBatch {
  readonly epoch: number;
  readonly rows: Uint32Array;
}

/** Hands out batches of shuffled rows, epoch after epoch; the last batch of one may be short. */
export class Sampler {
  readonly length: number;
  readonly batchSize: number;
  #seed: number;
  #epoch: number;
  #index: number;
  #order: Uint32Array;

  /**
   * @param options.position where to go on, from `position` of an earlier sampler with the same
   * length, batch size and seed.
   * @throws RangeError when a size is not a positive integer or the position is not in the data.
   */
  constructor(
    options: {
      readonly length: number;
      readonly batchSize: number;
      readonly seed: number;
      readonly position?: SamplerPosition;
    },
  ) {
    const { length, batchSize, seed, position = { epoch: 0, index: 0 } } = options;
    for (const [name, value] of Object.entries({ length, batchSize })) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new RangeError(`The sampler's ${name} must be a positive integer, got "${value}"`);
      }
    }
    const { epoch, index } = position;
    if (![epoch, index].every((n) => Number.isSafeInteger(n) && n >= 0) || index > length) {
      throw new RangeError(
        `Sampler position ${epoch}/${index} is not in a dataset of ${length} rows`,
      );
    }
    this.length = length;
    this.batchSize = batchSize;
    this.#seed = seed;
    this.#epoch = epoch;
    this.#index = index;
    this.#order = epochPermutation(length, seed, epoch);
  }

  /** Batches of a whole epoch, the short one included. */
  get batchesPerEpoch(): number {
    return Math.ceil(this.length / this.batchSize);
  }

  /** Two integers that say all there is to save. */
  get position(): SamplerPosition {
    return { epoch: this.#epoch, index: this.#index };
  }

  /** The next batch; after the last one of an epoch the next epoch begins. */
  next(): SampledBatch {
    if (this.#index >= this.length) {
      this.#epoch++;
      this.#index = 0;
      this.#order = epochPermutation(this.length, this.#seed, this.#epoch);
    }
    const end = Math.min(this.#index + this.batchSize, this.length);
    const rows = this.#order.slice(this.#index, end);
    this.#index = end;
    return { epoch: this.#epoch, rows };
  }
}
