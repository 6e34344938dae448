/** A model made by hand, of which every log-probability is known: any shift of a label shows. */
import { assert, assertEquals } from "@std/assert";
import type { Architecture } from "../../model/architecture.ts";
import { parameterList } from "../../model/param_table.ts";
import { engineOf, type Model, openForTests, row, SMALL, withHeadDim } from "./small_engine.ts";

const gpu = await openForTests();

const VOCABULARY = 3, LEAD = 5;
const CONFIG: Architecture = {
  ...withHeadDim(SMALL, 4),
  hiddenSize: 4,
  intermediateSize: 4,
  numHiddenLayers: 1,
  numAttentionHeads: 1,
  numKeyValueHeads: 1,
  vocabSize: VOCABULARY,
  normEps: 1e-12,
};

/**
 * After token i comes token i + 1 mod 3, which leads by 5. The embedding of i is the unit vector i; a
 * layer of zeros adds nothing; the last norm makes 2 of the 1 (the root of 4 hidden values).
 */
function successorModel(): Model {
  const values: Record<string, number[]> = {
    "model.embed_tokens.weight": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
    "lm_head.weight": [0, 0, LEAD / 2, 0, LEAD / 2, 0, 0, 0, 0, LEAD / 2, 0, 0],
    "model.norm.weight": [1, 1, 1, 1],
  };
  const weights = parameterList(CONFIG).map(({ name, shape }) => {
    const zeros = new Float32Array(shape.reduce((a, b) => a * b, 1));
    return [name, values[name] ? Float32Array.from(values[name]) : zeros] as const;
  });
  return { config: CONFIG, weights: new Map(weights) };
}

const TOTAL = Math.log(Math.exp(LEAD) + 2);
const likely = LEAD - TOTAL, unlikely = -TOTAL;

for (const sharePrompt of [true, false]) {
  Deno.test(`a label is the token after, ${sharePrompt ? "shared prompt" : "whole"}`, async () => {
    const engine = await engineOf(gpu, successorModel(), { sharePrompt });
    const right = [[2, 0, 1, 2], [0, 1, 2]], wrong = [[0, 0, 2], [2, 1, 0, 2, 1, 0]];
    const scores = await engine.score([
      row(0, [0, 1], right.map((ids, i) => i === 0 ? ids : [2, ...ids])),
      row(1, [2, 0], wrong.map((ids) => ids)),
      row(2, [1], [[2]]),
      row(3, [], [[0, 1, 1]], 1),
    ]);
    const expected = [
      ...[likely, likely, likely, likely],
      ...[likely, likely, likely, likely],
      // 0 after 0, 0 after 0, 2 after 0.
      ...[unlikely, unlikely, unlikely],
      // 2 after 0, then counting down.
      ...[unlikely, unlikely, unlikely, unlikely, unlikely, unlikely],
      likely,
      // Without a prompt the first id is given: 1 after 0, then 1 after 1.
      ...[likely, unlikely],
    ];
    assertEquals(scores.logps.length, expected.length);
    expected.forEach((value, i) => {
      const found = scores.logps[i];
      assert(Math.abs(found - value) < 1e-5, `[${i}] is ${found}, expected ${value}`);
    });
    engine.destroy();
  });
}

Deno.test("the gradient of a label goes to the token before it", async () => {
  const engine = await engineOf(gpu, successorModel());
  const rows = [row(0, [0], [[1, 2]])];
  await engine.score(rows);
  // Only the second label, 2 after 1: rows of the head get (target - probability) * 2 in column 1.
  await engine.learn(rows, Float32Array.of(0, 1));
  const [high, low] = [Math.exp(likely), Math.exp(unlikely)];
  const expected = [0, -2 * low, 0, 0, 0, -2 * low, 0, 0, 0, 2 * (1 - high), 0, 0];
  const found = await engine.gradient("lm_head.weight");
  expected.forEach((value, i) =>
    assert(Math.abs(found[i] - value) < 1e-6, `[${i}] is ${found[i]}`)
  );
  engine.destroy();
});

Deno.test("generation counts up", async () => {
  const engine = await engineOf(gpu, successorModel());
  const prompts = [[0], [1, 0, 2], [2, 2]].map((ids) => Uint32Array.from(ids));
  const found = await engine.generate(prompts, { maxNewTokens: 4, stop: [] });
  assertEquals(found.map((ids) => [...ids]), [[1, 2, 0, 1], [0, 1, 2, 0], [0, 1, 2, 0]]);
  const stopped = await engine.generate(prompts, { maxNewTokens: 4, stop: [2] });
  assertEquals(stopped.map((ids) => [...ids]), [[1], [0, 1], [0, 1]]);
  engine.destroy();
});
