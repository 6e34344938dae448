/** Rows of single answers with a label, and pairs used as such, from file to token ids. */
import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { DataError } from "../../data/error.ts";
import { loadDataset, type LoadOptions, type TokenizedDataset } from "../../data/load.ts";
import { BOS, characterIds, EOS, tinyTokenizer } from "./tiny_tokenizer.ts";

const source = (rows: unknown[], name = "rows.jsonl") => ({
  name,
  text: rows.map((row) => JSON.stringify(row)).join("\n"),
});
const labelled = (prompt: string, completion: string, label: unknown) => ({
  prompt,
  completion,
  label,
});
const pairs = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    prompt: `p${i}`,
    chosen: "yes".repeat(i % 5 + 1),
    rejected: "no",
  }));

function load(options: Partial<LoadOptions> & Pick<LoadOptions, "source">) {
  return loadDataset({ use: "unpaired", seed: 1, tokenizer: tinyTokenizer(), ...options });
}

const all = (data: TokenizedDataset) => Array.from({ length: data.length }, (_, i) => data.get(i));
const texts = (data: TokenizedDataset) =>
  Array.from({ length: data.length }, (_, i) => data.text(i));
const numbers = (data: TokenizedDataset) => all(data).map(({ row }) => row);

Deno.test("loadDataset() reads rows with a label and counts each kind and each malformed one", async () => {
  const rows = [
    labelled("ab", "c", true),
    labelled("ab", "d", 0),
    { prompt: "ab", completion: "e" },
    labelled("ab", "f", "yes"),
    labelled("ab", "g", 2),
    labelled("ab", " ", true),
    labelled("ab", "h", null),
    labelled("ab", "i", 0.5),
    labelled("cd", "jk", 1),
  ];
  const { train, report } = await load({ source: source(rows) });
  assertEquals(train.get(0), {
    row: 0,
    prompt: Uint32Array.of(BOS, ...characterIds("ab")),
    answers: [{ ids: Uint32Array.of(...characterIds("c"), EOS), scoredFrom: 0 }],
    label: 1,
  });
  assertEquals(all(train).map(({ row, label }) => [row, label]), [[0, 1], [1, 0], [8, 1]]);
  assertEquals(train.text(2), { row: 8, prompt: "cd", answers: ["jk"], label: 1 });
  assertEquals(report.train.form, "completion");
  assertEquals([report.train.rows, report.train.kept], [9, 3]);
  assertEquals([report.train.desirable, report.train.undesirable], [2, 1]);
  assertEquals({ ...report.train.dropped }, {
    '"label" is missing': 2,
    '"label" is not true, false, 1 or 0': 3,
    "empty answer": 1,
  });
  assertEquals({ ...report.train.droppedAt }, {
    '"label" is missing': "rows.jsonl:3",
    '"label" is not true, false, 1 or 0': "rows.jsonl:4",
    "empty answer": "rows.jsonl:6",
  });
});

Deno.test("loadDataset() takes labels of one kind, and refuses a file without any", async () => {
  const { report } = await load({ source: source([labelled("a", "b", 0), labelled("a", "c", 0)]) });
  assertEquals([report.train.desirable, report.train.undesirable], [0, 2]);
  await assertRejects(
    () => load({ source: source([{ prompt: "a", completion: "b" }]) }),
    DataError,
    'Reading dataset "rows.jsonl": no usable row, all 1 were dropped: ' +
      '1 "label" is missing (first at rows.jsonl:1)',
  );
  await assertRejects(
    () => load({ source: source([{ messages: [{ role: "assistant", content: "a" }], label: 1 }]) }),
    DataError,
    '"rows.jsonl:1": the mode needs {prompt, completion, label} or pairs',
  );
});

Deno.test("loadDataset() gives no labels for other uses, and then reports none", async () => {
  const rows = [labelled("a", "b", "yes"), labelled("a", "c", 1)];
  const single = await load({ source: source(rows), use: "single" });
  assertEquals([single.train.length, "label" in single.train.get(1)], [2, false]);
  assertEquals("desirable" in single.report.train, false);
  const unlabelled = rows.map(({ prompt, completion }) => ({ prompt, completion }));
  const same = await load({ source: source(unlabelled), use: "single" });
  assertEquals(single.train.fingerprint, same.train.fingerprint);
  const paired = await load({ source: source(pairs(2)), use: "pairs" });
  assertEquals(["label" in paired.train.get(0), "desirable" in paired.report.train], [
    false,
    false,
  ]);
});

// Computed before examples could have labels: caches and checkpoints hold such fingerprints.
Deno.test("fingerprints of pairs and of single answers are what they always were", async () => {
  const rows = [
    { prompt: "ab", chosen: "cd", rejected: "e" },
    { prompt: "f", chosen: "g", rejected: "hij" },
  ];
  for (const [use, expected] of [["pairs", "8265d063dbc36c41"], ["single", "4f54ab9e9ae764fa"]]) {
    const { train } = await load({ source: source(rows), use: use as "pairs" | "single" });
    assertEquals(train.fingerprint, expected, use);
  }
});

Deno.test("fingerprint changes with a label", async () => {
  const print = async (label: unknown) =>
    (await load({ source: source([labelled("a", "b", label)]) })).train.fingerprint;
  assertNotEquals(await print(1), await print(0));
  assertEquals(await print(1), await print(true));
});

Deno.test("a pair is chosen with label 1, then rejected with label 0, as rows written so would be", async () => {
  const hh = (i: number) => `\n\nHuman: q${i}\n\nAssistant:`;
  const forms: Record<string, (i: number) => Record<string, unknown>> = {
    explicit: (i) => ({ prompt: `p${i}`, chosen: "yes", rejected: "no" }),
    implicit: (i) => ({ chosen: `p${i} yes`, rejected: `p${i} no` }),
    hh: (i) => ({ chosen: `${hh(i)} yes`, rejected: `${hh(i)}\n no` }),
  };
  for (const [form, row] of Object.entries(forms)) {
    const file = Array.from({ length: 4 }, (_, i) => row(i));
    const { train, report } = await load({ source: source(file) });
    assertEquals(report.train.form, form);
    assertEquals(all(train).map(({ row, label }) => [row, label]), [
      ...[[0, 1], [1, 0], [2, 1], [3, 0]],
      ...[[4, 1], [5, 0], [6, 1], [7, 0]],
    ]);
    const written = texts(train).map(({ prompt, answers, label }) =>
      labelled(prompt, answers[0], label)
    );
    const single = await load({ source: source(written) });
    assertEquals(all(single.train), all(train));
    assertEquals(single.train.fingerprint, train.fingerprint);
    const { form: _, ...counts } = report.train, { form: __, ...others } = single.report.train;
    assertEquals(counts, others);
    assertEquals([counts.rows, counts.kept, counts.desirable, counts.undesirable], [8, 8, 4, 4]);
    // And the answers are those that pairs have.
    const paired = await load({ source: source(file), use: "pairs" });
    assertEquals(
      texts(paired.train).flatMap(({ prompt, answers }) => answers.map((a) => [prompt, a])),
      texts(train).map(({ prompt, answers }) => [prompt, answers[0]]),
    );
  }
});

Deno.test("both answers of a pair lie on one side of the split and of the subset", async () => {
  const options = { source: source(pairs(40)), subset: "train[25%:]", valRatio: 0.2, seed: 3 };
  const { train, validation, report } = await load(options);
  assertEquals([train.length, validation.length], [48, 12]);
  assertEquals([report.train.rows, report.validation?.rows], [48, 12]);
  assertEquals([report.validation?.desirable, report.validation?.undesirable], [6, 6]);
  const every = [...numbers(train), ...numbers(validation)].sort((a, b) => a - b);
  assertEquals(every, Array.from({ length: 60 }, (_, i) => i + 20));
  // The same rows are held out as when pairs are used as pairs.
  const paired = await load({ ...options, use: "pairs" });
  for (const side of ["train", "validation"] as const) {
    assertEquals(
      numbers({ train, validation }[side]),
      numbers(paired[side]).flatMap((row) => [2 * row, 2 * row + 1]),
    );
  }
});

Deno.test("a bad pair drops both answers, a length limit only the longer one", async () => {
  const rows = [
    { prompt: "ab", chosen: "cdefgh", rejected: "c" },
    { prompt: "ab", chosen: "c" },
    { prompt: "ab", chosen: "c", rejected: "cdefghi" },
    { prompt: "ab", chosen: " ", rejected: "c" },
  ];
  const { train, report } = await load({ source: source(rows), limits: { contextLength: 8 } });
  assertEquals(texts(train), [
    { row: 1, prompt: "ab", answers: ["c"], label: 0 },
    { row: 4, prompt: "ab", answers: ["c"], label: 1 },
  ]);
  assertEquals({ ...report.train.dropped }, {
    "longer than the model's context": 2,
    '"rejected" is missing': 2,
    "empty answer": 2,
  });
  assertEquals([report.train.rows, report.train.kept], [8, 2]);
  assertEquals([report.train.desirable, report.train.undesirable], [1, 1]);
});

Deno.test("row numbers of a validation file go on after training's last, whatever the forms", async () => {
  const single = [labelled("a", "b", 1), labelled("a", "c", 0), labelled("a", "d", 0)];
  const cases: [unknown[], unknown[], number[]][] = [
    [pairs(3), pairs(2), [6, 7, 8, 9]],
    [pairs(3), single, [6, 7, 8]],
    [single, pairs(2), [3, 4, 5, 6]],
    [single, single, [3, 4, 5]],
  ];
  for (const [rows, held, expected] of cases) {
    const { train, validation } = await load({
      source: source(rows),
      validation: source(held, "held.jsonl"),
    });
    assertEquals(numbers(validation), expected);
    assertEquals(texts(validation).map(({ row }) => row), expected);
    assertEquals(Math.max(...numbers(train)), expected[0] - 1);
  }
});

Deno.test("halves of pairs are the same from memory and tokenized again", async () => {
  const options = { source: source(pairs(30)), limits: { maxLength: 12, contextLength: 14 } };
  const stored = await load(options);
  const streamed = await load({ ...options, memoryBytes: 0 });
  assertEquals(stored.train.length, 60);
  assertEquals(all(streamed.train), all(stored.train));
  assertEquals(texts(streamed.train), texts(stored.train));
  assertEquals(streamed.train.fingerprint, stored.train.fingerprint);
});
