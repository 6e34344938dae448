import { assertEquals, assertThrows } from "@std/assert";
import { DataError } from "../../data/error.ts";
import { parseSubset, resolveSubset } from "../../data/subset.ts";
import fc from "fast-check";
// Made by subset_reference.py with Hugging Face datasets itself.
import reference from "./subset_reference.json" with { type: "json" };

function rows(text: string, length: number): [number, number] {
  const { from, to } = resolveSubset(parseSubset(text), length);
  return [from, to];
}

// Facts from Hugging Face datasets, `arrow_reader.py`: round half to even, clamped to the split.
Deno.test("resolveSubset() slices as Hugging Face datasets do", () => {
  const cases: [string, number, number, number][] = [
    ["train", 2312, 0, 2312],
    ["train[:30%]", 2312, 0, 694],
    ["train[:100%]", 2312, 0, 2312],
    ["train[-5%:]", 2312, 2196, 2312],
    ["train[10:20]", 2312, 10, 20],
    ["train[:100]", 40, 0, 40],
    ["train[-7:-2]", 40, 33, 38],
    ["train[-100:]", 40, 0, 40],
    ["train[:50%]", 5, 0, 2],
    ["train[:50%]", 7, 0, 4],
    ["train[33%:66%]", 10, 3, 7],
    ["train[10:20%]", 200, 20, 40],
    ["train[20:10]", 40, 20, 20],
    ["train[:]", 40, 0, 40],
    ["  test [ 1 : 2 ] ", 40, 1, 2],
    ["train[:50%](pct1_dropremainder)", 199, 0, 50],
    ["train[:50%](closest)", 199, 0, 100],
  ];
  for (const [text, length, from, to] of cases) {
    assertEquals(rows(text, length), [from, to], `${text} of ${length}`);
  }
});

Deno.test("resolveSubset() agrees with datasets on 207 slices", () => {
  assertEquals(reference.length, 207);
  for (const [text, length, from, to] of reference as [string, number, number, number][]) {
    // datasets leaves an end before the start as it is and reads no rows.
    assertEquals(rows(text, length), [from, Math.max(from, to)], `${text} of ${length}`);
  }
});

Deno.test("a cut at k percent parts the rows: none twice, none lost", () => {
  fc.assert(
    fc.property(fc.integer({ min: -100, max: 100 }), fc.nat({ max: 300_000 }), (k, length) => {
      const [start, cut] = rows(`train[:${k}%]`, length);
      assertEquals([start, ...rows(`train[${k}%:]`, length)], [0, cut, length]);
    }),
    { numRuns: 500, seed: 2 },
  );
});

Deno.test("parseSubset() says what is wrong with a slice", () => {
  const cases: [string, string][] = [
    ["train[:101%]", "from -100 to 100"],
    ["train[:30%", "expected a slice"],
    ["train[%:]", "expected a slice"],
    ["[:30%]", "expected a slice"],
    ["train[1.5:]", "expected a slice"],
    ["", "expected a slice"],
    ["train[:10%]+test", "one slice"],
    ["train[:10](closest)", "bounds in percent"],
    ["train[:99999999999999999999]", "below 2^53"],
    ["train[:_]", "expected a slice"],
    ["train[:10%](up)", 'got "up"'],
  ];
  for (const [text, message] of cases) {
    assertThrows(() => parseSubset(text), DataError, message);
  }
  assertThrows(() => rows("train[:5%](pct1_dropremainder)", 99), DataError, "at least 100 rows");
});
