/**
 * Comma- or tab-separated values as a dataset of rows, by RFC 4180: the first record names the columns, a
 * field in double quotes may hold separators, line ends and doubled quotes. Every value is text; an empty
 * field without quotes is null. Records are found by one pass and parsed when they are asked for.
 */
import type { ByteSource } from "./byte_source.ts";
import { DataError } from "./error.ts";
import { checkRow, decodeText, type Row, type RowDataset } from "./row_dataset.ts";
import {
  byteOrderMark,
  checkRowLength,
  SCAN_BYTES,
  type SpanIndex,
  SpanIndexBuilder,
} from "./span_index.ts";

/** What stands between fields. */
export type Separator = "," | "\t";

const QUOTE = 34, NEWLINE = 10;

/**
 * Opens the records behind the first one as rows. A byte order mark, CRLF and blank lines are accepted.
 * Closing the rows closes the bytes.
 *
 * @throws DataError when the header is wrong, a quoted field does not end, or there is no row.
 */
export function csvRows(bytes: ByteSource, separator: Separator): RowDataset {
  const { name } = bytes;
  const index = indexRecords(bytes);
  const length = index.starts.length - 1;
  if (length < 1) {
    throw new DataError(
      `Reading dataset "${name}": it holds no rows, expected a line with the names of the columns and ` +
        `rows below it`,
    );
  }
  const place = (row: number) => `${name}:${index.lines[row + 1]}`;
  const record = (at: number) => {
    const where = `${name}:${index.lines[at]}`;
    const text = decodeText(bytes.read(index.starts[at], index.lengths[at]), where);
    return parseRecord(text, separator, where);
  };
  const columns = checkHeader(record(0), `${name}:${index.lines[0]}`);
  return {
    name,
    length,
    untyped: true,
    get: (row) => {
      checkRow(row, { name, length });
      const fields = record(row + 1);
      if (fields.length !== columns.length) {
        throw new DataError(
          `Reading dataset "${place(row)}": the row has ${fields.length} fields, the header ` +
            `${columns.length}; put fields that hold a separator, a quote or a line end in double quotes`,
        );
      }
      return rowOf(columns, fields);
    },
    place,
    close: () => bytes.close(),
  };
}

/** Defines, not assigns: a column may be called `__proto__`. */
function rowOf(columns: readonly string[], fields: readonly (string | null)[]): Row {
  return Object.fromEntries(columns.map((column, i) => [column, fields[i]]));
}

function checkHeader(fields: readonly (string | null)[], place: string): string[] {
  const names = fields.map((field) => {
    if (field === null || field.trim() === "") {
      throw new DataError(
        `Reading dataset "${place}": a column of the header has no name, name every column`,
      );
    }
    return field.trim();
  });
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new DataError(
      `Reading dataset "${place}": the header names the column "${twice}" twice, rename one`,
    );
  }
  return names;
}

/** Finds the records: line ends outside of quotes end them. */
function indexRecords(bytes: ByteSource): SpanIndex {
  const index = new SpanIndexBuilder();
  let start: number = byteOrderMark(bytes);
  let line = 1, startLine = 1, quoteLine = 0;
  let quoted = false, blank = true;
  const check = (end: number) =>
    checkRowLength(
      bytes.name,
      quoted ? quoteLine : startLine,
      end - start,
      "a double quote that does not end may be the cause",
    );
  for (let offset = start; offset < bytes.size; offset += SCAN_BYTES) {
    const block = bytes.read(offset, Math.min(SCAN_BYTES, bytes.size - offset));
    for (let i = 0; i < block.length; i++) {
      const byte = block[i];
      // A doubled quote ends and begins again, which comes to the same.
      if (byte === QUOTE) {
        quoted = !quoted;
        quoteLine = line;
      }
      if (byte === NEWLINE) line++;
      if (byte === NEWLINE && !quoted) {
        check(offset + i);
        if (!blank) index.add(start, offset + i - start, startLine);
        start = offset + i + 1;
        startLine = line;
        blank = true;
      } else if (byte !== 13 && byte !== NEWLINE) {
        blank = false;
      }
    }
    check(offset + block.length);
  }
  if (quoted) {
    throw new DataError(
      `Reading dataset "${bytes.name}:${quoteLine}": a field in double quotes that begins here does not ` +
        `end; end it, and double a quote inside a field`,
    );
  }
  if (!blank) index.add(start, bytes.size - start, startLine);
  return index.finish();
}

/** Splits a record, which has no line end behind it but perhaps a carriage return. */
function parseRecord(record: string, separator: Separator, place: string): (string | null)[] {
  const text = record.endsWith("\r") ? record.slice(0, -1) : record;
  const fields: (string | null)[] = [];
  for (let at = 0;;) {
    if (text[at] === '"') {
      const [field, end] = quotedField(text, at);
      if (end < text.length && text[end] !== separator) {
        throw new DataError(
          `Reading dataset "${place}": text follows a closing double quote in field ` +
            `${fields.length + 1}; double a quote that stands inside a field`,
        );
      }
      fields.push(field);
      at = end;
    } else {
      const found = text.indexOf(separator, at);
      const end = found < 0 ? text.length : found;
      const field = text.slice(at, end);
      if (field.includes('"')) {
        throw new DataError(
          `Reading dataset "${place}": a double quote inside field ${
            fields.length + 1
          }, which does ` +
            `not begin with one; put the field in double quotes and double the quote`,
        );
      }
      if (/[\r\n]/.test(field)) {
        throw new DataError(
          `Reading dataset "${place}": a carriage return inside field ${
            fields.length + 1
          }; put the ` +
            `field in double quotes, or end lines with a newline`,
        );
      }
      fields.push(field === "" ? null : field);
      at = end;
    }
    if (at >= text.length) return fields;
    at++;
  }
}

/** A field from its opening quote; the index is the one behind its closing quote. */
function quotedField(text: string, from: number): [string, number] {
  let field = "";
  for (let at = from + 1;;) {
    // The quotes of a record are paired: one is always found.
    const end = text.indexOf('"', at);
    field += text.slice(at, end);
    if (text[end + 1] !== '"') return [field, end + 1];
    field += '"';
    at = end + 2;
  }
}
