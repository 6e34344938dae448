/** A reference beside the policy: mixtures of logits, sums of squares, and moving its weights. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ModelError } from "../../model/error.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import { assertSameBits } from "../assert_close.ts";
import { logSoftmax } from "../reference/log_softmax.ts";
import {
  adamw,
  assertSameTensors,
  collect,
  engineOf,
  gradientsOf,
  type Model,
  openForTests,
  randomModel,
  randomPairs,
  randomSeeds,
  row,
  SMALL,
} from "./small_engine.ts";

const gpu = await openForTests();
/** Two parts of the head's rows, so that chunks of both models have to be cut alike. */
const config = { ...SMALL, vocabSize: 300 };
const policyModel = randomModel(config, 1), otherModel = randomModel(config, 2);
const EPSILON = 0.1;

/** A policy with a frozen reference beside it. */
async function together(
  policy: Model,
  reference: Model,
  tokens = 600,
): Promise<[LlamaEngine, LlamaEngine]> {
  const first = await engineOf(gpu, policy, { beside: reference.config, tokens });
  const { capacity } = first.plan;
  const second = await engineOf(gpu, reference, {
    optimizer: undefined,
    tokens: capacity.tokens,
    scored: capacity.scored,
  });
  first.attachReference(second);
  return [first, second];
}

async function assertMixtures(policyCap: number | null, otherCap: number | null): Promise<void> {
  const [policy, reference] = await together(
    { ...policyModel, config: { ...config, logitSoftcap: policyCap } },
    { ...otherModel, config: { ...config, logitSoftcap: otherCap } },
  );
  const examples = randomPairs(7, 5, config.vocabSize);
  const found = await policy.score(examples, { logSumP2: true, epsilon: EPSILON });
  const plain = await policy.score(examples);
  assertSameBits(found.logps, plain.logps, "log-probabilities beside a reference");
  assertSameBits(found.mix!.reference, (await reference.score(examples)).logps, "reference");
  let at = 0;
  for (const { prompt, answers } of examples) {
    for (const { ids } of answers) {
      for (let t = 0; t < ids.length; t++, at++) {
        const context = Uint32Array.of(...prompt, ...ids.subarray(0, t));
        const [z, r] = [await policy.nextLogits([context]), await reference.nextLogits([context])];
        const target = ids.subarray(t, t + 1);
        const mixed = (sign: number) =>
          logSoftmax(Float64Array.from(z, (x, v) => x + sign * EPSILON * (x - r[v])), target)
            .logp[0];
        const near = (value: number, expected: number, what: string) =>
          assert(
            Math.abs(value - expected) <= 2e-5,
            `${what} of token ${at}: ${value}, ${expected}`,
          );
        near(found.mix!.plus[at], mixed(1), "plus");
        near(found.mix!.minus[at], mixed(-1), "minus");
        near(found.logSumP2![at], logSoftmax(z, target).squares[0], "log sum p^2");
      }
      // A few answers are enough: each token takes two logit passes.
      if (at > 40) break;
    }
    if (at > 40) break;
  }
  policy.destroy();
  reference.destroy();
}

const MIXTURES = "mixtures, sums of squares and the reference equal float64 over whole logits";
Deno.test(MIXTURES, () => assertMixtures(null, null));
Deno.test(`${MIXTURES}, capped each by its own cap`, () => assertMixtures(1.5, 3));

Deno.test("equal models mix to exactly themselves; small chunks give the same bits", async () => {
  const [policy, same] = await together(policyModel, policyModel);
  const examples = randomPairs(9, 6, config.vocabSize);
  const found = await policy.score(examples, { epsilon: EPSILON });
  for (const values of [found.mix!.plus, found.mix!.minus, found.mix!.reference]) {
    assertSameBits(values, found.logps, "a mixture of equal logits");
  }
  const longest = 23 + 2 * 17;
  const [small, other] = await together(policyModel, otherModel, longest);
  const [large, another] = await together(policyModel, otherModel);
  const extras = { epsilon: EPSILON, logSumP2: true };
  const [one, two] = [await small.score(examples, extras), await large.score(examples, extras)];
  assertSameBits(one.mix!.plus, two.mix!.plus, "plus in small chunks");
  assertSameBits(one.mix!.minus, two.mix!.minus, "minus in small chunks");
  assertSameBits(one.logSumP2!, two.logSumP2!, "log sum p^2 in small chunks");
  for (const engine of [policy, same, small, other, large, another]) engine.destroy();
});

Deno.test("a score with mixtures leaves the same gradients as one without", async () => {
  const [policy, reference] = await together(policyModel, otherModel);
  const alone = await engineOf(gpu, policyModel);
  const examples = randomPairs(3, 4, config.vocabSize);
  const scores = await policy.score(examples, { epsilon: EPSILON });
  await alone.score(examples);
  const seeds = randomSeeds(5, scores);
  await policy.learn(examples, seeds);
  await alone.learn(examples, seeds);
  assertSameTensors(await gradientsOf(policy), await gradientsOf(alone), "gradients");
  for (const engine of [policy, reference, alone]) engine.destroy();
});

Deno.test("blend moves the weights by alpha, copies at 1, and refuses another shape", async () => {
  const [policy, reference] = await together(policyModel, otherModel);
  reference.blend(policy, 0.25);
  for (const [name, values] of await collect(reference.weights())) {
    const [from, to] = [otherModel.weights.get(name)!, policyModel.weights.get(name)!];
    values.forEach((value, i) => {
      const expected = 0.75 * from[i] + 0.25 * to[i];
      assert(Math.abs(value - expected) <= 1e-6 * Math.max(1, Math.abs(expected)), name);
    });
  }
  const examples = [row(0, [1, 2, 3], [[4, 5], [6]])];
  const scores = await policy.score(examples);
  await policy.learn(examples, randomSeeds(1, scores));
  await policy.update(adamw(1)).status();
  // A copy is one whatever was there: 0 times infinity would be NaN.
  const name = "model.norm.weight";
  await reference.restore([{ name, shape: [], data: new Float32Array(32).fill(Infinity) }]);
  reference.blend(policy, 1);
  const copied = await collect(reference.weights());
  assertSameTensors(copied, await collect(policy.weights()), "copied weights");
  const narrow = await engineOf(gpu, randomModel({ ...config, intermediateSize: 48 }, 1));
  const error = assertThrows(() => reference.blend(narrow, 0.5), ModelError);
  assertEquals(error.message.includes("gate_proj"), true, error.message);
  for (const engine of [policy, reference, narrow]) engine.destroy();
});
