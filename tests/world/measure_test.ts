import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { TextTokenizer } from "../../data/tokenizer.ts";
import { drawToken, generate, sampler } from "../../model/generate.ts";
import {
  type AnsweringEngine,
  answerLogps,
  describeAnswers,
  sampleAnswers,
  winRate,
} from "../../tools/world/measure.ts";

Deno.test("a token is drawn as often as its probability says", () => {
  const logits = Float32Array.from([0, Math.log(2), -Infinity, Math.log(5)]);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 8000; i++) counts[drawToken(logits, 1, (i + 0.5) / 8000)]++;
  assertEquals(counts, [1000, 2000, 0, 5000]);
  // At temperature 1/2 weights are squared: 1, 4, 25.
  const cold = [0, 0, 0, 0];
  for (let i = 0; i < 3000; i++) cold[drawToken(logits, 0.5, (i + 0.5) / 3000)]++;
  assertEquals(cold, [100, 400, 0, 2500]);
});

Deno.test("draws depend on seed, row and position, and are spread evenly", () => {
  const flat = new Float32Array(4);
  const pick = sampler(7);
  assertEquals(pick(flat, 3, 2), pick(flat, 3, 2));
  const counts = [0, 0, 0, 0];
  for (let row = 0; row < 200; row++) {
    for (let position = 0; position < 20; position++) counts[pick(flat, row, position)]++;
  }
  // Chi-squared with 3 degrees of freedom is below 16.3 but once in a thousand seeds.
  const chi = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  assertEquals(chi < 16.3, true, `${chi}`);
  const other = Array.from({ length: 40 }, (_, row) => sampler(8)(flat, row, 0));
  assertEquals(other.every((id, row) => id === pick(flat, row, 0)), false);
  for (const temperature of [0, -1, NaN, Infinity]) {
    assertThrows(() => sampler(1, temperature), RangeError, "temperature");
  }
});

/** Three tokens: 0 ends, 1 goes on; after n ones the end has probability as given. */
const coin = {
  maxSequenceLength: 100,
  nextLogits: (prompts: readonly Uint32Array[]) =>
    Promise.resolve(
      Float32Array.from(prompts.flatMap(() => [Math.log(0.25), Math.log(0.75), -99])),
    ),
};

Deno.test("sampled lengths are those of the model: 3 tokens on average for an end of 1/4", async () => {
  const prompts = Array.from({ length: 4000 }, () => Uint32Array.of(1));
  const answers = await generate(coin, 3, prompts, {
    maxNewTokens: 60,
    stop: [0],
    pick: sampler(3),
  });
  const mean = answers.reduce((sum, ids) => sum + ids.length, 0) / answers.length;
  // Deviation of a geometric variable with p = 1/4: sqrt(12) = 3.46; of the mean 0.055.
  assertAlmostEquals(mean, 3, 4 * 0.055);
  const alone = await generate(coin, 3, prompts.slice(0, 1), {
    maxNewTokens: 60,
    stop: [0],
    pick: sampler(3),
  });
  assertEquals(alone[0], answers[0]);
});

Deno.test("win rate: all pairs of samples of a request, ties and rounding count half", () => {
  assertEquals(winRate([2, 0], [1, 1], 2), 0.5);
  assertEquals(winRate([1, 3, 0.1 + 0.2, 5], [0, 2, 0.3, 9], 2), (3 + 0.5 + 1) / 8);
  assertEquals(winRate([1, 2, 3], [1, 2, 3], 1), 0.5);
});

Deno.test("KL, rewards and lengths of known answers; a cut answer is scored without an end", async () => {
  const scored: number[][] = [];
  const engine: AnsweringEngine = {
    generate: (prompts) =>
      Promise.resolve(prompts.map((_, i) => Uint32Array.from(i % 2 ? [5, 5, 5] : [5]))),
    score: (examples) => {
      const lengths = examples.map(({ answers }) => answers[0].ids.length);
      scored.push(...examples.map(({ answers }) => [...answers[0].ids]));
      const offsets = Uint32Array.from([
        0,
        ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b)),
      ]);
      return Promise.resolve({
        logps: new Float32Array(offsets.at(-1)!).fill(-0.5),
        offsets,
      });
    },
  };
  const tokenizer = {
    eosId: 0,
    encode: () => Uint32Array.of(1, 2),
    decode: (ids: Uint32Array) => " zzz".repeat(ids.length),
  } as unknown as TextTokenizer;
  const settings = { set: "test", prompts: 1, samples: 2, max_new_tokens: 3 } as const;
  const answers = await sampleAnswers(engine, tokenizer, settings, 1);
  assertEquals(answers.rewards, [-0.5, -1.5]);
  const logps = await answerLogps(engine, answers, { eosId: 0, maxNewTokens: 3 });
  assertEquals(scored, [[5, 0], [5, 5, 5]]);
  assertEquals(logps, [-1, -1.5]);
  const found = describeAnswers(answers, answers, { policy: logps, reference: [-2, -3] }, 2);
  assertEquals([found.kl, found.words, found.win_rate, found.reward], [1.25, 2, 0.5, -1]);
});
