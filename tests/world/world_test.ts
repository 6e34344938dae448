import { assert, assertAlmostEquals, assertEquals, assertGreater, assertLess } from "@std/assert";
import {
  askedOf,
  defaultWorld,
  firstStageRows,
  heldOutPairs,
  requests,
  trainingPairs,
} from "../../tools/world/datasets.ts";
import { BEST, goldReward, LEAST, wordsOf } from "../../tools/world/reward.ts";

const ASKED = ["cup", "key", "hat"];

Deno.test("gold reward: worked examples, malformed text among them", () => {
  const cases: [string, number][] = [
    [" gladly cup key hat friend", BEST],
    ["hat key cup", 3],
    [" cup cup key", 2 - 0.7],
    [" cup map", 1 - 0.7],
    [" bah cup", 1 - 0.8],
    // Civil words count in their places only.
    [" cup gladly friend so", 1 - 3 * 0.05],
    ["", 0],
    ["  \n\t ", 0],
    ["\ufffd\u0000 CUP cup.", -3 * 0.5],
    ["cupkeyhat", -0.5],
    [" bah".repeat(40), LEAST],
  ];
  for (const [text, reward] of cases) {
    assertAlmostEquals(goldReward(ASKED, text), reward, 1e-12, JSON.stringify(text));
  }
  assertEquals(BEST, 4);
});

Deno.test("requests: every triple of different things once, no request in two sets", () => {
  const sets = (["train", "validation", "test"] as const).map((set) =>
    requests(set).map(({ prompt }) => prompt)
  );
  assertEquals(new Set(sets.flat()).size, 20 * 19 * 18);
  assertEquals(sets.flat().length, 20 * 19 * 18);
  assert(sets[1].length > 512 && sets[2].length > 512, `${sets.map((set) => set.length)}`);
  assertEquals(askedOf("bring cup key hat :"), ASKED);
});

Deno.test("pairs: rewards are those of their texts, and more pairs begin with fewer", () => {
  const pairs = trainingPairs({ ...defaultWorld, pairs: 200 });
  for (const { prompt, chosen, rejected, ...row } of pairs) {
    assertEquals(row.reward_chosen, goldReward(askedOf(prompt), chosen));
    assertEquals(row.reward_rejected, goldReward(askedOf(prompt), rejected));
  }
  assertEquals(trainingPairs({ ...defaultWorld, pairs: 50 }), pairs.slice(0, 50));
  assert(trainingPairs({ ...defaultWorld, pairs: 50, seed: 1 })[0].prompt !== pairs[0].prompt);
});

Deno.test("labels follow Bradley and Terry: as many right ones as the rewards say", () => {
  const pairs = trainingPairs({ ...defaultWorld, pairs: 1500 });
  const chance = pairs.map((row) => {
    const difference = Math.abs(row.reward_chosen - row.reward_rejected);
    return 1 / (1 + Math.exp(-defaultWorld.certainty * difference));
  });
  const expected = chance.reduce((sum, p) => sum + p, 0);
  const deviation = Math.sqrt(chance.reduce((sum, p) => sum + p * (1 - p), 0));
  // A tie is right half of the time, whichever is chosen.
  const right = pairs.reduce(
    (sum, { reward_chosen: a, reward_rejected: b }) =>
      sum + (Math.abs(a - b) < 1e-12 ? 0.5 : a > b ? 1 : 0),
    0,
  );
  assertLess(Math.abs(right - expected), 4 * deviation);
  const clean = trainingPairs({ ...defaultWorld, pairs: 300, certainty: Infinity });
  assert(clean.every((row) => row.reward_chosen >= row.reward_rejected));
});

Deno.test("a larger share of flipped labels flips the same pairs and more, and changes no text", () => {
  const [none, some, more] = [0, 0.2, 0.4].map((flipped) =>
    trainingPairs({ ...defaultWorld, pairs: 600, flipped })
  );
  const count = (rows: typeof some) => rows.filter((row) => row.flipped).length;
  assertEquals(count(none), 0);
  assertLess(Math.abs(count(some) - 120), 4 * Math.sqrt(600 * 0.2 * 0.8));
  some.forEach((row, i) => {
    if (row.flipped) assert(more[i].flipped);
    const swapped = row.flipped
      ? { ...row, chosen: row.rejected, rejected: row.chosen }
      : { ...row };
    assertEquals([swapped.chosen, swapped.rejected], [none[i].chosen, none[i].rejected]);
  });
});

Deno.test("length_bias makes chosen answers longer; without it they are not longer by much", () => {
  const excess = (length_bias: number) => {
    const rows = trainingPairs({ ...defaultWorld, pairs: 600, length_bias });
    return rows.reduce(
      (sum, { chosen, rejected }) => sum + wordsOf(chosen).length - wordsOf(rejected).length,
      0,
    ) / rows.length;
  };
  assertLess(Math.abs(excess(0)), 1);
  assertGreater(excess(1), excess(0) + 1.5);
  assertLess(excess(-1), excess(0) - 1.5);
});

Deno.test("held-out pairs have the label of the true reward; first-stage rows are no held-out requests", () => {
  const held = heldOutPairs("test", 256);
  assertEquals(held.length, 256);
  assert(held.every((row) => row.reward_chosen > row.reward_rejected && !row.flipped));
  const prompts = new Set([...requests("test"), ...requests("validation")].map((r) => r.prompt));
  assert(firstStageRows(300).every(({ prompt }) => !prompts.has(prompt)));
});
