import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { epochPermutation, Sampler, splitRows } from "../../data/sampler.ts";

const ascending = (n: number) => Array.from({ length: n }, (_, i) => i);

// Expected orders were made by an independent implementation in Python.
Deno.test("epochPermutation() keeps its orders and differs by epoch", () => {
  assertEquals([...epochPermutation(10, 42, 0)], [5, 2, 8, 7, 0, 4, 3, 9, 1, 6]);
  assertEquals([...epochPermutation(10, 42, 1)], [9, 3, 6, 1, 2, 8, 5, 0, 7, 4]);
  assertNotEquals([...epochPermutation(10, 43, 0)], [...epochPermutation(10, 42, 0)]);
  assertEquals([...epochPermutation(1000, 1, 0).sort()], ascending(1000));
});

Deno.test("splitRows() holds out the rounded-up share, each row on one side", () => {
  assertEquals([...splitRows(10, 0.3, 42).validation], [1, 3, 9]);
  for (const [length, ratio, held] of [[2304, 0.1, 231], [10, 0, 0], [1, 0.5, 0], [2, 0.99, 1]]) {
    const { train, validation } = splitRows(length, ratio, 7);
    assertEquals(validation.length, held, `${length} rows at ${ratio}`);
    assertEquals([...train, ...validation].sort((a, b) => a - b), ascending(length));
  }
  for (const ratio of [1, -0.1, NaN]) assertThrows(() => splitRows(4, ratio, 0), RangeError);
});

Deno.test("Sampler sees every row once an epoch, with a short last batch", () => {
  const sampler = new Sampler({ length: 10, batchSize: 4, seed: 42 });
  assertEquals(sampler.batchesPerEpoch, 3);
  const first = [sampler.next(), sampler.next(), sampler.next()];
  assertEquals(first.map(({ rows }) => rows.length), [4, 4, 2]);
  assertEquals(first.flatMap(({ rows }) => [...rows]), [...epochPermutation(10, 42, 0)]);
  assertEquals(sampler.position, { epoch: 0, index: 10 });
  const second = sampler.next();
  assertEquals(second.epoch, 1);
  assertEquals([...second.rows], [...epochPermutation(10, 42, 1).slice(0, 4)]);
});

Deno.test("Sampler goes on from any saved position as if never stopped", () => {
  const settings = { length: 7, batchSize: 3, seed: 5 };
  const whole = new Sampler(settings);
  for (let step = 0; step < 8; step++) {
    const resumed = new Sampler({ ...settings, position: whole.position });
    assertEquals(resumed.next(), whole.next());
  }
});

Deno.test("Sampler refuses sizes and positions that cannot be", () => {
  const valid = { length: 4, batchSize: 2, seed: 0 };
  const wrong = [
    { length: 0 },
    { batchSize: 0 },
    { batchSize: 1.5 },
    { position: { epoch: 0, index: 5 } },
    { position: { epoch: -1, index: 0 } },
  ];
  for (const change of wrong) {
    assertThrows(() => new Sampler({ ...valid, ...change }), RangeError);
  }
});
