/**
 * JSON as files from strangers need it: duplicate keys are errors, because `JSON.parse` keeps the last
 * one silently and another reader may keep the first.
 */
import { ModelError, quoted, readingError } from "./error.ts";

const QUOTE = 0x22, BACKSLASH = 0x5c, COLON = 0x3a, MINUS = 0x2d;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d, OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;

/** A JSON object whose fields are not checked yet. */
export type JsonObject = { readonly [key: string]: unknown };

/** Largest JSON file read whole: config, weight index, tokenizer settings. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/**
 * Parses JSON text. With `naturalNumbers`, a number written in any other way than decimal digits
 * (`-1`, `1.0`, `1e3`) is an error.
 *
 * @throws ModelError naming `file`: not JSON, a duplicate key, a number that is not natural
 */
export function parseStrictJson(
  text: string,
  file: string,
  options: { readonly naturalNumbers?: boolean } = {},
): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ModelError(
      `Cannot read ${quoted(file)}: not valid JSON: ${(error as Error).message}`,
    );
  }
  const problem = findProblem(text, options.naturalNumbers === true);
  if (problem !== undefined) throw new ModelError(`Cannot read ${quoted(file)}: ${problem}`);
  return value;
}

/**
 * Decodes UTF-8 (a byte order mark is not skipped: JSON does not allow one).
 *
 * @throws ModelError naming `file` when the bytes are not UTF-8
 */
export function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ModelError(`Cannot read ${quoted(file)}: not valid UTF-8`);
  }
}

/**
 * Reads a JSON file whose top level must be an object.
 *
 * @throws ModelError naming the file: missing, not a file, over 64 MiB, not UTF-8, not JSON, no object
 */
export function readJsonObject(
  path: string,
): { readonly text: string; readonly value: JsonObject } {
  let bytes: Uint8Array;
  try {
    const info = Deno.statSync(path);
    if (!info.isFile) throw new ModelError(`Cannot read ${quoted(path)}: it is not a file`);
    if (info.size > MAX_JSON_BYTES) {
      throw new ModelError(
        `Cannot read ${
          quoted(path)
        }: ${info.size} bytes, more than the ${MAX_JSON_BYTES} a JSON file may have`,
      );
    }
    bytes = Deno.readFileSync(path);
  } catch (error) {
    throw readingError(path, error);
  }
  const text = decodeUtf8(bytes, path);
  const value = parseStrictJson(text, path);
  if (!isJsonObject(value)) {
    throw new ModelError(`Cannot read ${quoted(path)}: the top level must be a JSON object`);
  }
  return { text, value };
}

/** True for `{...}`; false for arrays and null. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Walks text that `JSON.parse` accepted, which is why nothing is checked twice. */
function findProblem(text: string, naturalNumbers: boolean): string | undefined {
  // One entry for each open bracket: the keys seen so far, or null in an array. An explicit stack,
  // so that deep nesting is only memory.
  const open: (Set<string> | null)[] = [];
  let i = 0;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      const end = stringEnd(text, i);
      const keys = open.length > 0 ? open[open.length - 1] : null;
      if (keys !== null && isKey(text, end)) {
        const key = JSON.parse(text.slice(i, end)) as string;
        if (keys.has(key)) return `the key ${quoted(key)} occurs twice in one JSON object`;
        keys.add(key);
      }
      i = end;
    } else if (naturalNumbers && (code === MINUS || isDigit(code))) {
      let end = i + 1;
      while (end < text.length && isNumberPart(text.charCodeAt(end))) end++;
      const number = text.slice(i, end);
      if (!/^[0-9]+$/.test(number)) {
        return `the number ${
          quoted(number)
        } must be a non-negative integer without point or exponent`;
      }
      i = end;
    } else {
      if (code === OPEN_BRACE) open.push(new Set());
      else if (code === OPEN_BRACKET) open.push(null);
      else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) open.pop();
      i++;
    }
  }
  return undefined;
}

/** Index after the closing quote of the string that starts at `start`. */
function stringEnd(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1);
  for (;;) {
    let slash = quote - 1;
    while (text.charCodeAt(slash) === BACKSLASH) slash--;
    // An odd number of backslashes escapes the quote.
    if ((quote - slash) % 2 === 1) return quote + 1;
    quote = text.indexOf('"', quote + 1);
  }
}

function isKey(text: string, after: number): boolean {
  let i = after;
  while (text.charCodeAt(i) <= 0x20) i++;
  return text.charCodeAt(i) === COLON;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isNumberPart(code: number): boolean {
  // digits, '+', '-', '.', 'E', 'e'
  return isDigit(code) || code === 0x2b || code === MINUS || code === 0x2e || code === 0x45 ||
    code === 0x65;
}
