/**
 * A JSON file that is one array of objects, or an object `{"data": [...]}`, as a dataset of rows. One pass
 * finds where the objects stand; each is parsed when it is asked for, so that the file is never in memory
 * as a whole.
 */
import type { ByteSource } from "./byte_source.ts";
import { DataError } from "./error.ts";
import { decodeText, type RowDataset } from "./row_dataset.ts";
import {
  byteOrderMark,
  checkRowLength,
  objectRows,
  SCAN_BYTES,
  type SpanIndex,
  SpanIndexBuilder,
} from "./span_index.ts";

const QUOTE = 34, BACKSLASH = 92, COMMA = 44, NEWLINE = 10;
const OPEN_LIST = 91, CLOSE_LIST = 93, OPEN_OBJECT = 123, CLOSE_OBJECT = 125;

/** The beginning of `{"data": [`, with the array's bracket at its end. */
const WRAPPER = /^[ \t\r\n]*\{[ \t\r\n]*"data"[ \t\r\n]*:[ \t\r\n]*\[/;
const ARRAY = /^[ \t\r\n]*\[/;
const HEAD_BYTES = 4096;
/** What may stand behind the rows of `{"data": [...]}`. */
const MAX_TAIL_BYTES = 1 << 20;

/** What a JSON text begins with: an array, `{"data": [`, or anything else. */
export function jsonShape(bytes: ByteSource): "array" | "wrapped" | "other" {
  const head = headOf(bytes);
  if (ARRAY.test(head)) return "array";
  return WRAPPER.test(head) ? "wrapped" : "other";
}

/** The first characters as Latin-1: one for each byte. */
function headOf(bytes: ByteSource): string {
  const from = byteOrderMark(bytes);
  const head = bytes.read(from, Math.min(HEAD_BYTES, bytes.size - from));
  return String.fromCharCode(...head);
}

/**
 * The objects of a JSON array as rows. Closing the rows closes the bytes.
 *
 * @throws DataError when the text is no such array, an element is no object, or there is none.
 */
export function jsonArrayRows(bytes: ByteSource): RowDataset {
  const { name } = bytes;
  const scanner = new ArrayScanner(bytes);
  const index = scanner.scan();
  const { length } = index.starts;
  if (length === 0) throw new DataError(`Reading dataset "${name}": its array holds no rows`);
  return objectRows(bytes, index);
}

/** What is expected next between the rows. */
type Expected = "row or end" | "row" | "comma or end";

/** Finds the objects; what is inside of them is left to the parser. */
class ArrayScanner {
  #bytes: ByteSource;
  #index = new SpanIndexBuilder();
  #line = 1;
  #depth = 0;
  #quoted = false;
  #escaped = false;
  #start = 0;
  #startLine = 1;
  #expected: Expected = "row or end";
  #wrapped: boolean;

  constructor(bytes: ByteSource) {
    this.#bytes = bytes;
    this.#wrapped = jsonShape(bytes) === "wrapped";
  }

  scan(): SpanIndex {
    const bytes = this.#bytes;
    const head = headOf(bytes);
    const opening = (this.#wrapped ? WRAPPER : ARRAY).exec(head);
    if (!opening) throw this.#wrong("expected an array of objects");
    this.#line += opening[0].split("\n").length - 1;
    const from = byteOrderMark(bytes) + opening[0].length;
    for (let offset = from; offset < bytes.size; offset += SCAN_BYTES) {
      const block = bytes.read(offset, Math.min(SCAN_BYTES, bytes.size - offset));
      for (let i = 0; i < block.length; i++) {
        const byte = block[i];
        if (byte === NEWLINE) this.#line++;
        if (this.#depth > 0) this.#inside(byte, offset + i);
        else if (this.#between(byte, offset + i)) {
          this.#checkTail(offset + i + 1);
          return this.#index.finish();
        }
      }
      if (this.#depth > 0) this.#checkLength(offset + block.length);
    }
    throw this.#depth > 0
      ? this.#wrong("the file ends inside this object, it is cut", this.#startLine)
      : this.#wrong(`the file ends without the "]" of its array, it is cut`);
  }

  /** A byte of an object. */
  #inside(byte: number, at: number): void {
    if (this.#quoted) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) this.#quoted = false;
    } else if (byte === QUOTE) {
      this.#quoted = true;
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      this.#depth++;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
      if (--this.#depth > 0) return;
      this.#checkLength(at + 1);
      this.#index.add(this.#start, at + 1 - this.#start, this.#startLine);
      this.#expected = "comma or end";
    }
  }

  /** A byte between objects; true at the end of the array. */
  #between(byte: number, at: number): boolean {
    if (byte === 32 || byte === 9 || byte === 13 || byte === NEWLINE) return false;
    if (byte === CLOSE_LIST && this.#expected !== "row") return true;
    if (byte === COMMA && this.#expected === "comma or end") {
      this.#expected = "row";
    } else if (byte === OPEN_OBJECT && this.#expected !== "comma or end") {
      this.#depth = 1;
      this.#start = at;
      this.#startLine = this.#line;
    } else {
      const wanted = this.#expected === "comma or end" ? `"," or "]"` : "an object";
      throw this.#wrong(
        `expected ${wanted} for row ${this.#index.length}, found ${describeByte(byte)}`,
      );
    }
    return false;
  }

  /** What follows the array: nothing, or the rest of the object around it. */
  #checkTail(from: number): void {
    const { size } = this.#bytes;
    if (size - from > MAX_TAIL_BYTES) throw this.#wrong("more follows after the end of its array");
    const place = `${this.#bytes.name}:${this.#line}`;
    const tail = decodeText(this.#bytes.read(from, size - from), place);
    if (!this.#wrapped) {
      if (tail.trim() !== "") throw this.#wrong("more follows after the end of its array");
      return;
    }
    try {
      JSON.parse(`{"data":[]${tail}`);
    } catch (error) {
      throw this.#wrong(
        `what follows the array of "data" is not valid JSON (${(error as Error).message})`,
      );
    }
  }

  #checkLength(end: number): void {
    checkRowLength(
      this.#bytes.name,
      this.#startLine,
      end - this.#start,
      "give one object for each row",
    );
  }

  #wrong(what: string, line = this.#line): DataError {
    return new DataError(
      `Reading dataset "${this.#bytes.name}:${line}": ${what}; a JSON file must be an array of ` +
        `objects, {"data": [...]}, or one object a line`,
    );
  }
}

function describeByte(byte: number): string {
  return byte > 32 && byte < 127 ? `"${String.fromCharCode(byte)}"` : `the byte ${byte}`;
}
