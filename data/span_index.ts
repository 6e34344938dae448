/** Where the rows of a text file begin and end: 16 bytes a row, so ten million rows take 160 MB. */
import type { ByteSource } from "./byte_source.ts";
import { DataError } from "./error.ts";
import { checkRow, MAX_ROW_BYTES, parseObject, type RowDataset } from "./row_dataset.ts";

/** Bytes read at a time while a file is indexed. */
export const SCAN_BYTES = 1 << 20;

/** Start, length in bytes and 1-based line of each row. */
export interface SpanIndex {
  readonly starts: Float64Array;
  readonly lengths: Uint32Array;
  readonly lines: Uint32Array;
}

/** Growing typed arrays. */
export class SpanIndexBuilder {
  #length = 0;
  #starts = new Float64Array(1024);
  #lengths = new Uint32Array(1024);
  #lines = new Uint32Array(1024);

  /** Rows so far. */
  get length(): number {
    return this.#length;
  }

  add(start: number, length: number, line: number): void {
    if (this.#length === this.#starts.length) {
      const starts = new Float64Array(this.#length * 2);
      const lengths = new Uint32Array(this.#length * 2);
      const lines = new Uint32Array(this.#length * 2);
      starts.set(this.#starts);
      lengths.set(this.#lengths);
      lines.set(this.#lines);
      [this.#starts, this.#lengths, this.#lines] = [starts, lengths, lines];
    }
    this.#starts[this.#length] = start;
    this.#lengths[this.#length] = length;
    this.#lines[this.#length++] = line;
  }

  finish(): SpanIndex {
    return {
      starts: this.#starts.slice(0, this.#length),
      lengths: this.#lengths.slice(0, this.#length),
      lines: this.#lines.slice(0, this.#length),
    };
  }
}

/** Length of a byte order mark at the beginning: 3 or 0. */
export function byteOrderMark(bytes: ByteSource): 0 | 3 {
  if (bytes.size < 3) return 0;
  const head = bytes.read(0, 3);
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0;
}

/**
 * Bounds a row, so that a file without ends of rows is not read whole.
 *
 * @throws DataError when it is longer than `MAX_ROW_BYTES`.
 */
export function checkRowLength(name: string, line: number, length: number, advice: string): void {
  if (length <= MAX_ROW_BYTES) return;
  throw new DataError(
    `Reading dataset "${name}:${line}": the row is longer than ${MAX_ROW_BYTES} bytes, ${advice}`,
  );
}

/** Rows that are one JSON object each, at the places of an index. Closing them closes the bytes. */
export function objectRows(bytes: ByteSource, index: SpanIndex): RowDataset {
  const { name } = bytes, { length } = index.starts;
  const place = (row: number) => `${name}:${index.lines[row]}`;
  return {
    name,
    length,
    get: (row) => {
      checkRow(row, { name, length });
      return parseObject(bytes.read(index.starts[row], index.lengths[row]), place(row));
    },
    place,
    close: () => bytes.close(),
  };
}
