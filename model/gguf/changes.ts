/**
 * What happens to a tensor between a GGUF file and a Hugging Face file (`names.ts` says to which), in
 * both directions, by rows: [rows, columns] row-major, a vector having rows of one value.
 */
import type { Change } from "./names.ts";

/** Sizes that the order of rows depends on. */
export interface HeadCounts {
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
}

export type Direction = "fromGguf" | "toGguf";

/**
 * The row of the one file that becomes row `row` of the other; undefined where rows keep their places.
 * D is the size of a head, H the number of heads.
 */
export function rowOrder(
  change: Change | undefined,
  rows: number,
  heads: HeadCounts,
  direction: Direction,
): ((row: number) => number) | undefined {
  const load = direction === "fromGguf";
  if (change === "heads") {
    const count = heads.numAttentionHeads, size = rows / (3 * count);
    return load ? (row) => swapped(row, count, 3, size) : (row) => swapped(row, 3, count, size);
  }
  if (change !== "queries" && change !== "keys") return undefined;
  const count = change === "queries" ? heads.numAttentionHeads : heads.numKeyValueHeads;
  const size = rows / count, half = size / 2;
  return (row) => {
    const head = Math.floor(row / size) * size;
    // Two halves here, pairs there.
    return head + (load ? swapped(row - head, 2, half, 1) : swapped(row - head, half, 2, 1));
  };
}

/** Of rows as [a, b, size]: where row `row` lies when they are ordered as [b, a, size]. */
function swapped(row: number, a: number, b: number, size: number): number {
  const inner = row % size, block = Math.floor(row / size);
  const i = Math.floor(block / b), j = block % b;
  return (j * a + i) * size + inner;
}

/** Adds to a norm's values what the other file has more: 1 or -1. Rounded to float32. */
export function shiftByOne(values: Float32Array, direction: Direction): void {
  const one = direction === "toGguf" ? 1 : -1;
  for (let i = 0; i < values.length; i++) values[i] += one;
}

/** [rows, columns] to [columns, rows]. */
export function transpose(
  values: Float32Array,
  rows: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c];
  }
  return out;
}
