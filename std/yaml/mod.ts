/**
 * Stand-in for `@std/yaml`, for networks that reach npm but not JSR: the part of its interface that
 * this project uses, over js-yaml. `deno unlink std/yaml` switches to the real package.
 *
 * One difference is known: `1_000` is the number 1000 in std and a string here.
 *
 * @module
 */
import {
  binaryTag,
  CORE_SCHEMA,
  dump,
  load,
  loadAll,
  mergeTag,
  timestampTag,
  YAMLException,
} from "js-yaml";

/** std's default schema: the YAML 1.2 core with merge keys, dates and binary data. */
const schema = CORE_SCHEMA.withTags(mergeTag, timestampTag, binaryTag);

/** Options of {@linkcode stringify}, a part of std's. */
export interface StringifyOptions {
  /** Columns of one level. Default 2. */
  indent?: number;
  /** Leave out what YAML cannot express instead of throwing. */
  skipInvalid?: boolean;
  /** Sort the keys of mappings. */
  sortKeys?: boolean;
  /** Columns after which long text is folded; -1 never. Default 80. */
  lineWidth?: number;
}

/** std throws a `SyntaxError`; the message says the line and column, 1-based, as std's does. */
function translate<T>(parseText: () => T): T {
  try {
    return parseText();
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const at = error.mark ? ` at line ${error.mark.line + 1}, column ${error.mark.column + 1}` : "";
    const snippet = error.mark?.snippet ? `:\n${error.mark.snippet}` : "";
    throw new SyntaxError(`${error.reason}${at}${snippet}`, { cause: error });
  }
}

/**
 * Parses one YAML document; empty text is null.
 *
 * @throws {SyntaxError} With line and column, on malformed text, repeated keys or a second document
 */
export function parse(text: string): unknown {
  const documents = translate(() => loadAll(text, { schema }));
  if (documents.length > 1) {
    // Only `load` knows that a second document is one too many, and words it well.
    return translate(() => load(text, { schema }));
  }
  return documents.length === 0 ? null : documents[0];
}

/**
 * Parses every document of a YAML stream.
 *
 * @throws {SyntaxError} With line and column, on malformed text or repeated keys
 */
export function parseAll(text: string): unknown {
  return translate(() => loadAll(text, { schema }));
}

/** Writes a value as a YAML document that ends in a newline. */
export function stringify(value: unknown, options: StringifyOptions = {}): string {
  return dump(value, options);
}
