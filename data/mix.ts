/**
 * Several datasets mixed by weight. Which rows are taken depends on the seed, the place of a set in the list
 * and row numbers only; a larger share takes rows in addition and leaves those it had.
 */
import { uniformStream } from "./philox.ts";

/** Rows of one set that may be taken, ascending; and its weight. */
export interface MixedSet {
  readonly rows: Uint32Array;
  readonly weight?: number;
}

/**
 * Chooses rows of each set so that their numbers stand to each other as the weights do, as many as there
 * are before the first set would have to repeat a row. Without any weight all rows are taken; a set without
 * one beside sets with one has the weight 1. At least one row of a set is taken if it has one.
 *
 * @returns by set: its chosen rows, ascending.
 */
export function mixRows(sets: readonly MixedSet[], seed: number): Uint32Array[] {
  if (sets.every(({ weight }) => weight === undefined)) return sets.map(({ rows }) => rows);
  const weights = sets.map(({ weight }) => weight ?? 1);
  const unit = Math.min(...sets.map(({ rows }, i) => rows.length / weights[i]));
  return sets.map(({ rows }, i) => {
    // The share that gives `unit` gives all of its rows, however the quotient is rounded.
    const count = Math.min(rows.length, Math.max(1, Math.floor(unit * weights[i] + 1e-9)));
    return sample(rows, count, seed, i);
  });
}

/** The rows with the smallest random numbers. */
function sample(rows: Uint32Array, count: number, seed: number, set: number): Uint32Array {
  if (count === rows.length) return rows;
  const random = uniformStream(seed, `mix/${set}`);
  const keyed = Array.from(rows, (row) => ({ row, key: random(row) }));
  keyed.sort((a, b) => a.key - b.key || a.row - b.row);
  return Uint32Array.from(keyed.slice(0, count), ({ row }) => row).sort();
}
