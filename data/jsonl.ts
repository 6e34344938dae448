/**
 * JSON lines as a dataset of rows. Only byte offsets are held in memory, rows are read and parsed when
 * asked for, so that a large file streams and can still be shuffled.
 */
import { type ByteSource, type DataSource, openBytes } from "./byte_source.ts";
import { DataError } from "./error.ts";

/** Rows of a file; `row` counts the lines that are not blank, from 0. */
export interface RowDataset {
  /** The path or name used in messages. */
  readonly name: string;
  readonly length: number;
  /** The parsed JSON object of a row; throws DataError with `file:line`. */
  get(row: number): Readonly<Record<string, unknown>>;
  /** `file:line` of a row, for messages. */
  place(row: number): string;
  close(): void;
}

/** A line longer than this is taken for a file that is not JSON lines. */
export const MAX_LINE_BYTES = 50_000_000;

const SCAN_BYTES = 1 << 20;
const NEWLINE = 10;

/** Start, length and 1-based line number of each line that is not blank. */
interface LineIndex {
  readonly starts: Float64Array;
  readonly lengths: Uint32Array;
  readonly lines: Uint32Array;
}

/**
 * Opens JSON lines, plain or gzip. A byte order mark, CRLF, blank lines and a missing last newline are
 * accepted; of equal keys in an object the last one counts.
 *
 * @throws DataError when the file cannot be read, holds no row or a line beyond `MAX_LINE_BYTES`.
 */
export function openJsonLines(source: DataSource): RowDataset {
  const bytes = openBytes(source);
  try {
    const index = indexLines(bytes);
    if (index.starts.length === 0) {
      throw new DataError(`Reading dataset "${bytes.name}": it holds no rows, only blank lines`);
    }
    const place = (row: number) => `${bytes.name}:${index.lines[row]}`;
    return {
      name: bytes.name,
      length: index.starts.length,
      get: (row) => {
        if (!(row >= 0 && row < index.starts.length)) {
          throw new RangeError(`Row ${row} is not in dataset "${bytes.name}"`);
        }
        return parseLine(bytes.read(index.starts[row], index.lengths[row]), place(row));
      },
      place,
      close: () => bytes.close(),
    };
  } catch (error) {
    bytes.close();
    throw error;
  }
}

/** Finds the lines by one pass over the bytes; newlines never occur inside a UTF-8 character. */
function indexLines(bytes: ByteSource): LineIndex {
  const index = new IndexBuilder();
  let line = 1;
  let start = hasByteOrderMark(bytes) ? 3 : 0;
  let blank = true;
  for (let offset = start; offset < bytes.size; offset += SCAN_BYTES) {
    const block = bytes.read(offset, Math.min(SCAN_BYTES, bytes.size - offset));
    for (let i = 0; i < block.length; i++) {
      const byte = block[i];
      if (byte === NEWLINE) {
        if (!blank) {
          checkLength(bytes.name, line, offset + i - start);
          index.add(start, offset + i - start, line);
        }
        start = offset + i + 1;
        line++;
        blank = true;
      } else if (byte !== 32 && byte !== 9 && byte !== 13) {
        blank = false;
      }
    }
    // Also inside a line: a file without newlines ends here, not after it was read whole.
    checkLength(bytes.name, line, offset + block.length - start);
  }
  if (!blank) index.add(start, bytes.size - start, line);
  return index.finish();
}

function checkLength(name: string, line: number, length: number): void {
  if (length <= MAX_LINE_BYTES) return;
  throw new DataError(
    `Reading dataset "${name}:${line}": the line is longer than ${MAX_LINE_BYTES} bytes, ` +
      `write one JSON object a line`,
  );
}

function hasByteOrderMark(bytes: ByteSource): boolean {
  if (bytes.size < 3) return false;
  const head = bytes.read(0, 3);
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf;
}

/** Growing typed arrays: 16 bytes a line, so ten million lines take 160 MB. */
class IndexBuilder {
  #length = 0;
  #starts = new Float64Array(1024);
  #lengths = new Uint32Array(1024);
  #lines = new Uint32Array(1024);

  add(start: number, length: number, line: number) {
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

  finish(): LineIndex {
    return {
      starts: this.#starts.slice(0, this.#length),
      lengths: this.#lengths.slice(0, this.#length),
      lines: this.#lines.slice(0, this.#length),
    };
  }
}

function parseLine(bytes: Uint8Array, place: string): Record<string, unknown> {
  let text: string;
  try {
    // ignoreBOM keeps a stray mark inside the file visible to the JSON parser.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new DataError(
      `Reading dataset "${place}": the line is not valid UTF-8, convert the file to UTF-8`,
      { cause: error },
    );
  }
  if (text.includes("\0")) {
    throw new DataError(
      `Reading dataset "${place}": the line holds a NUL byte, save the file as UTF-8 (not UTF-16)`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const hint = text.trimStart().startsWith("[")
      ? "it looks like one JSON array, write one object a line instead (JSON lines)"
      : "mend or remove the line";
    throw new DataError(
      `Reading dataset "${place}": not valid JSON (${(error as Error).message}), ${hint}`,
      { cause: error },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const kind = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
    throw new DataError(`Reading dataset "${place}": expected a JSON object, found ${kind}`);
  }
  return value as Record<string, unknown>;
}
