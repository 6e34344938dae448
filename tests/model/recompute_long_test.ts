/** Activations that are computed again in the backward pass: other bytes held, the same numbers. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { GpuError } from "../../gpu/error.ts";
import type { LlamaEngine, LlamaOptions } from "../../model/llama.ts";
import { type Level, levelCounts, LEVELS, recomputeChoices } from "../../model/recompute.ts";
import { assertSameBits } from "../assert_close.ts";
import {
  adamw,
  assertSameTensors,
  engineOf,
  gradientsOf,
  openForTests,
  randomModel,
  randomPairs,
  randomSeeds,
  SMALL,
} from "./small_engine.ts";

const gpu = await openForTests();
const config = { ...SMALL, numHiddenLayers: 3, attentionBias: true, mlpBias: true };
const model = randomModel(config, 41);
const pairs = randomPairs(42, 6, config.vocabSize);
/** Not above the positions of the model, so that the plan of the rotary table is exact too. */
const room = { tokens: 250, scored: 120 };

/**
 * Plans from the least recomputation to the most, each with a budget one byte below the one before,
 * as long as the whole chunk fits; "none" and "all" are asked for by name.
 */
async function withEachChoice(
  options: Partial<LlamaOptions>,
  use: (engine: LlamaEngine, name: string) => Promise<void>,
): Promise<readonly (readonly Level[])[]> {
  const seen: (readonly Level[])[] = [];
  let request: Partial<LlamaOptions> = { ...options, recompute: "none" };
  while (true) {
    const engine = await engineOf(gpu, model, request);
    const { levels, total, capacity } = engine.plan;
    const whole = capacity.tokens === options.tokens && capacity.scored === options.scored;
    if (whole) await use(engine, levels!.join(", "));
    engine.destroy();
    if (!whole) return seen;
    seen.push(levels!);
    request = { ...options, budget: total - 1 };
  }
}

interface Case {
  readonly options: Partial<LlamaOptions>;
  /** Learns from what the score left on the GPU; otherwise forward is run again. */
  readonly kept: boolean;
}

const cases: Readonly<Record<string, Case>> = {
  "after the score": { options: room, kept: true },
  "forward run again": { options: room, kept: false },
  "several chunks": { options: { tokens: 70, scored: 40 }, kept: false },
  "whole sequences": { options: { ...room, sharePrompt: false }, kept: true },
};

/** Gradients of a step, and log-probabilities under the weights that it leaves. */
async function step(engine: LlamaEngine, { kept }: Case) {
  const seeds = randomSeeds(43, await engine.score(pairs));
  await engine.learn(kept ? pairs : [...pairs], seeds);
  const gradients = await gradientsOf(engine);
  assert((await engine.update(adamw(1)).status()).finite);
  const { logps } = await engine.score(pairs);
  return { gradients, logps };
}

for (const [name, test] of Object.entries(cases)) {
  Deno.test(`no choice of layers changes a bit: ${name}`, async () => {
    let expected: Awaited<ReturnType<typeof step>> | undefined;
    const seen = await withEachChoice(test.options, async (engine, levels) => {
      const found = await step(engine, test);
      expected ??= found;
      assertSameTensors(found.gradients, expected.gradients, levels);
      assertSameBits(found.logps, expected.logps, levels);
    });
    // The first layer of a level frees nothing, so that the plan goes on with two.
    assertEquals(seen.map((levels) => levels.map((level) => LEVELS.indexOf(level)).join("")), [
      "000",
      "011",
      "111",
      "122",
      "222",
      "233",
      "333",
    ]);
  });
}

Deno.test("the bytes of a plan are those held, whatever is computed again", async () => {
  const before = gpu.bytes;
  let last = Infinity;
  await withEachChoice(room, (engine, levels) => {
    const held = gpu.bytes - before, { total } = engine.plan;
    // Buffers are rounded up to 16 bytes; partial sums are planned for tokens and scored tokens.
    assert(Math.abs(held - total) < 4096, `${levels}: ${held} bytes held, ${total} planned`);
    assert(total < last, `${levels}: ${total} bytes, ${last} with less to compute`);
    last = total;
    return Promise.resolve();
  });
  assertEquals(gpu.bytes, before);
});

Deno.test("the whole chunk comes first; where nothing holds it, it gets smaller and keeps more", async () => {
  const rows = { ...room, leastTokens: 40, leastScored: 20 };
  const { plan: all } = await planOf({ ...rows, recompute: "all" });
  const exact = await planOf({ ...rows, budget: all.total });
  assertEquals(exact.plan.capacity, all.capacity);
  assertEquals(exact.plan.levels, all.levels);
  const less = await planOf({ ...rows, budget: all.total - 1 });
  assert(less.plan.capacity.tokens < room.tokens && less.plan.capacity.tokens > 40);
  assertEquals(levelCounts(less.plan.levels!).elementwise, 3);
  assert(less.plan.total <= all.total - 1);
  // Asked for by name, it stays, and a smaller budget takes tokens from the first byte on.
  for (const recompute of ["none", "all"] as const) {
    const whole = await planOf({ ...rows, recompute });
    const short = await planOf({ ...rows, recompute, budget: whole.plan.total - 1 });
    assertEquals(short.plan.levels, whole.plan.levels);
    assert(short.plan.capacity.tokens < room.tokens);
  }
});

Deno.test("one row that only fits with recomputation is run with it", async () => {
  const one = { ...room, leastTokens: room.tokens, leastScored: room.scored };
  const none = await planOf({ ...one, recompute: "none" });
  const budget = none.plan.total - 1;
  const auto = await planOf({ ...one, budget });
  assertEquals(auto.plan.capacity.tokens, room.tokens);
  await assertRejects(
    () => planOf({ ...one, budget, recompute: "none" }),
    GpuError,
    'or drop "gradient_checkpointing: false"',
  );
});

async function planOf(options: Partial<LlamaOptions>) {
  const engine = await engineOf(gpu, model, options);
  engine.destroy();
  return engine;
}

Deno.test("a frozen model holds one layer's activations, however many it has", async () => {
  const activations: number[] = [];
  for (const numHiddenLayers of [1, 5]) {
    const deep = randomModel({ ...config, numHiddenLayers }, 45);
    const before = gpu.bytes;
    const engine = await engineOf(gpu, deep, { ...room, optimizer: undefined });
    const held = gpu.bytes - before;
    assert(Math.abs(held - engine.plan.total) < 4096, `${held} of ${engine.plan.total} bytes`);
    assertEquals(engine.plan.levels, undefined);
    activations.push(engine.plan.activations);
    engine.destroy();
  }
  assertEquals(activations[1], activations[0]);
});

Deno.test("choices go one layer up at a time, the last layer first", () => {
  const choices = recomputeChoices(2, "auto").map((levels) => levels.join(" "));
  assertEquals(choices, [
    "nothing nothing",
    "nothing elementwise",
    "elementwise elementwise",
    "elementwise products",
    "products products",
    "products attention",
    "attention attention",
  ]);
});
