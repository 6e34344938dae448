import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { DataError } from "../../data/error.ts";
import { loadDataset, type LoadOptions, type TokenizedDataset } from "../../data/load.ts";
import { mixRows } from "../../data/mix.ts";
import type { DatasetPart } from "../../data/parts.ts";
import { tinyTokenizer } from "./tiny_tokenizer.ts";

const numbers = (length: number) => Uint32Array.from({ length }, (_, i) => i);
const sizes = (chosen: readonly Uint32Array[]) => chosen.map(({ length }) => length);

Deno.test("mixRows() keeps the proportions of the weights and repeats no row", () => {
  const sets = (a?: number, b?: number) => [
    { rows: numbers(100), weight: a },
    { rows: numbers(30), weight: b },
  ];
  assertEquals(sizes(mixRows(sets(), 1)), [100, 30]);
  assertEquals(sizes(mixRows(sets(1, 1), 1)), [30, 30]);
  assertEquals(sizes(mixRows(sets(0.9, 0.1), 1)), [100, 11]);
  assertEquals(sizes(mixRows(sets(3), 1)), [90, 30]);
  assertEquals(sizes(mixRows(sets(1e-9, 1), 1)), [1, 30]);
  // 20 / 0.61 * 0.61 is below 20 in float64.
  const uneven = [{ rows: numbers(20), weight: 0.61 }, { rows: numbers(100), weight: 1 }];
  assertEquals(sizes(mixRows(uneven, 1)), [20, 32]);
});

Deno.test("mixRows() adds rows to a larger share, by the seed only", () => {
  const of = (
    weight: number,
    seed = 1,
  ) => [...mixRows([{ rows: numbers(100), weight }, { rows: numbers(40), weight: 1 }], seed)[0]];
  const less = of(0.5), more = of(1);
  assertEquals([less.length, more.length], [20, 40]);
  assert(less.every((row) => more.includes(row)));
  assertEquals(less, less.toSorted((a, b) => a - b));
  assertEquals(of(1), more);
  assertNotEquals(of(1, 2), more);
});

const pairs = (count: number, word: string) => ({
  name: `${word}.jsonl`,
  text: Array.from(
    { length: count },
    (_, i) => JSON.stringify({ prompt: `${word} ${i}`, chosen: "y", rejected: "n" }),
  ).join("\n"),
});
const tokenizer = tinyTokenizer();
const load = (parts: readonly DatasetPart[], options: Partial<LoadOptions> = {}) =>
  loadDataset({ source: parts, use: "pairs", seed: 3, tokenizer, ...options });
const rowsOf = (data: TokenizedDataset) =>
  Array.from({ length: data.length }, (_, i) => data.get(i).row);

Deno.test("loadDataset() numbers rows through all sets, whatever is taken of each", async () => {
  const a = { source: pairs(10, "a"), subset: "train[:50%]" };
  const b = { source: pairs(6, "b") };
  const { train, report } = await load([a, b]);
  assertEquals(rowsOf(train), [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 15]);
  assertEquals(train.text(5), { row: 10, prompt: "b 0", answers: ["y", "n"] });
  assertEquals([report.train.name, report.train.form], ["a.jsonl + b.jsonl", "explicit"]);
  const streamed = await load([a, b], { memoryBytes: 0 });
  assertEquals(streamed.train.get(7), train.get(7));
  const held = await load([a, b], { validation: pairs(1, "c") });
  assertEquals(rowsOf(held.validation), [16]);
});

Deno.test("loadDataset() mixes what it held out, and no weight moves a row into training", async () => {
  const parts = (weight: number): DatasetPart[] => [
    { source: pairs(100, "a"), weight },
    { source: pairs(50, "b"), weight: 1 },
  ];
  const half = await load(parts(0.5), { valRatio: 0.2 });
  const two = await load(parts(2), { valRatio: 0.2 });
  assertEquals([half.train.length, half.validation.length], [20 + 40, 5 + 10]);
  assertEquals([two.train.length, two.validation.length], [80 + 40, 20 + 10]);
  const held = new Set([...rowsOf(half.validation), ...rowsOf(two.validation)]);
  assert([...rowsOf(half.train), ...rowsOf(two.train)].every((row) => !held.has(row)));
  assertEquals((await load(parts(2), { valRatio: 0.2 })).train.fingerprint, two.train.fingerprint);
  assertNotEquals(
    (await load(parts(2), { valRatio: 0.2, seed: 4 })).train.fingerprint,
    two.train.fingerprint,
  );
});

Deno.test("loadDataset() reads sets of different forms, with columns of their own", async () => {
  const hh = "\n\nHuman: q\n\nAssistant:";
  const line = (row: unknown) => JSON.stringify(row);
  const { train, report } = await load([
    { source: { name: "hh", text: line({ chosen: `${hh} y`, rejected: `${hh} n` }) } },
    {
      source: {
        name: "nested",
        text: line({ ask: { text: "q" }, sys: "s", out: ["n", "y"], prompt: "no" }),
      },
      columns: { prompt: "ask.text", chosen: "out.1", rejected: "out.0", system: "sys" },
    },
    {
      source: { name: "table.csv", text: "a.b,chosen,rejected\nq,y,n\n" },
      columns: { prompt: "a.b" },
    },
  ]);
  assertEquals(report.train.form, "hh + explicit");
  assertEquals(train.text(0).prompt, hh);
  assertEquals(train.text(1), { row: 1, prompt: `s${hh}`, answers: [" y", " n"] });
  assertEquals(train.text(2), { row: 2, prompt: "q", answers: ["y", "n"] });
  const wrong = { source: { name: "x", text: line({ a: 1, b: 2 }) }, columns: { prompt: "c.d" } };
  await assertRejects(
    () => load([wrong]),
    DataError,
    'Reading dataset "x:1": there is no column "c.d" for "prompt" (dataset.columns); the row has the keys "a, b"',
  );
});

Deno.test("a table of texts may write labels as texts; JSON may not", async () => {
  const rows = ["True", "false", "1", "0.0", "yes", ""].map((label) => `p,c,${label}`);
  const csv = { name: "x.csv", text: `prompt,completion,label\n${rows.join("\n")}\n` };
  const { train, report } = await load([{ source: csv }], { use: "unpaired" });
  assertEquals(rowsOf(train).map((_, i) => train.get(i).label), [1, 0, 1, 0]);
  assertEquals({ ...report.train.dropped }, {
    '"label" is not true, false, 1 or 0': 1,
    '"label" is missing': 1,
  });
});
