import { assertEquals, assertThrows } from "@std/assert";
import { parquetWriteBuffer } from "hyparquet-writer";
import { openBytes } from "../../data/byte_source.ts";
import { DataError } from "../../data/error.ts";
import { ColumnCache, parquetRows } from "../../data/parquet/parquet_rows.ts";
import type { RowDataset } from "../../data/row_dataset.ts";
import text from "./parquet_files.json" with { type: "text" };

const golden: { files: Record<string, string>; rows: Record<string, unknown>[] } = JSON.parse(text);
const decode = (base64: string) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
const open = (bytes: Uint8Array, cache?: ColumnCache) =>
  parquetRows(openBytes({ name: "rows.parquet", bytes }), cache);
/** All rows with every column looked at. */
const all = (rows: RowDataset) =>
  Array.from({ length: rows.length }, (_, i) => ({ ...rows.get(i) }));

for (const [name, base64] of Object.entries(golden.files)) {
  Deno.test(`parquetRows() gives the rows that pyarrow wrote: ${name}`, () => {
    const rows = open(decode(base64));
    assertEquals(rows.length, 9);
    const columns = Object.keys(rows.get(0));
    const expected = golden.rows.map((row) =>
      Object.fromEntries(columns.map((column) => [column, row[column]]))
    );
    assertEquals(all(rows), expected);
    // In any order, from a cache that holds no two columns.
    const small = open(decode(base64), new ColumnCache(1));
    for (const i of [8, 0, 5, 4, 3, 8]) assertEquals({ ...small.get(i) }, expected[i]);
  });
}

/** A file by another writer: plain options, one column of texts and one of whole numbers. */
function written(rows: number, options: Partial<Parameters<typeof parquetWriteBuffer>[0]> = {}) {
  const column = <T>(make: (i: number) => T) => Array.from({ length: rows }, (_, i) => make(i));
  return new Uint8Array(parquetWriteBuffer({
    columnData: [
      { name: "prompt", data: column((i) => `Question ${i % 7}`), type: "STRING" },
      { name: "n", data: column((i) => BigInt(i)), type: "INT64" },
    ],
    ...options,
  }));
}

Deno.test("parquetRows() reads only what is looked at, and names where a row is", () => {
  const bytes = openBytes({ name: "rows.parquet", bytes: written(5000, { rowGroupSize: 1000 }) });
  let read = 0;
  const counted = { ...bytes, read: (at: number, n: number) => (read += n, bytes.read(at, n)) };
  const rows = parquetRows(counted);
  assertEquals([rows.length, rows.place(4321)], [5000, "rows.parquet row 4321"]);
  const opened = read;
  const row = rows.get(4321);
  assertEquals(Object.keys(row), ["prompt", "n"]);
  assertEquals(read, opened);
  assertEquals(row.n, 4321);
  const once = read - opened;
  assertEquals([rows.get(4000).n, rows.get(4999).n], [4000, 4999]);
  assertEquals(read, opened + once);
  assertEquals([rows.get(0).n, read > opened + once], [0, true]);
  assertThrows(() => rows.get(5000), RangeError);
});

Deno.test("ColumnCache keeps the latest columns within its budget", () => {
  const cache = new ColumnCache(10);
  let reads = 0;
  const get = (key: string) => cache.get(key, 4, () => [++reads]);
  assertEquals(["a", "b", "a", "c", "a", "b"].map((key) => get(key)[0]), [1, 2, 1, 3, 1, 4]);
});

Deno.test("parquetRows() says of a damaged file which it is and where", () => {
  const good = written(2000, { rowGroupSize: 1000, codec: "UNCOMPRESSED", statistics: false });
  const change = (edit: (bytes: Uint8Array) => Uint8Array | void) => {
    const bytes = good.slice();
    return edit(bytes) ?? bytes;
  };
  const atOpen: [Uint8Array, string][] = [
    [good.subarray(0, 8), "too short"],
    [good.subarray(0, good.length - 9), "it is cut, or of another kind"],
    [change((bytes) => void bytes.set([0x50, 0x41, 0x52, 0x45], bytes.length - 4)), "encrypted"],
    [change((bytes) => void bytes.fill(255, bytes.length - 8, bytes.length - 4)), "does not fit"],
    [change((bytes) => void (bytes[bytes.length - 8] -= 1)), "damaged"],
  ];
  for (const [bytes, message] of atOpen) {
    const error = assertThrows(() => open(bytes), DataError, message);
    assertEquals(error.message.startsWith('Reading dataset "rows.parquet": '), true);
  }
  // A text in the dictionary that is no longer UTF-8.
  const at = new TextDecoder("latin1").decode(good).indexOf("Question 3");
  const rows = open(change((bytes) => void (bytes[at] = 255)));
  assertEquals(rows.get(0).n, 0);
  assertThrows(
    () => rows.get(1).prompt,
    DataError,
    'Reading dataset "rows.parquet", column "prompt" of rows 0 to 999: the Parquet data is damaged',
  );
  assertEquals(rows.get(1000).prompt, "Question 6");
});

Deno.test("a checksum finds what nothing else would", () => {
  const bytes = decode(golden.files.checksums);
  const at = new TextDecoder("latin1").decode(bytes).indexOf("Question 0");
  bytes[at + 9] ^= 3;
  const rows = open(bytes);
  assertThrows(() => rows.get(0).prompt, DataError, "checksum");
});
