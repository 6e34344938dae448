// The arithmetic of the pages' script.
import { assertAlmostEquals, assertEquals } from "@std/assert";
import {
  appendTable,
  bytesText,
  chartLines,
  numberText,
  ROW_LIMIT,
  smoothed,
  valueAt,
} from "../../report/page/series.js";
import { extent } from "../../report/page/chart_marks.js";

Deno.test("rows are appended with gaps where one side lacks a column", () => {
  const table = { step: [1, 2], columns: { a: [1, 2] } as Record<string, (number | null)[]> };
  appendTable(table, { step: [3], columns: { b: [5] } });
  assertEquals(table, { step: [1, 2, 3], columns: { a: [1, 2, null], b: [null, null, 5] } });
});

Deno.test("a long table is halved and keeps its last row", () => {
  const steps = Array.from({ length: 2 * ROW_LIMIT }, (_, i) => i);
  const table = { step: steps, columns: { a: steps } };
  appendTable(table, { step: [2 * ROW_LIMIT], columns: { a: [-1] } });
  assertEquals(table.step.length, ROW_LIMIT + 1);
  assertEquals([table.step.at(-1), table.columns.a.at(-1)], [2 * ROW_LIMIT, -1]);
  assertEquals(table.step[0], 0);
});

Deno.test("smoothing keeps a constant, starts at the first value and leaves gaps", () => {
  assertEquals(smoothed([3, null, 3], 0.9)[1], null);
  assertAlmostEquals(smoothed([3, null, 3], 0.9)[2], 3, 1e-12);
  // (0.5 * 0.5 * 1 + 0.5 * 3) / 0.75
  assertAlmostEquals(smoothed([1, 3], 0.5)[1], 7 / 3, 1e-12);
  assertEquals(smoothed([1, 3], 0), [1, 3]);
});

Deno.test("a value is that of the row or the nearest before it", () => {
  assertEquals(valueAt([1, null, 3], 1), 1);
  assertEquals(valueAt([1, 2, null], Infinity), 2);
  assertEquals(valueAt([null, 2], 0), undefined);
});

Deno.test("numbers and bytes are as long as is useful", () => {
  assertEquals([0, 70, 0.12345678, 1.5e-6, undefined].map(numberText), [
    "0",
    "70",
    "0.1235",
    "1.500e-6",
    "–",
  ]);
  assertEquals([2 ** 20, 1.5 * 2 ** 30].map(bytesText), ["1.0 MiB", "1.50 GiB"]);
});

function run(columns: Record<string, number[]>, margins: number[] = []) {
  const empty = { step: [], columns: {} };
  const tables = {
    metrics: { step: [1, 2], columns },
    margins: { step: margins, columns: {} },
    evaluations: empty,
    timings: empty,
  };
  return { name: `run ${Object.keys(columns)}`, data: { tables } };
}

Deno.test("a chart has the lines that are there: named, matched, and of each run", () => {
  const spec = {
    series: [
      { table: "metrics", key: "loss", label: "training" },
      { table: "metrics", key: "absent", label: "absent" },
      { table: "metrics", key: "other", label: "other", without: "margins" },
    ],
    match: "^.+/beta$",
  };
  const one = run({ loss: [1, 2], other: [1, 1], "b/beta": [3, 3], "a/beta": [4, 4] }, [1]);
  assertEquals(chartLines(spec, [one]).map(({ label }) => label), ["training", "a/beta", "b/beta"]);
  const two = chartLines(spec, [one, run({ other: [1, 2] })]);
  assertEquals(two.map(({ label, color }) => [label.split(": ")[1], color]), [
    ["training", 0],
    ["a/beta", 0],
    ["b/beta", 0],
    ["other", 1],
  ]);
});

Deno.test("an axis holds values, dots and near levels, and gives a flat line room", () => {
  const near = { levels: [{ at: 1.5, label: "" }, { at: 100, label: "" }] };
  const [low, high] = extent(0, 1, near, [{ kept: [-1], dropped: [] }]);
  assertAlmostEquals(low, -1.15, 1e-12);
  assertAlmostEquals(high, 1.65, 1e-12);
  assertEquals(extent(5, 5, {}, []), [4.5, 5.5]);
});
