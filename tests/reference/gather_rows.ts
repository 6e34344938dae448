/** Rows picked by index, in float64. */
import type { Numbers } from "./matmul.ts";

/** out [index.length, width]: rows of table [rows, width]. */
export function gatherRows(table: Numbers, index: Numbers, width: number): Float64Array {
  const out = new Float64Array(index.length * width);
  for (let i = 0; i < index.length; i++) {
    for (let c = 0; c < width; c++) out[i * width + c] = table[index[i] * width + c];
  }
  return out;
}

/** d table [rows, width]: each row's sum of the gradients of the places it was picked for. */
export function gatherRowsBackward(
  dOut: Numbers,
  index: Numbers,
  rows: number,
  width: number,
): Float64Array {
  const d = new Float64Array(rows * width);
  for (let i = 0; i < index.length; i++) {
    for (let c = 0; c < width; c++) d[index[i] * width + c] += dOut[i * width + c];
  }
  return d;
}
