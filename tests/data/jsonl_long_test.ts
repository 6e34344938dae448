import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { DataError } from "../../data/error.ts";
import { openJsonLines } from "../../data/jsonl.ts";
import { MAX_ROW_BYTES, type RowDataset } from "../../data/row_dataset.ts";

const encoder = new TextEncoder();
const fromText = (text: string) => openJsonLines({ name: "rows.jsonl", text });
const fromBytes = (...bytes: number[]) =>
  openJsonLines({ name: "rows.jsonl", bytes: Uint8Array.from(bytes) });
const all = (rows: RowDataset) => Array.from({ length: rows.length }, (_, i) => rows.get(i));

Deno.test("openJsonLines() accepts a byte order mark, CRLF, blank lines and no last newline", () => {
  const rows = fromText('\ufeff{"a":1}\r\n\r\n  \t\n{"a":"\u00e9\u{1f600}"}\n\n{"a":3}');
  assertEquals(all(rows), [{ a: 1 }, { a: "\u00e9\u{1f600}" }, { a: 3 }]);
  assertEquals([0, 1, 2].map(rows.place), ["rows.jsonl:1", "rows.jsonl:4", "rows.jsonl:6"]);
});

Deno.test("openJsonLines() reads gzip of several members like the plain file", () => {
  const parts = ['{"a":1}\n{"a":', "2}\n", '{"a":3}'].map((part) => gzipSync(encoder.encode(part)));
  const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
  assertEquals(all(openJsonLines({ name: "rows", bytes })), [{ a: 1 }, { a: 2 }, { a: 3 }]);
});

Deno.test("openJsonLines() takes the last of equal keys and keeps odd keys as data", () => {
  const row = fromText('{"a":1,"a":2,"__proto__":{"b":3},"c":"\\ud800"}').get(0);
  assertEquals(row.a, 2);
  assertEquals(row.b, undefined);
  assertEquals(row.c, "\ud800");
});

Deno.test("openJsonLines() names file, line and fault of a bad line", () => {
  const good = '{"a":1}\n\n';
  const cases: [string, string][] = [
    ['{"a":', "not valid JSON"],
    ['{"a":1}}', "not valid JSON"],
    ['{"a":"x\u0000"}', "NUL byte"],
    ["{'a':1}", "not valid JSON"],
    ["[", "looks like one JSON array"],
    ["[1]", "expected a JSON object, found array"],
    ["null", "expected a JSON object, found null"],
    ["3", "expected a JSON object, found number"],
    ["[".repeat(100_000), "not valid JSON"],
  ];
  for (const [line, message] of cases) {
    const rows = fromText(good + line);
    assertEquals(rows.get(0), { a: 1 });
    const error = assertThrows(() => rows.get(1), DataError, message);
    assert(error.message.includes('"rows.jsonl:3"'), error.message);
  }
});

Deno.test("openJsonLines() refuses bytes that are not UTF-8 text", () => {
  const quote = 34;
  assertThrows(() => fromBytes(quote, 0xff, quote).get(0), DataError, "not valid UTF-8");
  // A lone surrogate written as three bytes, and an overlong slash.
  assertThrows(() => fromBytes(quote, 0xed, 0xa0, 0x80, quote).get(0), DataError, "UTF-8");
  assertThrows(() => fromBytes(quote, 0xc0, 0xaf, quote).get(0), DataError, "UTF-8");
});

Deno.test("openJsonLines() refuses empty, broken and endless files", () => {
  assertThrows(() => fromText(" \n\r\n"), DataError, "holds no rows");
  assertThrows(() => fromBytes(), DataError, "holds no rows");
  const packed = gzipSync(encoder.encode('{"a":1}\n'));
  for (const bytes of [packed.subarray(0, packed.length - 5), packed.subarray(0, 12)]) {
    assertThrows(() => openJsonLines({ name: "cut", bytes }), DataError, "gzip data is broken");
  }
  const endless = new Uint8Array(MAX_ROW_BYTES + 3).fill(97);
  endless[0] = 10;
  assertThrows(() => openJsonLines({ name: "long", bytes: endless }), DataError, '"long:2"');
  endless[endless.length - 1] = 10;
  assertThrows(() => openJsonLines({ name: "long", bytes: endless }), DataError, "longer than");
  endless[endless.length - 2] = 10;
  assertEquals(openJsonLines({ name: "long", bytes: endless }).length, 1);
});

Deno.test("openJsonLines() finds each of 300,000 short lines", () => {
  const count = 300_000;
  const rows = fromText(Array.from({ length: count }, (_, i) => `{"i":${i}}\n`).join(""));
  assertEquals(rows.length, count);
  for (const i of [0, 1, 123_456, count - 1]) assertEquals(rows.get(i), { i });
});

Deno.test("openJsonLines() gives back any rows, whatever the newlines and blanks", () => {
  const newline = fc.constantFrom("\n", "\r\n", "\n\n", "\n \t\r\n");
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), newline), {
        minLength: 1,
      }),
      (rows) => {
        const text = rows.map(([row, end]) => JSON.stringify(row) + end).join("");
        const read = all(fromText(text));
        assertEquals(
          read.map((row) => JSON.stringify(row)),
          rows.map(([row]) => JSON.stringify(row)),
        );
      },
    ),
    { seed: 1, numRuns: 60 },
  );
});

Deno.test("openJsonLines() fails only with a DataError that names the file", () => {
  const valid = encoder.encode('{"prompt":"a","chosen":"b"}\n{"prompt":"c","n":[1,{"x":null}]}\n');
  const flips = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(flips, fc.nat(valid.length), (changes, length) => {
      const bytes = valid.slice(0, length);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        all(openJsonLines({ name: "rows.jsonl", bytes }));
      } catch (error) {
        assert(error instanceof DataError, String(error));
        assert(error.message.includes("rows.jsonl"), error.message);
      }
    }),
    { seed: 2, numRuns: 3000 },
  );
});

const permissions = await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
);
Deno.test({
  name: "openJsonLines() streams a file from disk (ignored without read and write permission)",
  ignore: permissions.some(({ state }) => state !== "granted"),
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = `${folder}/rows.jsonl`;
      // Lines that cross the blocks of the scan, the longest one larger than the read buffer.
      const texts = Array.from({ length: 60 }, (_, i) => "x".repeat(i === 7 ? 200_000 : i * 977));
      const text = texts.map((value, i) => JSON.stringify({ i, value })).join("\r\n");
      await Deno.writeTextFile(path, text);
      const rows = openJsonLines({ path });
      for (const i of [59, 7, 0, 31]) assertEquals(rows.get(i), { i, value: texts[i] });
      await Deno.truncate(path, 1000);
      assertThrows(() => rows.get(59), DataError, "shorter than when it was opened");
      rows.close();

      await Deno.writeFile(`${path}.gz`, gzipSync(encoder.encode(text)));
      const unpacked = openJsonLines({ path: `${path}.gz` });
      assertEquals(unpacked.get(59), { i: 59, value: texts[59] });
      unpacked.close();

      assertThrows(() => openJsonLines({ path: folder }), DataError, "folder");
      const missing = `${folder}/none.jsonl`;
      const error = assertThrows(() => openJsonLines({ path: missing }), DataError, "no such file");
      assert(error.message.includes(missing));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    await assertRejects(() => Deno.stat(folder), Deno.errors.NotFound);
  },
});
