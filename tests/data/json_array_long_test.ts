import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { openBytes } from "../../data/byte_source.ts";
import { DataError } from "../../data/error.ts";
import { jsonArrayRows, jsonShape } from "../../data/json_array.ts";
import { openRows } from "../../data/open_rows.ts";
import type { RowDataset } from "../../data/row_dataset.ts";

const open = (text: string) => jsonArrayRows(openBytes({ name: "rows.json", text }));
const all = (rows: RowDataset) => Array.from({ length: rows.length }, (_, i) => rows.get(i));

Deno.test("jsonArrayRows() finds objects whatever is in their texts", () => {
  const rows = open('\ufeff [\n {"a": "]}\\"{,"}, {"b": [1, {"c": []}]}\n,\n{"d":"\\\\"}\n]\n ');
  assertEquals(all(rows), [{ a: ']}"{,' }, { b: [1, { c: [] }] }, { d: "\\" }]);
  assertEquals([0, 1, 2].map(rows.place), ["rows.json:2", "rows.json:2", "rows.json:4"]);
});

Deno.test("jsonArrayRows() takes the list of an object's data", () => {
  assertEquals(all(open('{ "data": [{"a":1}], "version": {"x": [2]} }')), [{ a: 1 }]);
  assertThrows(() => open('{"data": [{"a":1}], "v"'), DataError, 'follows the array of "data"');
  assertEquals(jsonShape(openBytes({ name: "x", text: '{"datas": [' })), "other");
});

Deno.test("jsonArrayRows() names file, line and fault", () => {
  const cases: [string, string][] = [
    ["[]", "holds no rows"],
    ["[1]", 'expected an object for row 0, found "1"'],
    ["[{}\n,[]]", '"rows.json:2": expected an object for row 1, found "["'],
    ["[{} {}]", 'expected "," or "]" for row 1, found "{"'],
    ["[{},]", 'expected an object for row 1, found "]"'],
    ["[{}", 'without the "]" of its array'],
    ['[{},\n{"a": "]}', '"rows.json:2": the file ends inside this object'],
    ["[{}] x", "more follows"],
  ];
  for (const [text, message] of cases) assertThrows(() => open(text), DataError, message);
  const rows = open('[{"a":1},\n{"a" 2}]');
  assertEquals(rows.get(0), { a: 1 });
  assertThrows(() => rows.get(1), DataError, '"rows.json:2": not valid JSON');
  assertThrows(() => rows.get(2), RangeError);
});

Deno.test("rows that are nested beyond reason are refused", () => {
  const deep = `[{"a":${"[".repeat(2000)}${"]".repeat(2000)}}]`;
  assertThrows(() => open(deep).get(0), DataError, "nested deeper than 1000");
});

Deno.test("the kind of a file is told from what is in it, then from its name", async () => {
  const rows = async (name: string, text: string) => all(await openRows({ name, text }));
  assertEquals(await rows("x", '[{"a":1}]'), [{ a: 1 }]);
  assertEquals(await rows("x.json", '{"a":1}\n{"a":2}'), [{ a: 1 }, { a: 2 }]);
  assertEquals(await rows("x.json", '{"data":[{"a":1}]}'), [{ a: 1 }]);
  // One object a line may well have a column of that name.
  assertEquals(await rows("x.jsonl", '{"data":[{"a":1}]}'), [{ data: [{ a: 1 }] }]);
  assertEquals(await rows("x.tsv", "a\n1"), [{ a: "1" }]);
});

Deno.test("jsonArrayRows() gives back any objects, however they are written", () => {
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), { minLength: 1 }),
      fc.nat(3),
      (rows, indent) => {
        const text = JSON.stringify(rows, null, indent);
        assertEquals(JSON.stringify(all(open(text))), JSON.stringify(rows));
      },
    ),
    { seed: 4, numRuns: 30 },
  );
});
