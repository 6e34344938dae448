import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { ExampleHash, PackedExamples } from "../../data/packed_examples.ts";
import type { TokenizedExample } from "../../data/tokenize.ts";

function example(row: number, prompt: number[], ...answers: [number[], number][]) {
  return {
    row,
    prompt: Uint32Array.from(prompt),
    answers: answers.map(([ids, scoredFrom]) => ({ ids: Uint32Array.from(ids), scoredFrom })),
  };
}

function hash(...examples: TokenizedExample[]): string {
  const sum = new ExampleHash();
  for (const one of examples) sum.add(one);
  return sum.digest();
}

Deno.test("PackedExamples gives back what was put in, across chunks", () => {
  const examples = [
    example(7, [1, 2], [[3], 0], [[4, 5], 1]),
    example(2 ** 32 - 1, [], [[9, 8, 7], 2]),
    // Larger than a chunk of a million words.
    example(3, Array.from({ length: 1_200_000 }, (_, i) => i), [[1], 0]),
    example(0, [6], [[1], 0], [[2], 0], [[3], 0]),
    { ...example(4, [6], [[1], 0]), label: 0 as const },
    { ...example(5, [6], [[1], 0]), label: 1 as const },
    { ...example(6, [6], [[1], 0], [[2], 0]), label: 1 as const },
  ];
  const store = new PackedExamples();
  for (const one of examples) store.push(one);
  assertEquals(store.length, 7);
  for (const i of [0, 1, 3, 4, 5, 6]) assertEquals(store.get(i), examples[i]);
  assertEquals(store.get(2).prompt.length, 1_200_000);
  assertEquals(store.get(2).prompt.at(-1), 1_199_999);
  assertThrows(() => store.get(7), RangeError);
});

Deno.test("ExampleHash tells apart rows, boundaries, ids and how they are grouped", () => {
  const variants = [
    [example(0, [1, 2], [[3, 4], 0])],
    [example(1, [1, 2], [[3, 4], 0])],
    [example(0, [1, 2], [[3, 4], 1])],
    [example(0, [1], [[2, 3, 4], 0])],
    [example(0, [1, 2], [[3], 0], [[4], 0])],
    [example(0, [2, 1], [[3, 4], 0])],
    [example(0, [1, 2], [[3, 4], 0]), example(0, [], [[1], 0])],
    [{ ...example(0, [1, 2], [[3, 4], 0]), label: 0 as const }],
    [{ ...example(0, [1, 2], [[3, 4], 0]), label: 1 as const }],
  ];
  assertEquals(new Set(variants.map((examples) => hash(...examples))).size, variants.length);
  assertEquals(hash(...variants[0]), hash(...variants[0]));
  const [a, b] = [variants[0][0], variants[1][0]];
  assertNotEquals(hash(a, b), hash(b, a));
  assertEquals(/^[0-9a-f]{16}$/.test(hash()), true);
});

// Computed before examples could have labels: caches and checkpoints hold such fingerprints.
Deno.test("ExampleHash of examples without labels is what it always was", () => {
  const examples = [example(7, [1, 2], [[3], 0], [[4, 5], 1]), example(9, [], [[8, 9], 1])];
  assertEquals(hash(...examples), "9fd7b68390a57be1");
});
