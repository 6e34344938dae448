/** Rows with random access, whatever the file they stand in. */
import { DataError } from "./error.ts";

/** A row as read: values as JSON has them. */
export type Row = Readonly<Record<string, unknown>>;

/** Rows of a file, or of several files in turn; `row` counts from 0. */
export interface RowDataset {
  /** The path or name used in messages. */
  readonly name: string;
  readonly length: number;
  /** All values are texts: the file says no more of them. */
  readonly untyped?: boolean;
  /** The values of a row; throws DataError with its place, RangeError when there is no such row. */
  get(row: number): Row;
  /** Where a row stands, for messages: `file:line`, or `file row 17` where there are no lines. */
  place(row: number): string;
  close(): void;
}

/** Beyond this a row is not data; code that walks values may then recurse. */
const MAX_DEPTH = 1000;

/** A row longer than this is taken for a file of another kind. */
export const MAX_ROW_BYTES = 50_000_000;

/**
 * Reads one JSON object.
 *
 * @param bytes UTF-8.
 * @param place `file:line`, for messages.
 * @throws DataError when it is no object, not valid UTF-8 or JSON, or nested too deep.
 */
export function parseObject(bytes: Uint8Array, place: string): Row {
  const text = decodeText(bytes, place);
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
  if (text.length > 2 * MAX_DEPTH && depthOf(text) > MAX_DEPTH) {
    throw new DataError(
      `Reading dataset "${place}": the row is nested deeper than ${MAX_DEPTH} levels, mend or remove it`,
    );
  }
  return value as Row;
}

/**
 * Bytes of a row as text.
 *
 * @throws DataError when they are not UTF-8 or hold a NUL byte.
 */
export function decodeText(bytes: Uint8Array, place: string): string {
  let text: string;
  try {
    // ignoreBOM keeps a stray mark inside the file visible to the parser.
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
  return text;
}

/** Nesting of valid JSON. */
function depthOf(text: string): number {
  let depth = 0, deepest = 0, quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char === "\\") i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === "{" || char === "[") deepest = Math.max(deepest, ++depth);
    else if (char === "}" || char === "]") depth--;
  }
  return deepest;
}

/**
 * Checks a row number.
 *
 * @throws RangeError when there is no such row.
 */
export function checkRow(row: number, { name, length }: Pick<RowDataset, "name" | "length">): void {
  if (Number.isInteger(row) && row >= 0 && row < length) return;
  throw new RangeError(`Row ${row} is not in dataset "${name}"`);
}

/** The rows of several files in turn, numbered through. */
export function concatenateRows(name: string, parts: readonly RowDataset[]): RowDataset {
  if (parts.length === 1) return parts[0];
  const starts: number[] = [];
  let length = 0;
  for (const part of parts) {
    starts.push(length);
    length += part.length;
  }
  const find = (row: number): [RowDataset, number] => {
    checkRow(row, { name, length });
    const after = starts.findIndex((start) => start > row);
    const at = (after < 0 ? parts.length : after) - 1;
    return [parts[at], row - starts[at]];
  };
  return {
    name,
    length,
    untyped: parts.every(({ untyped }) => untyped),
    get(row) {
      const [part, inPart] = find(row);
      return part.get(inPart);
    },
    place(row) {
      const [part, inPart] = find(row);
      return part.place(inPart);
    },
    close: () => parts.forEach((part) => part.close()),
  };
}
