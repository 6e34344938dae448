/**
 * The values of a Parquet page. Decoding of single encodings is hyparquet's; what it takes on trust, sizes
 * and counts in damaged pages, is checked here first.
 */
import { deltaBinaryUnpack } from "hyparquet/src/delta.js";
import { byteStreamSplit } from "hyparquet/src/encoding.js";
import { readPlain } from "hyparquet/src/plain.js";
import { readVarInt } from "hyparquet/src/thrift.js";
import type { ColumnDecoder, DataReader, DecodedArray } from "hyparquet/src/types.js";
import { readRuns } from "./levels.ts";

/** Values of a page: as they are, or as indices into the dictionary. */
export type PageValues = { readonly plain: DecodedArray } | { readonly indices: Uint32Array };

/**
 * @param page the values' bytes, decompressed.
 * @param encoding as named in the format.
 * @throws Error when the bytes do not give exactly `count` values.
 */
export function readValues(
  page: Uint8Array,
  encoding: string,
  count: number,
  { type, element }: Pick<ColumnDecoder, "type" | "element">,
): PageValues {
  if (count === 0) return { plain: [] };
  const reader: DataReader = {
    view: new DataView(page.buffer, page.byteOffset, page.byteLength),
    offset: 0,
  };
  const plain = readPlainly(reader, page, encoding, count, { type, element });
  // The reader of plain values may look past the page, at the next one.
  if (plain) {
    if (reader.offset > page.length) throw new Error("the values of a page end early");
    return { plain };
  }
  if (encoding !== "RLE_DICTIONARY" && encoding !== "PLAIN_DICTIONARY") {
    throw new Error(`the encoding "${encoding}" is not known`);
  }
  return { indices: readRuns(page.subarray(1), page[0], count) };
}

function readPlainly(
  reader: DataReader,
  page: Uint8Array,
  encoding: string,
  count: number,
  { type, element }: Pick<ColumnDecoder, "type" | "element">,
): DecodedArray | undefined {
  switch (encoding) {
    case "PLAIN": {
      // A bit is the smallest value there is.
      if (count > page.length * 8) throw new Error("the values of a page end early");
      const values = readPlain(reader, type, count, element.type_length);
      if (type === "BYTE_ARRAY" && reader.offset !== page.length) {
        throw new Error("the texts of a page do not fill it");
      }
      return values;
    }
    case "RLE": {
      if (type !== "BOOLEAN") throw new Error(`values of type ${type} in runs`);
      // Their length in bytes stands before the runs.
      return Array.from(readRuns(page.subarray(4), 1, count), Boolean);
    }
    case "BYTE_STREAM_SPLIT":
      return byteStreamSplit(reader, count, type, element.type_length);
    case "DELTA_BINARY_PACKED":
      return unpackDeltas(
        reader,
        type === "INT32" ? new Int32Array(count) : new BigInt64Array(count),
      );
    case "DELTA_LENGTH_BYTE_ARRAY":
      return takeTexts(reader, page, unpackDeltas(reader, new Int32Array(count)));
    case "DELTA_BYTE_ARRAY": {
      const prefixes = unpackDeltas(reader, new Int32Array(count));
      const suffixes = unpackDeltas(reader, new Int32Array(count));
      return joinPrefixes(prefixes, takeTexts(reader, page, suffixes));
    }
  }
}

/** Differences in blocks: the sizes of the blocks are looked at before they are read. */
function unpackDeltas<T extends Int32Array | BigInt64Array>(reader: DataReader, output: T): T {
  const start = reader.offset;
  const block = readVarInt(reader), parts = readVarInt(reader), count = readVarInt(reader);
  const sound = parts > 0 && parts <= 4096 && block > 0 && block <= 2 ** 20 &&
    block % parts === 0 && (block / parts) % 8 === 0 && count === output.length;
  if (!sound) throw new Error("differences have blocks that cannot be");
  reader.offset = start;
  deltaBinaryUnpack(reader, output.length, output);
  return output;
}

function takeTexts(reader: DataReader, page: Uint8Array, lengths: Int32Array): Uint8Array[] {
  return Array.from(lengths, (length) => {
    if (length < 0 || length > page.length - reader.offset) {
      throw new Error("a text is longer than its page");
    }
    reader.offset += length;
    return page.subarray(reader.offset - length, reader.offset);
  });
}

/** Each text begins with so many bytes of the one before. */
function joinPrefixes(prefixes: Int32Array, suffixes: readonly Uint8Array[]): Uint8Array[] {
  let before = new Uint8Array();
  return suffixes.map((suffix, i) => {
    const length = prefixes[i];
    if (length < 0 || length > before.length) throw new Error("a text goes on with too much");
    const whole = new Uint8Array(length + suffix.length);
    whole.set(before.subarray(0, length));
    whole.set(suffix, length);
    before = whole;
    return whole;
  });
}
