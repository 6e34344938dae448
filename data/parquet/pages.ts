/**
 * A column of a row group: its pages one after the other, as values in lists where the column is nested.
 * Levels become lists by hyparquet; sizes, counts and indices are checked here, because a damaged page
 * must not become a value, nor memory without bound.
 */
import { crc32 } from "node:zlib";
import type { ColumnMetaData, PageHeader, SchemaTree } from "hyparquet";
import { assembleLists } from "hyparquet/src/assemble.js";
import { parquetHeader } from "hyparquet/src/column.js";
import { convert, DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import {
  getMaxDefinitionLevel,
  getMaxRepetitionLevel,
  isFlatColumn,
} from "hyparquet/src/schema.js";
import type { ColumnDecoder, DecodedArray } from "hyparquet/src/types.js";
import { decompressPage } from "./codecs.ts";
import { bitWidth, readRuns } from "./levels.ts";
import { checkThrift } from "./thrift.ts";
import { type PageValues, readValues } from "./values.ts";

/** Values of one column in one row group, and decompressed bytes of one page, that are believed. */
const MAX_VALUES = 2 ** 24;
const MAX_PAGE_BYTES = 2 ** 30;

const fatalUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** hyparquet's parsers of values, but texts must be UTF-8. */
export const PARSERS: typeof DEFAULT_PARSERS = {
  ...DEFAULT_PARSERS,
  stringFromBytes: (bytes) => bytes && fatalUtf8.decode(bytes),
  jsonFromBytes: (bytes) => bytes && JSON.parse(fatalUtf8.decode(bytes)),
};

/**
 * Reads a column chunk.
 *
 * @param bytes from its first page on.
 * @param path schema elements from the root to the column.
 * @param rows of the row group.
 * @returns [rows] values, or lists by the column's nesting.
 * @throws Error when the chunk is damaged or of a kind that is not read.
 */
export function readColumnChunk(
  bytes: Uint8Array,
  meta: ColumnMetaData,
  path: SchemaTree[],
  rows: number,
): DecodedArray {
  const total = Number(meta.num_values);
  if (!(total >= 0 && total <= MAX_VALUES)) {
    throw new Error(`${total} values in one row group are too many, write smaller row groups`);
  }
  const column = new ColumnReader(meta, path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; column.values < total;) {
    const body = checkThrift(bytes, at);
    const header = parquetHeader({ view, offset: at });
    const length = header.compressed_page_size;
    if (!(length >= 0 && length <= bytes.length - body)) throw new Error("a page ends early");
    at = body + length;
    column.add(header, bytes.subarray(body, at));
  }
  const values = column.finish();
  if (column.values !== total || values.length !== rows) {
    throw new Error(
      `it has ${values.length} rows and ${column.values} values, expected ${rows} and ${total}`,
    );
  }
  return values;
}

class ColumnReader {
  /** Values so far, nulls included. */
  values = 0;
  readonly #decoder: ColumnDecoder;
  readonly #repetition: number;
  readonly #definition: number;
  readonly #flat: boolean;
  #dictionary: DecodedArray | undefined;
  /** Pages of a flat column; a nested one goes on in the lists of the page before. */
  #pages: DecodedArray[] = [];
  // deno-lint-ignore no-explicit-any
  #nested: any[] = [];

  constructor(meta: ColumnMetaData, path: SchemaTree[]) {
    this.#decoder = {
      pathInSchema: meta.path_in_schema,
      type: meta.type,
      element: path.at(-1)!.element,
      schemaPath: path,
      codec: meta.codec,
      parsers: PARSERS,
    };
    if (this.#decoder.element.type !== meta.type) throw new Error("its type is not the schema's");
    this.#repetition = getMaxRepetitionLevel(path);
    this.#definition = getMaxDefinitionLevel(path);
    this.#flat = isFlatColumn(path);
  }

  add(header: PageHeader, body: Uint8Array): void {
    const size = header.uncompressed_page_size;
    if (!(size >= 0 && size <= MAX_PAGE_BYTES)) throw new Error(`a page of ${size} bytes`);
    // Few writers leave a sum; where there is one it finds every damage.
    if (header.crc !== undefined && (header.crc | 0) !== (crc32(body) | 0)) {
      throw new Error("a page's checksum is wrong");
    }
    switch (header.type) {
      case "DICTIONARY_PAGE":
        this.#dictionary = this.#readDictionary(header, body);
        return;
      case "DATA_PAGE":
        this.#addV1(header, body);
        return;
      case "DATA_PAGE_V2":
        this.#addV2(header, body);
        return;
      case "INDEX_PAGE":
        return;
      default:
        throw new Error("a page of an unknown type");
    }
  }

  finish(): DecodedArray {
    if (!this.#flat) return this.#nested;
    return this.#pages.length === 1
      ? this.#pages[0]
      : this.#pages.flatMap((page) => Array.from(page));
  }

  #readDictionary(header: PageHeader, body: Uint8Array): DecodedArray {
    const count = header.dictionary_page_header?.num_values ?? -1;
    if (this.#dictionary || !(count >= 0)) throw new Error("a dictionary that cannot be");
    const page = decompressPage(body, this.#decoder.codec, header.uncompressed_page_size);
    const values = readValues(page, "PLAIN", count, this.#decoder);
    return this.#convert(values);
  }

  /** Levels and values in one compressed piece; each kind of level begins with its length. */
  #addV1(header: PageHeader, body: Uint8Array): void {
    const page = header.data_page_header;
    if (!page) throw new Error("a page without its header");
    const count = this.#checkCount(page.num_values);
    let rest = decompressPage(body, this.#decoder.codec, header.uncompressed_page_size);
    const take = (maximum: number, encoding: string) => {
      if (maximum === 0) return undefined;
      if (encoding !== "RLE") throw new Error(`levels in the encoding "${encoding}"`);
      if (rest.length < 4) throw new Error("a page ends early");
      const length = new DataView(rest.buffer, rest.byteOffset).getUint32(0, true);
      if (length > rest.length - 4) throw new Error("a page ends early");
      const levels = readLevels(rest.subarray(4, 4 + length), maximum, count);
      rest = rest.subarray(4 + length);
      return levels;
    };
    const repetition = take(this.#repetition, page.repetition_level_encoding);
    const definition = take(this.#definition, page.definition_level_encoding);
    this.#append(count, repetition, definition, rest, page.encoding);
  }

  /** Levels of known lengths, not compressed, then the values. */
  #addV2(header: PageHeader, body: Uint8Array): void {
    const page = header.data_page_header_v2;
    if (!page) throw new Error("a page without its header");
    const count = this.#checkCount(page.num_values);
    const { repetition_levels_byte_length: first, definition_levels_byte_length: second } = page;
    if (!(first >= 0 && second >= 0 && first + second <= body.length)) {
      throw new Error("a page ends early");
    }
    const levels = (from: number, length: number, maximum: number) =>
      maximum === 0 ? undefined : readLevels(body.subarray(from, from + length), maximum, count);
    const repetition = levels(0, first, this.#repetition);
    const definition = levels(first, second, this.#definition);
    const packed = body.subarray(first + second);
    const size = header.uncompressed_page_size - first - second;
    if (size < 0) throw new Error("a page ends early");
    const rest = page.is_compressed === false
      ? packed
      : decompressPage(packed, this.#decoder.codec, size);
    this.#append(count, repetition, definition, rest, page.encoding);
  }

  #checkCount(count: number): number {
    if (!(count >= 0 && this.values + count <= MAX_VALUES)) {
      throw new Error("a page has too many values");
    }
    return count;
  }

  #append(
    count: number,
    repetition: Uint32Array | undefined,
    definition: Uint32Array | undefined,
    bytes: Uint8Array,
    encoding: string,
  ): void {
    this.values += count;
    if (count === 0) return;
    const written = definition?.reduce((sum, level) => sum + Number(level === this.#definition), 0);
    const values = this.#convert(readValues(bytes, encoding, written ?? count, this.#decoder));
    const output = this.#flat ? [] : this.#nested;
    if (repetition && output.length === 0 && repetition[0] !== 0) {
      throw new Error("its first row begins inside another");
    }
    const assembled = assembleLists(
      output,
      definition && Array.from(definition),
      repetition ? Array.from(repetition) : [],
      values,
      this.#decoder.schemaPath,
    );
    if (this.#flat) this.#pages.push(assembled);
    // Without any level the values come back as they are.
    else if (assembled !== output) { for (const value of assembled) output.push(value); }
  }

  #convert(values: PageValues): DecodedArray {
    if ("plain" in values) return convert(values.plain, this.#decoder);
    const dictionary = this.#dictionary;
    if (!dictionary) throw new Error("indices without a dictionary");
    return Array.from(values.indices, (index) => {
      if (index >= dictionary.length) throw new Error("an index is not in the dictionary");
      return dictionary[index];
    });
  }
}

function readLevels(bytes: Uint8Array, maximum: number, count: number): Uint32Array {
  const levels = readRuns(bytes, bitWidth(maximum), count);
  if (levels.some((level) => level > maximum)) throw new Error("a level that cannot be");
  return levels;
}
