/** What must hold between gradients, steps and weights, whatever the weights are. */
import { assert, assertEquals } from "@std/assert";
import type { LlamaEngine, LlamaOptions } from "../../model/llama.ts";
import { packedLength, scoredLength } from "../../model/pack.ts";
import { assertClose, assertSameBits } from "../assert_close.ts";
import {
  adamw,
  assertSameTensors,
  collect,
  engineOf,
  gradientsOf,
  openForTests,
  printMarginsAtEnd,
  randomModel,
  randomPairs,
  randomSeeds,
  row,
  SMALL,
} from "./small_engine.ts";

const gpu = await openForTests();
printMarginsAtEnd();
const model = randomModel({ ...SMALL, attentionBias: true }, 1);
const pairs = randomPairs(2, 8, SMALL.vocabSize);

async function withEngine(
  use: (engine: LlamaEngine) => Promise<void>,
  options: Partial<LlamaOptions> = {},
): Promise<void> {
  const engine = await engineOf(gpu, model, options);
  try {
    await use(engine);
  } finally {
    engine.destroy();
  }
}

const most = {
  tokens: Math.max(...pairs.map((pair) => packedLength(pair, true))),
  scored: Math.max(...pairs.map(scoredLength)),
};

/** Gradients after learning `rows` in calls of `each`, from the seeds of the whole. */
async function learned(
  engine: LlamaEngine,
  each: number,
  options: { scoreFirst: boolean },
): Promise<Map<string, Float32Array>> {
  const scores = await engine.score(pairs);
  const seeds = randomSeeds(3, scores);
  for (let i = 0; i < pairs.length; i += each) {
    const part = pairs.slice(i, i + each);
    if (options.scoreFirst) await engine.score(part);
    const end = Math.min(i + each, pairs.length);
    await engine.learn(part, seeds.subarray(scores.offsets[2 * i], scores.offsets[2 * end]));
  }
  return await gradientsOf(engine);
}

function assertCloseGradients(
  found: Map<string, Float32Array>,
  expected: Map<string, Float32Array>,
  group: string,
): void {
  for (const [name, values] of expected) {
    assertClose(found.get(name)!, values, { relativeL2: 1e-5 }, group, name);
  }
}

Deno.test("8 calls of 1 row add up to the gradient of 1 call of 8 within 1e-5", async () => {
  let whole = new Map<string, Float32Array>();
  await withEngine(async (engine) => {
    whole = await learned(engine, 8, { scoreFirst: true });
  });
  for (const each of [1, 3]) {
    await withEngine(async (engine) => {
      assertCloseGradients(await learned(engine, each, { scoreFirst: true }), whole, "8x1 and 1x8");
    });
  }
});

Deno.test("what was kept of the forward pass gives the gradient of running it again", async () => {
  let kept = new Map<string, Float32Array>();
  await withEngine(async (engine) => {
    kept = await learned(engine, 8, { scoreFirst: true });
  });
  await withEngine(async (engine) => {
    // The rows were not scored last, as an array: everything is run again.
    const again = await learned(engine, 8, { scoreFirst: false });
    assertSameTensors(again, kept, "gradients");
  });
  await withEngine(async (engine) => {
    const chunked = await learned(engine, 8, { scoreFirst: true });
    assertCloseGradients(chunked, kept, "many chunks and one");
  }, most);
});

Deno.test("the same step twice gives the same bytes", async () => {
  const results: Map<string, Float32Array>[] = [];
  for (let i = 0; i < 2; i++) {
    await withEngine(async (engine) => {
      await learned(engine, 4, { scoreFirst: true });
      await engine.update(adamw(1)).status();
      results.push(await collect(engine.weights()));
    });
  }
  assertSameTensors(results[1], results[0], "weights");
});

Deno.test("ids of an answer that belong to the prompt are seen but not scored", () =>
  withEngine(async (engine) => {
    const ids = [7, 8, 9, 10, 11, 12];
    const whole = await engine.score([row(0, [1, 5], [ids, [6]])]);
    const scored = await engine.score([row(0, [1, 5], [ids], 4)]);
    assertSameBits(scored.logps, whole.logps.slice(4, 6), "the last two");
    const none = await engine.score([row(0, [1, 5], [ids], 6)]);
    assertEquals([...none.offsets], [0, 0]);
    assertEquals(none.logps.length, 0);
    // A row with nothing to score beside one that has: no seed, no trace.
    const mixed = [row(0, [1, 5], [ids], 6), row(1, [1, 5], [ids], 4)];
    const both = await engine.score(mixed);
    assertSameBits(both.logps, scored.logps, "beside a row of prompt only");
    await engine.learn(mixed, Float32Array.of(1, -1));
    const found = await gradientsOf(engine);
    await engine.update(adamw(1, { learningRate: 0 })).status();
    const alone = [mixed[1]];
    await engine.score(alone);
    await engine.learn(alone, Float32Array.of(1, -1));
    assertCloseGradients(found, await gradientsOf(engine), "a row of prompt only");
  }));

Deno.test("seeds of zero give a gradient of zero", () =>
  withEngine(async (engine) => {
    const { logps } = await engine.score(pairs);
    await engine.learn(pairs, new Float32Array(logps.length));
    for (const [name, values] of await gradientsOf(engine)) {
      assert(values.every((value) => value === 0), name);
    }
    const { gradNorm, finite } = await engine.update(adamw(1)).status();
    assertEquals({ gradNorm, finite }, { gradNorm: 0, finite: true });
  }));

Deno.test("a row with seeds of zero adds nothing to the gradient", async () => {
  const expected = new Map<string, Float32Array>();
  const some = pairs.filter((_, i) => i % 2 === 0);
  await withEngine(async (engine) => {
    await engine.learn(some, randomSeeds(4, await engine.score(some)));
    for (const [name, values] of await gradientsOf(engine)) expected.set(name, values);
  });
  for (const kept of [true, false]) {
    await withEngine(async (engine) => {
      const scores = await engine.score(some);
      const parts = randomSeeds(4, scores);
      const { logps, offsets } = await engine.score(pairs);
      const seeds = new Float32Array(logps.length);
      for (let i = 0; i < 8; i += 2) {
        const own = parts.subarray(scores.offsets[i], scores.offsets[i + 2]);
        seeds.set(own, offsets[2 * i]);
      }
      await engine.learn(kept ? pairs : [...pairs], seeds);
      assertCloseGradients(await gradientsOf(engine), expected, "rows without seeds");
    });
  }
});

Deno.test("a learning rate of 0, and scoring, leave the weights as they are", () =>
  withEngine(async (engine) => {
    await engine.score(pairs);
    await engine.nextLogits([pairs[0].prompt]);
    const check = async (when: string) => {
      assertSameTensors(await collect(engine.weights()), model.weights, `after ${when}`);
    };
    await check("scoring");
    await engine.learn(pairs, randomSeeds(5, await engine.score(pairs)));
    await check("learning");
    await engine.update(adamw(1, { learningRate: 0, weightDecay: 0.1 })).status();
    await check("a step");
  }));

Deno.test("weights and moments put into another engine go on with the same bytes", async () => {
  const step = async (engine: LlamaEngine, number: number) => {
    await engine.learn(pairs, randomSeeds(number, await engine.score(pairs)));
    return await engine.update(adamw(number)).status();
  };
  await withEngine(async (engine) => {
    await step(engine, 1);
    await step(engine, 2);
    await withEngine(async (other) => {
      assertEquals((await collect(other.moments())).size, 0);
      await other.restore(engine.weights());
      await other.restore(engine.moments());
      assertEquals(await step(other, 3), await step(engine, 3));
      assertSameTensors(await collect(other.weights()), await collect(engine.weights()), "weights");
      const moments = await collect(other.moments());
      assertEquals(moments.size, 2 * model.weights.size);
      assertSameTensors(moments, await collect(engine.moments()), "moments");
    });
  });
});
