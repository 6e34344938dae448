/** The weights of a GGUF file under their Hugging Face names, in the order that those files have. */
import type { TensorStore } from "../safetensors.ts";
import { elementCount, tensorError } from "../safetensors_header.ts";
import { type HeadCounts, rowOrder, shiftByOne, transpose } from "./changes.ts";
import type { GgufFile } from "./file.ts";
import { type Change, hfTensor, type TensorNames } from "./names.ts";
import type { ReadableType } from "./tensor_types.ts";

/** Factors of a scaled rotary embedding, which become part of the config. */
export const ROPE_FACTORS = "rope_freqs.weight";

interface Entry {
  /** Name in the file. */
  readonly source: string;
  readonly change?: Change;
  readonly dtype: ReadableType;
  /** As in Hugging Face files. */
  readonly shape: readonly number[];
}

/**
 * All tensors of `file` by their Hugging Face names. Takes ownership of the file.
 *
 * @throws ModelError: a tensor that the architecture does not have, or of a type that is not read
 */
export function ggufStore(file: GgufFile, names: TensorNames, heads: HeadCounts): TensorStore {
  const tensors = new Map<string, Entry>();
  for (const [source, { shape }] of file.tensors) {
    if (source === ROPE_FACTORS) continue;
    const found = hfTensor(names, source);
    if (found === undefined) {
      throw tensorError(file.path, source, "models of this architecture have none such");
    }
    const { name, change } = found;
    tensors.set(name, {
      source,
      change,
      dtype: file.readableType(source),
      shape: change === "transposed" ? shape.toReversed() : shape,
    });
  }
  return {
    tensors,
    fileOf: () => file.path,
    readF32(name, from = 0, to) {
      const entry = tensors.get(name);
      if (entry === undefined) throw tensorError(file.path, name, "there is no such tensor");
      const rows = entry.shape[0] ?? 1;
      const end = to ?? rows;
      if (!(from >= 0 && from <= end && end <= rows)) {
        throw tensorError(file.path, name, `rows ${from} to ${end} asked for, it has ${rows}`);
      }
      return readEntry(file, entry, heads, from, end);
    },
    close: () => file.close(),
  };
}

function readEntry(
  file: GgufFile,
  entry: Entry,
  heads: HeadCounts,
  from: number,
  to: number,
): Float32Array<ArrayBuffer> {
  const { source, change, shape } = entry;
  const rows = shape[0] ?? 1, columns = elementCount(shape.slice(1));
  if (change === "transposed") {
    const whole = transpose(file.readRows(source, 0, columns), columns, rows);
    return from === 0 && to === rows ? whole : whole.slice(from * columns, to * columns);
  }
  const order = rowOrder(change, rows, heads, "fromGguf");
  const values = order === undefined
    ? readBlock(file, source, shape, from, to)
    : readOrdered(file, entry, order, from, to);
  if (change === "one") shiftByOne(values, "fromGguf");
  return values;
}

/** Rows of the first dimension; a vector is one row in the file. */
function readBlock(
  file: GgufFile,
  source: string,
  shape: readonly number[],
  from: number,
  to: number,
): Float32Array<ArrayBuffer> {
  if (shape.length <= 1) {
    const whole = file.readRows(source, 0, 1);
    return from === 0 && to === whole.length ? whole : whole.slice(from, to);
  }
  const each = elementCount(shape.slice(1, -1));
  return file.readRows(source, from * each, to * each);
}

function readOrdered(
  file: GgufFile,
  { source, shape }: Entry,
  order: (row: number) => number,
  from: number,
  to: number,
): Float32Array<ArrayBuffer> {
  const columns = elementCount(shape.slice(1));
  const out = new Float32Array((to - from) * columns);
  if (shape.length <= 1) {
    const whole = file.readRows(source, 0, 1);
    for (let row = from; row < to; row++) out[row - from] = whole[order(row)];
    return out;
  }
  for (let row = from; row < to;) {
    const first = order(row);
    let n = 1;
    while (row + n < to && order(row + n) === first + n) n++;
    out.set(file.readRows(source, first, first + n), (row - from) * columns);
    row += n;
  }
  return out;
}
