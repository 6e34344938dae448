/** What a mode sees of a decision set, and how its seeds come back to tokens. */
import { assertEquals } from "@std/assert";
import type { Needs } from "../../losses/loss_mode.ts";
import type { TokenizedExample, TokenLogps } from "../../model/engine.ts";
import { liveReference } from "../../trainer/reference_cache.ts";
import { askedExamples, scoreSet, tokenSeeds } from "../../trainer/score_set.ts";

const PAIRS: Needs = { reference: "logps", scope: "pair", rows: "pairs" };

function example(row: number, prompt: number[], ...answers: number[][]): TokenizedExample {
  return {
    row,
    prompt: Uint32Array.from(prompt),
    answers: answers.map((ids) => ({ ids: Uint32Array.from(ids), scoredFrom: 1 })),
  };
}

/** An engine whose log-probability of a token is minus its id, with sums of squares of -1. */
function engineOf(scale = 1) {
  return {
    score(examples: readonly TokenizedExample[]): Promise<TokenLogps> {
      const answers = examples.flatMap((one) =>
        one.answers.map((a) => a.ids.subarray(a.scoredFrom))
      );
      const offsets = new Uint32Array(answers.length + 1);
      answers.forEach((ids, a) => offsets[a + 1] = offsets[a] + ids.length);
      const logps = Float32Array.from(answers.flatMap((ids) => [...ids].map((id) => -scale * id)));
      return Promise.resolve({ logps, offsets, logSumP2: logps.map(() => -1) });
    },
  };
}

const two = [
  example(4, [9, 8], [7, 1, 2, 3], [7, 4]),
  example(5, [9], [6, 5], [6, 1, 1]),
];

Deno.test("ld_alpha weights the tokens beyond the shorter answer, in both models and the seeds", async () => {
  const modifiers = { ldAlpha: 0.5 };
  const reference = liveReference(engineOf(2), modifiers);
  const scored = await scoreSet(
    { engine: engineOf(), reference, needs: PAIRS, modifiers },
    two,
    "",
  );
  const { chosen, rejected } = scored.batch;
  assertEquals([...chosen.policy], [-(1 + 0.5 * 2 + 0.5 * 3), -5]);
  assertEquals([...rejected!.policy], [-4, -(1 + 0.5)]);
  assertEquals([...chosen.reference!], [-7, -10]);
  assertEquals([...chosen.length], [3, 1]);
  const seeds = { chosen: Float64Array.of(1, 2), rejected: Float64Array.of(-4, -8) };
  assertEquals([...tokenSeeds(scored, seeds, 0.5)], [0.5, 0.25, 0.25, -2, 1, -4, -2]);
});

Deno.test("use_weighting gives each pair the product of its answers' likelihoods", async () => {
  const needs: Needs = { ...PAIRS, tokens: ["logSumP2"] };
  const reference = liveReference(engineOf());
  const modifiers = { useWeighting: true };
  const { batch } = await scoreSet({ engine: engineOf(), reference, needs, modifiers }, two, "");
  // Means of log p + 1: -(1 + 2 + 3) / 3 + 1 = -1 and -3; -4 and 0.
  assertEquals([...batch.pairWeights!], [Math.exp(-1) * Math.exp(-3), Math.exp(-4) * 1]);
  assertEquals([...batch.chosen.logSumP2!], [-3, -1]);
  // Likelihoods are those of whole answers, with and without factors of tokens.
  const both = { ...modifiers, ldAlpha: 0.5 };
  const again = await scoreSet({ engine: engineOf(), reference, needs, modifiers: both }, two, "");
  assertEquals(again.batch.pairWeights, batch.pairWeights);
  assertEquals(again.batch.chosen.logSumP2, batch.chosen.logSumP2);
});

Deno.test("prompts are scored behind the pairs and have seeds of their own", async () => {
  const needs: Needs = { ...PAIRS, reference: "none", tokens: ["promptLogp"] };
  const asked = askedExamples(two, needs);
  assertEquals(asked.length, 4);
  assertEquals([...asked[2].prompt, ...asked[2].answers[0].ids], [9, 8, 7]);
  const scored = await scoreSet({ engine: engineOf(), needs }, two, "");
  assertEquals([...scored.batch.prompt!.policy], [-15, -6]);
  assertEquals([...scored.batch.prompt!.length], [2, 1]);
  assertEquals([...scored.batch.chosen.policy], [-6, -5]);
  const seeds = {
    chosen: Float64Array.of(1, 2),
    rejected: Float64Array.of(3, 4),
    prompt: Float64Array.of(5, 6),
  };
  assertEquals([...tokenSeeds(scored, seeds, 1)], [1, 1, 1, 3, 2, 4, 4, 5, 5, 6]);
  const modifiers = { ldAlpha: 0.5 };
  const weighted = await scoreSet({ engine: engineOf(), needs, modifiers }, two, "");
  assertEquals(weighted.batch.prompt, scored.batch.prompt);
  assertEquals([...tokenSeeds(weighted, seeds, 1)], [1, 0.5, 0.5, 3, 2, 4, 2, 5, 5, 6]);
});

Deno.test("a prompt may be longer than a call has room for arguments", () => {
  const long = { ...two[0], prompt: new Uint32Array(300_000).fill(3) };
  const [, { prompt, answers }] = askedExamples([long], { tokens: ["promptLogp"] });
  assertEquals([prompt.length, answers[0].ids.length, answers[0].ids.at(-1)], [1, 300_000, 7]);
});

Deno.test("a mismatched answer is scored and learns nothing; labels come along", async () => {
  const needs: Needs = { ...PAIRS, rows: "unpaired", extra: "mismatched" };
  const rows = two.map((one, i) => ({ ...one, label: (i === 0 ? 1 : 0) as 0 | 1 }));
  const reference = liveReference(engineOf(2));
  const scored = await scoreSet({ engine: engineOf(), reference, needs }, rows, "");
  const { batch } = scored;
  assertEquals([...batch.label!], [1, 0]);
  assertEquals(batch.rejected, undefined);
  assertEquals([...batch.mismatched!.policy], [-4, -2]);
  assertEquals([...batch.mismatched!.reference!], [-8, -4]);
  const seeds = { chosen: Float64Array.of(1, 2) };
  assertEquals([...tokenSeeds(scored, seeds, 1)], [1, 1, 1, 0, 2, 0, 0]);
});
