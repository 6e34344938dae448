import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { loadDataset } from "../../data/load.ts";
import { type SingleAnswerDataset, withMismatched } from "../../data/mismatched.ts";
import type { TokenizedExample } from "../../data/tokenize.ts";
import { BOS, characterIds, EOS, tinyTokenizer } from "./tiny_tokenizer.ts";

function single(row: number, prompt: number[], ids: number[], scoredFrom = 0): TokenizedExample {
  return {
    row,
    prompt: Uint32Array.from(prompt),
    answers: [{ ids: Uint32Array.from(ids), scoredFrom }],
    label: row % 2 === 0 ? 1 : 0,
  };
}

function dataset(examples: TokenizedExample[]): SingleAnswerDataset & { looks: number } {
  return {
    length: examples.length,
    fingerprint: "f",
    looks: 0,
    get(i) {
      this.looks++;
      return examples[i];
    },
  };
}

/** Second answers: ids, and where scoring begins. */
const second = (examples: TokenizedExample[], maxLength = Infinity) => {
  const view = withMismatched(dataset(examples), maxLength);
  return examples.map((_, i) => {
    const { ids, scoredFrom } = view.get(i).answers[1];
    return [[...ids], scoredFrom];
  });
};

Deno.test("withMismatched() gives each prompt the answer of the row before, the first that of the last", () => {
  const examples = [single(4, [1, 2], [3, 9]), single(7, [1], [4, 9]), single(8, [5], [6, 7, 9])];
  const view = withMismatched(dataset(examples), 100);
  assertEquals(view.length, 3);
  assertEquals(view.get(1), {
    row: 7,
    prompt: Uint32Array.of(1),
    answers: [
      { ids: Uint32Array.of(4, 9), scoredFrom: 0 },
      { ids: Uint32Array.of(3, 9), scoredFrom: 0 },
    ],
    label: 0,
  });
  assertEquals(second(examples), [[[6, 7, 9], 0], [[3, 9], 0], [[4, 9], 0]]);
});

Deno.test("withMismatched() keeps the part of the prompt that stands in the own answer's ids", () => {
  const examples = [
    single(0, [1], [2, 3, 40, 9], 2),
    single(1, [1], [2, 50, 9], 1),
    single(2, [], [1, 60, 9], 1),
  ];
  assertEquals(second(examples), [[[2, 3, 60, 9], 2], [[2, 40, 9], 1], [[1, 50, 9], 1]]);
  // Prompts 1 2 and 1 2, however they are stored.
  const stored = [single(0, [1], [2, 40], 1), single(1, [1, 2], [50]), single(2, [3], [60])];
  assertEquals(second(stored), [[[2, 60], 1], [[60], 0], [[50], 0]]);
});

Deno.test("withMismatched() passes over neighbours with the same prompt, around the end too", () => {
  const rows = (prompts: number[]) => prompts.map((p, i) => single(i, [p], [100 + i]));
  const partners = (prompts: number[]) =>
    second(rows(prompts)).map(([ids]) => (ids as number[])[0] - 100);
  assertEquals(partners([1, 1, 2, 2, 3, 3]), [5, 5, 1, 1, 3, 3]);
  assertEquals(partners([1, 2, 2, 1]), [2, 0, 0, 2]);
  assertEquals(partners([1, 1, 2, 1]), [2, 2, 1, 2]);
  assertEquals(partners([1, 2, 1, 2]), [3, 0, 1, 2]);
  // Equal prompts all over: the row before; one row: itself.
  assertEquals(partners([1, 1, 1]), [2, 0, 1]);
  assertEquals(partners([1, 1]), [1, 0]);
  assertEquals(partners([1]), [0]);
  assertEquals(partners([]), []);
});

Deno.test("withMismatched() cuts at the end, to one scored token at the least", () => {
  const examples = [single(0, [1, 2], [3, 40, 41, 9], 1), single(1, [5], [6, 7, 8, 9])];
  const first = (maxLength: number) => second(examples, maxLength)[0];
  assertEquals(first(7), [[3, 6, 7, 8, 9], 1]);
  assertEquals(first(6), [[3, 6, 7, 8], 1]);
  assertEquals(first(4), [[3, 6], 1]);
  assertEquals(first(3), [[3, 6], 1]);
  assertEquals(first(1), [[3, 6], 1]);
  // The own answer is never cut.
  assertEquals(withMismatched(dataset(examples), 1).get(1).answers[0], examples[1].answers[0]);
  for (const bad of [0, -1, NaN]) assertThrows(() => second(examples, bad), RangeError, "positive");
});

Deno.test("withMismatched() has a fingerprint of its own, which the cut is part of", () => {
  const rows = dataset([single(0, [1], [2])]);
  const prints = [8, 9].map((length) => withMismatched(rows, length).fingerprint);
  assertEquals(prints, ["f-mismatched-8", "f-mismatched-9"]);
  assertNotEquals(withMismatched({ ...rows, fingerprint: "g" }, 8).fingerprint, prints[0]);
});

Deno.test("withMismatched() refuses rows of two answers", () => {
  const pair = { ...single(6, [1], [2]), answers: [...single(0, [1], [2, 3]).answers] };
  pair.answers.push(pair.answers[0]);
  assertThrows(() => withMismatched(dataset([pair]), 8).get(0), RangeError, "row 6 has 2");
});

Deno.test("withMismatched() agrees with its definition in any order, at a few looks a row", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(fc.nat()),
      (prompts, order) => {
        const n = prompts.length;
        const rows = dataset(prompts.map((p, i) => single(i, [p], [100 + i, 9])));
        const view = withMismatched(rows, 50);
        assertEquals(rows.looks, 0, "nothing is read before it is asked for");
        const asked = Array.from({ length: n }, (_, i) => i);
        asked.sort(() => order.next().value! % 3 - 1);
        for (const i of asked) {
          let partner = (i + n - 1) % n;
          for (let back = n - 1; back > 0; back--) {
            // From the farthest to the nearest, so that the nearest one stays.
            const j = (i + n - back) % n;
            if (prompts[j] !== prompts[i]) partner = j;
          }
          assertEquals(view.get(i).answers[1].ids[0], 100 + partner);
        }
        assert(rows.looks <= 5 * n, `${rows.looks} looks at ${n} rows`);
        rows.looks = 0;
        for (const i of asked) view.get(i);
        assertEquals(rows.looks, 2 * n);
      },
    ),
    { seed: 11, numRuns: 500 },
  );
});

Deno.test("withMismatched() takes an answer of another pair where pairs are used as single answers", async () => {
  const rows = ["a", "b"].map((p) => ({ prompt: p, chosen: `${p}yes`, rejected: `${p}no` }));
  const text = rows.map((row) => JSON.stringify(row)).join("\n");
  const { train } = await loadDataset({
    source: { name: "rows.jsonl", text },
    use: "unpaired",
    seed: 1,
    tokenizer: tinyTokenizer(),
  });
  const view = withMismatched(train, 6);
  const shown = Array.from({ length: 4 }, (_, i) => {
    const { row, label, prompt, answers } = view.get(i);
    return [row, label, [...prompt], [...answers[1].ids]];
  });
  const [a, b] = ["a", "b"].map((text) => [BOS, ...characterIds(text)]);
  const ids = (text: string) => [...characterIds(text), EOS];
  assertEquals(shown, [
    [0, 1, a, ids("bno")],
    [1, 0, a, ids("bno")],
    [2, 1, b, ids("ano")],
    [3, 0, b, ids("ano")],
  ]);
});
