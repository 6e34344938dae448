/** The parts that read Parquet's pages, each on bytes written by hand after the format's description. */
import { assertEquals, assertThrows } from "@std/assert";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { ColumnMetaData, SchemaTree } from "hyparquet";
import { decompressPage } from "../../data/parquet/codecs.ts";
import { bitWidth, readRuns } from "../../data/parquet/levels.ts";
import { readColumnChunk } from "../../data/parquet/pages.ts";
import { checkThrift } from "../../data/parquet/thrift.ts";
import { readValues } from "../../data/parquet/values.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (words: string) => [...new TextEncoder().encode(words)];

Deno.test("readRuns() reads repeated values and packed groups, and nothing that does not fit", () => {
  const read = (
    data: Uint8Array,
    width: number,
    count: number,
  ) => [...readRuns(data, width, count)];
  assertEquals([0, 1, 2, 3, 4].map(bitWidth), [0, 1, 2, 2, 3]);
  // Five times 2; then 0 to 7 in 3 bits each, lowest bit first, the example of the format's page.
  assertEquals(read(bytes(10, 2, 3, 0x88, 0xc6, 0xfa), 3, 13), [
    2,
    2,
    2,
    2,
    2,
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
  ]);
  // The padding of the last group may be missing.
  assertEquals(read(bytes(3, 0x88, 0xc6), 3, 5), [0, 1, 2, 3, 4]);
  assertEquals(read(bytes(4, 0x34, 0x12), 13, 2), [0x1234, 0x1234]);
  assertEquals(read(bytes(), 0, 3), [0, 0, 0]);
  const bad: [Uint8Array, number, number, string][] = [
    [bytes(12, 2), 3, 5, "longer than its page"],
    [bytes(0xfe, 0xff, 0xff, 0xff, 0x0f, 1), 1, 5, "longer than its page"],
    [bytes(10, 9), 3, 5, "too large"],
    [bytes(10), 3, 5, "end early"],
    [bytes(3, 0x88, 0xc6), 3, 8, "end early"],
    [bytes(0xff, 0xff, 0xff, 0xff, 0xff, 1), 3, 8, "no length"],
    [bytes(10, 1), 25, 5, "too wide"],
  ];
  for (const [data, width, count, message] of bad) {
    assertThrows(() => readRuns(data, width, count), Error, message);
  }
});

Deno.test("checkThrift() finds the end of a header, and every size that cannot be", () => {
  // 1: true, 2: i32, 3: binary, 4: list of two bytes, 5: struct {1: double}, far on: i64; then the end.
  const good = bytes(
    ...[0x11, 0x15, 0x08, 0x18, 0x02, 9, 9, 0x19, 0x23, 7, 8],
    ...[0x1c, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x06, 0xc8, 0x01, 0x81, 0x01, 0],
  );
  assertEquals(checkThrift(good, 0), good.length);
  assertEquals(checkThrift(bytes(1, 2, ...good, 5), 2), good.length + 2);
  for (let cut = 0; cut < good.length; cut++) {
    assertThrows(() => checkThrift(good.subarray(0, cut), 0), Error);
  }
  const bad: [Uint8Array, string][] = [
    [bytes(0x19, 0xf3, 0xff, 0xff, 0xff, 0x7f, 1, 1, 0), "too long"],
    [bytes(0x18, 0xff, 0xff, 0xff, 0x7f, 1), "does not end"],
    [bytes(0x1d, 0), "unknown type 13"],
    [bytes(0x15, ...new Array(11).fill(0x80), 0), "too long"],
    [new Uint8Array(200).fill(0x1c), "too deep"],
  ];
  for (const [data, message] of bad) assertThrows(() => checkThrift(data, 0), Error, message);
});

Deno.test("decompressPage() gives exactly the bytes that a page has", () => {
  const page = bytes(...text("prompt chosen rejected prompt chosen"));
  const packed = {
    GZIP: gzipSync(page),
    ZSTD: zstdCompressSync(page),
    BROTLI: brotliCompressSync(page),
    UNCOMPRESSED: page,
    // One literal run of 3, a copy of 6 that overlaps itself, then literals.
    LZ4_RAW: bytes(0x32, ...text("abc"), 3, 0, 0x10, ...text("d")),
    // Length 4, a literal of 4.
    SNAPPY: bytes(4, 12, ...text("abcd")),
  };
  const whole: Record<string, string> = { LZ4_RAW: "abcabcabcd", SNAPPY: "abcd" };
  for (const [codec, data] of Object.entries(packed)) {
    const expected = text(whole[codec] ?? "prompt chosen rejected prompt chosen");
    assertEquals([...decompressPage(data, codec, expected.length)], expected);
    for (const size of [expected.length - 1, expected.length + 1]) {
      assertThrows(() => decompressPage(data, codec, size), Error);
    }
  }
  assertThrows(() => decompressPage(page, "LZO", 3), Error, `compression "LZO" is not known`);
  const bad: [Uint8Array, string][] = [
    [bytes(0x32, ...text("abc"), 4, 0), "copy does not fit"],
    [bytes(0x32, ...text("abc"), 0, 0), "copy does not fit"],
    [bytes(0x3f, ...text("abc"), 3, 0, 9), "copy does not fit"],
    [bytes(0x42, ...text("abc")), "literals do not fit"],
    [bytes(0x3f, ...text("abc"), 3), "ends early"],
  ];
  for (const [data, message] of bad) {
    assertThrows(() => decompressPage(data, "LZ4_RAW", 9), Error, message);
  }
});

Deno.test("readValues() takes nothing from beyond its page, and no block that cannot be", () => {
  // The page lies in a larger piece of memory, as it does in a file.
  const memory = new Uint8Array(64).fill(1);
  const page = (...values: number[]) => {
    memory.set(values, 8);
    return memory.subarray(8, 8 + values.length);
  };
  const read = (data: Uint8Array, encoding: string, count: number, type: "INT64" | "BYTE_ARRAY") =>
    readValues(data, encoding, count, { type, element: { name: "a", type } });
  const eight = [0, 0, 0, 0, 0, 0, 0, 0];
  const found = read(page(5, ...eight.slice(1)), "PLAIN", 1, "INT64");
  assertEquals("plain" in found && Number(found.plain[0]), 5);
  const bad: [() => unknown, string][] = [
    [() => read(page(...eight), "PLAIN", 2, "INT64"), "end early"],
    [() => read(page(1, 0, 0, 0, 97, 98), "PLAIN", 1, "BYTE_ARRAY"), "do not fill it"],
    [() => read(page(1, 2, 3), "PLAIN", 25, "BYTE_ARRAY"), "end early"],
    // Blocks of 8 in no parts; as many values as were not asked for.
    [() => read(page(8, 0, 1, 0), "DELTA_BINARY_PACKED", 1, "INT64"), "blocks that cannot be"],
    [() => read(page(8, 1, 2, 0), "DELTA_BINARY_PACKED", 1, "INT64"), "blocks that cannot be"],
    // A length of 3 with one byte left.
    [
      () => read(page(8, 1, 1, 6, 97), "DELTA_LENGTH_BYTE_ARRAY", 1, "BYTE_ARRAY"),
      "longer than its page",
    ],
    // A first text that goes on with two bytes of the one before.
    [
      () => read(page(8, 1, 1, 4, 8, 1, 1, 2, 97), "DELTA_BYTE_ARRAY", 1, "BYTE_ARRAY"),
      "goes on with too much",
    ],
    [() => read(page(1), "BIT_PACKED", 1, "BYTE_ARRAY"), `"BIT_PACKED" is not known`],
  ];
  for (const [action, message] of bad) assertThrows(action, Error, message);
});

/** A page's header and body; numbers are below 64, so that each takes one byte. */
function page(type: "data" | "dictionary", values: number, body: number[]): number[] {
  const fields = type === "data"
    // Encoding RLE_DICTIONARY, levels RLE.
    ? [0x2c, 0x15, 2 * values, 0x15, 16, 0x15, 6, 0x15, 6, 0]
    : [0x4c, 0x15, 2 * values, 0x15, 0, 0];
  const size = 2 * body.length;
  return [0x15, type === "data" ? 0 : 4, 0x15, size, 0x15, size, ...fields, 0, ...body];
}

Deno.test("readColumnChunk() counts values, and believes no index beyond the dictionary", () => {
  const element = {
    name: "a",
    type: "BYTE_ARRAY",
    converted_type: "UTF8",
    repetition_type: "REQUIRED",
  };
  const leaf = { element, children: [], path: ["a"], count: 1 } as SchemaTree;
  const root = { element: { name: "root" }, children: [leaf], path: [], count: 2 } as SchemaTree;
  const read = (values: number, rows: number, ...pages: number[][]) => {
    const meta = {
      type: "BYTE_ARRAY",
      codec: "UNCOMPRESSED",
      num_values: BigInt(values),
      path_in_schema: ["a"],
    } as unknown as ColumnMetaData;
    return [...readColumnChunk(bytes(...pages.flat()), meta, [root, leaf], rows)];
  };
  const words = page("dictionary", 2, [1, 0, 0, 0, 97, 1, 0, 0, 0, 98]);
  // Two bits an index: three times the second word, then packed.
  const second = page("data", 3, [2, 6, 1]);
  const both = page("data", 2, [2, 3, 0b0100]);
  assertEquals(read(5, 5, words, second, both), ["b", "b", "b", "a", "b"]);
  const bad: [() => unknown, string][] = [
    [() => read(3, 3, words, page("data", 3, [2, 6, 2])), "not in the dictionary"],
    [() => read(3, 3, second), "without a dictionary"],
    [() => read(4, 4, words, second), "does not end"],
    [() => read(2, 2, words, second), "it has 3 rows and 3 values, expected 2 and 2"],
    [() => read(3, 4, words, second), "expected 4 and 3"],
    [() => read(3, 3, words, words, second), "a dictionary that cannot be"],
    [() => read(3, 3, words, second.slice(0, -1)), "a page ends early"],
    [() => read(2 ** 30, 3, words, second), "too many"],
  ];
  for (const [action, message] of bad) assertThrows(action, Error, message);
});
