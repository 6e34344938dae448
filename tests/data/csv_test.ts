import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { openBytes } from "../../data/byte_source.ts";
import { csvRows, type Separator } from "../../data/csv.ts";
import { DataError } from "../../data/error.ts";
import type { RowDataset } from "../../data/row_dataset.ts";

const open = (text: string, separator: Separator = ",") =>
  csvRows(openBytes({ name: "rows.csv", text }), separator);
const all = (rows: RowDataset) => Array.from({ length: rows.length }, (_, i) => rows.get(i));

Deno.test("csvRows() reads quotes, line ends in fields, empty fields and blank lines", () => {
  const rows = open(
    '\ufeffprompt,"the ""chosen"" one",c\r\n"a, b","c\r\nd",\r\n\r\n x ,"",\u{1f600}\n"""",2,3',
  );
  assertEquals(all(rows), [
    { prompt: "a, b", 'the "chosen" one': "c\r\nd", c: null },
    { prompt: " x ", 'the "chosen" one': "", c: "\u{1f600}" },
    { prompt: '"', 'the "chosen" one': "2", c: "3" },
  ]);
  assertEquals([0, 1, 2].map(rows.place), ["rows.csv:2", "rows.csv:5", "rows.csv:6"]);
  assertEquals(rows.untyped, true);
});

Deno.test("csvRows() separates by tabs where asked to, and then a comma is text", () => {
  assertEquals(all(open('a\tb\n1,5\t"x\ty"\n', "\t")), [{ a: "1,5", b: "x\ty" }]);
  assertEquals(
    { ...open("__proto__,a\n1,2").get(0) },
    Object.fromEntries([["__proto__", "1"], ["a", "2"]]),
  );
});

Deno.test("csvRows() names file, line and fault", () => {
  const atOpen: [string, string][] = [
    ["", "holds no rows"],
    ["a,b\n", "holds no rows"],
    ["a,\n1,2", '"rows.csv:1": a column of the header has no name'],
    ["a, a\n1,2", 'names the column "a" twice'],
    [
      'a,b\n1,2\n3,"x\n4,5\n',
      '"rows.csv:3": a field in double quotes that begins here does not end',
    ],
  ];
  for (const [text, message] of atOpen) assertThrows(() => open(text), DataError, message);
  const atRow: [string, string][] = [
    ["1", '"rows.csv:3": the row has 1 fields, the header 2'],
    ["1,2,3", "the row has 3 fields"],
    ['1,x"y"', "a double quote inside field 2"],
    ['"x"y,2', "text follows a closing double quote in field 1"],
    ["1\r2,3", "a carriage return inside field 1"],
    ["1,\0", "NUL byte"],
  ];
  for (const [line, message] of atRow) {
    const rows = open(`a,b\n1,2\n${line}\n`);
    assertEquals(rows.get(0), { a: "1", b: "2" });
    assertThrows(() => rows.get(1), DataError, message);
  }
});

Deno.test("csvRows() gives back any fields that are written by RFC 4180", () => {
  const field = fc.oneof(
    fc.string({ unit: fc.constantFrom("a", '"', ",", "\n", "\r", "\t", "\u00e9") }),
    fc.string(),
  ).filter((text) => !text.includes("\0"));
  const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 20 }),
      fc.constantFrom("\n", "\r\n"),
      (rows, end) => {
        const text = [["a", "b"], ...rows].map((row) => row.map(quote).join(",") + end).join("");
        assertEquals(all(open(text)), rows.map(([a, b]) => ({ a, b })));
      },
    ),
    { seed: 3, numRuns: 300 },
  );
});
