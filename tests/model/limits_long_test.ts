/** Numbers that are not finite, memory that does not grow, requests that do not fit. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { GpuError } from "../../gpu/error.ts";
import { openGpu } from "../../gpu/device.ts";
import type { QueuedUpdate, StepStatus, TokenizedExample } from "../../model/engine.ts";
import { ModelError } from "../../model/error.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import { planMemory } from "../../model/memory.ts";
import { parameterList } from "../../model/param_table.ts";
import { layOut } from "../../model/slabs.ts";
import {
  adamw,
  assertSameTensors,
  collect,
  engineOf,
  openForTests,
  randomModel,
  randomPairs,
  randomSeeds,
  row,
  SMALL,
  withHeadDim,
} from "./small_engine.ts";

const gpu = await openForTests();
const model = randomModel(SMALL, 11);
const pairs = randomPairs(12, 4, SMALL.vocabSize);

/** Scores, learns and steps; `poison` may change the seeds. */
async function step(
  engine: LlamaEngine,
  rows: readonly TokenizedExample[],
  number: number,
  poison?: (seeds: Float32Array) => void,
) {
  const seeds = randomSeeds(number, await engine.score(rows));
  poison?.(seeds);
  await engine.learn(rows, seeds);
  return await engine.update(adamw(number)).status();
}

for (const bad of [NaN, Infinity, -Infinity, 3e38]) {
  Deno.test(`a seed of ${bad} stops the step before it changes a weight`, async () => {
    const engine = await engineOf(gpu, model);
    assert((await step(engine, pairs, 1)).finite);
    const weights = await collect(engine.weights()), moments = await collect(engine.moments());
    const { gradNorm, finite, culprit } = await step(engine, pairs, 2, (seeds) => seeds[5] = bad);
    assertEquals(finite, false);
    assert(!Number.isFinite(gradNorm));
    assert(model.weights.has(culprit!), culprit);
    assertSameTensors(await collect(engine.weights()), weights, "weights");
    assertSameTensors(await collect(engine.moments()), moments, "moments");
    engine.destroy();
  });
}

Deno.test("the culprit is the tensor whose gradient is not finite", async () => {
  const engine = await engineOf(gpu, model);
  const gate = "model.layers.1.mlp.gate_proj.weight";
  const down = "model.layers.1.mlp.down_proj.weight";
  // The gradient of down is d hidden times an activation of about 1e34, and overflows; as down is 0
  // itself, the activation reaches nothing else.
  const changed = new Map(model.weights);
  changed.set(gate, model.weights.get(gate)!.map((x) => x * 1e34));
  changed.set(down, new Float32Array(model.weights.get(down)!.length));
  await engine.restore([...changed].map(([name, data]) => ({ name, shape: [], data })));
  const { finite, culprit } = await step(engine, pairs, 1, (seeds) => seeds.fill(1e10));
  assertEquals({ finite, culprit }, { finite: false, culprit: down });
  engine.destroy();
});

Deno.test("one NaN among the weights reaches the log-probabilities", async () => {
  const values = model.weights.get("model.layers.0.mlp.up_proj.weight")!.slice();
  values[17] = NaN;
  const weights = new Map([...model.weights, ["model.layers.0.mlp.up_proj.weight", values]]);
  const engine = await engineOf(gpu, { config: model.config, weights });
  const { logps } = await engine.score(pairs);
  assert(logps.every((logp) => Number.isNaN(logp)));
  engine.destroy();
});

Deno.test("GPU memory stays the same from step 3 on, with rows of any length", async () => {
  const engine = await engineOf(gpu, model);
  let expected = 0;
  for (let number = 1; number <= 20; number++) {
    // The number of tokens differs from step to step.
    const rows = randomPairs(100 + number, 1 + number % 5, SMALL.vocabSize);
    assert((await step(engine, rows, number)).finite);
    if (number === 2) expected = engine.counters.gpuBytes;
    if (number > 2) assertEquals(engine.counters.gpuBytes, expected, `after step ${number}`);
  }
  engine.destroy();
});

Deno.test("a step waits for the GPU once: its outcome comes with the next scores", async () => {
  const waiting = await engineOf(gpu, model), waited: StepStatus[] = [];
  for (let number = 1; number <= 3; number++) waited.push(await step(waiting, pairs, number));
  const engine = await engineOf(gpu, model), found: StepStatus[] = [];
  let last: QueuedUpdate | undefined;
  for (let number = 1; number <= 3; number++) {
    const before = engine.counters.readbacks;
    const seeds = randomSeeds(number, await engine.score(pairs));
    if (last) found.push(await last.status());
    await engine.learn(pairs, seeds);
    last = engine.update(adamw(number));
    assertEquals(engine.counters.readbacks - before, 1);
  }
  found.push(await last!.status());
  assertEquals(found, waited);
  const weights = await collect(waiting.weights());
  assertSameTensors(await collect(engine.weights()), weights, "weights");
  waiting.destroy();
  engine.destroy();
});

Deno.test("an update that was not finite is found by the next scores, with its tensor", async () => {
  const engine = await engineOf(gpu, model);
  const before = await collect(engine.weights());
  const seeds = randomSeeds(1, await engine.score(pairs));
  seeds[5] = Infinity;
  await engine.learn(pairs, seeds);
  const update = engine.update(adamw(1));
  await engine.score(pairs);
  const { finite, culprit } = await update.status();
  assertEquals(finite, false);
  assert(model.weights.has(culprit!), culprit);
  assertSameTensors(await collect(engine.weights()), before, "weights");
  engine.destroy();
});

Deno.test("reading all weights keeps no copy on the GPU, and destroying leaves nothing", async () => {
  const own = await openGpu();
  const first = own.bytes;
  // Large enough that a staging buffer of the largest tensor would show.
  const config = { ...withHeadDim(SMALL, 16), hiddenSize: 64, vocabSize: 8192 };
  const large = randomModel(config, 13);
  const held: number[] = [];
  for (let i = 0; i < 2; i++) {
    const engine = await engineOf(own, large, { tokens: 100, scored: 40 });
    await engine.score(randomPairs(1, 1, 100));
    const before = own.bytes;
    await collect(engine.weights());
    assert(own.bytes - before < 1 << 20, `${own.bytes - before} bytes more`);
    engine.destroy();
    held.push(own.bytes - first);
  }
  assertEquals(held[1], held[0]);
  assert(held[0] < 1 << 20, `${held[0]} bytes left`);
  own.destroy();
  assertEquals(own.bytes, 0);
});

Deno.test("the plan covers what is allocated", async () => {
  for (const headDim of [8, 128]) {
    const config = withHeadDim(SMALL, headDim);
    const before = gpu.bytes;
    const engine = await engineOf(gpu, randomModel(config, 14), { tokens: 1000, scored: 500 });
    // All but the uniforms of the programs and read-backs, which do not grow with the plan.
    const allocated = gpu.bytes - before;
    assert(
      allocated <= engine.plan.total + (1 << 16),
      `${allocated} bytes, planned ${engine.plan.total}`,
    );
    engine.destroy();
  }
});

Deno.test("a model above the budget is refused with the sum, before anything is allocated", async () => {
  const before = gpu.bytes;
  const error = await assertRejects(
    () => engineOf(gpu, model, { budget: 200_000, leastTokens: 100, leastScored: 50 }),
    GpuError,
    "memory_budget is 200000",
  );
  const numbers =
    /weights (\d+) \+ gradients (\d+) \+ moments (\d+) \+ activations of one row (\d+) = (\d+)/
      .exec(error.message)!.slice(1).map(Number);
  const [weights, gradients, moments, activations, sum] = numbers;
  assertEquals(sum, weights + gradients + moments + activations);
  const values = [...model.weights.values()].reduce((n, tensor) => n + tensor.length, 0);
  // Slabs are padded at the ends of tensors.
  assert(weights >= 4 * values && weights < 4 * values + 2000);
  assertEquals(gradients, weights);
  // The moments, and a partial sum of squares for every 64 values.
  assert(moments >= weights * (2 + 1 / 64) && moments < weights * (2 + 1 / 63) + 1);
  assertEquals(gpu.bytes, before);
});

Deno.test("the plan of a budget it needs is made, one byte less is refused", async () => {
  const least = { tokens: 600, scored: 400, leastTokens: 50, leastScored: 20 };
  const refused = await assertRejects(
    () => engineOf(gpu, model, { ...least, budget: 1 }),
    GpuError,
  );
  const sum = Number(/= (\d+) bytes/.exec(refused.message)![1]);
  const engine = await engineOf(gpu, model, { ...least, budget: sum });
  assertEquals(engine.plan.total, sum);
  assertEquals(engine.plan.capacity.tokens, 50);
  engine.destroy();
  await assertRejects(() => engineOf(gpu, model, { ...least, budget: sum - 1 }), GpuError);
});

Deno.test("a binding too small for a parameter or for a row is refused by name", async () => {
  const before = gpu.bytes;
  const narrow = await openGpu({ bindingLimit: 16_384 });
  const held = narrow.bytes;
  await assertRejects(
    () => engineOf(narrow, randomModel({ ...SMALL, vocabSize: 400 }, 15)),
    ModelError,
    'Cannot place tensor "model.embed_tokens.weight": 256 rows of 128 bytes exceed a binding of ' +
      "16384 bytes",
  );
  // 16 KiB hold 16 rows of 256 logits, and 93 of 44 values.
  await assertRejects(
    () => engineOf(narrow, model, { leastTokens: 94, leastScored: 4 }),
    GpuError,
    "Cannot run a row of 94 tokens (4 scored)",
  );
  await assertRejects(
    () => engineOf(narrow, model, { leastTokens: 20, leastScored: 17 }),
    GpuError,
    "binds 16384 bytes, which holds 93 tokens (16 scored)",
  );
  assertEquals(narrow.bytes, held);
  narrow.destroy();
  assertEquals(gpu.bytes, before);
});

Deno.test("of two models side by side the wider one bounds what a chunk binds", async () => {
  const narrow = await openGpu({ bindingLimit: 2 ** 20 });
  const { bindingLimit, offsetAlignment } = narrow.capabilities;
  const wide = { ...SMALL, hiddenSize: 768, intermediateSize: 1000 };
  const plan = (config: typeof SMALL, beside?: typeof SMALL, leastTokens = 1) =>
    planMemory(narrow, config, layOut(parameterList(config), bindingLimit, offsetAlignment), {
      budget: 2 ** 40,
      tokens: 600,
      scored: 400,
      leastTokens,
      leastScored: 1,
      beside,
    });
  // 2^18 values of f32 are 262 rows of 1000, and 341 of 768.
  const limited = { tokens: 262, scored: 341, vocabularyChunk: 256 };
  assertEquals(plan(SMALL).capacity, { ...limited, tokens: 600, scored: 400 });
  for (const [own, beside] of [[wide], [wide, SMALL], [SMALL, wide]]) {
    const { capacity, largestBinding } = plan(own, beside);
    assertEquals(capacity, limited);
    assertEquals(largestBinding, 262 * 1000 * 4);
  }
  const error = assertThrows(() => plan(SMALL, wide, 263), GpuError);
  assertStringIncludes(error.message, "a row of 263 tokens (1 scored)");
  assertStringIncludes(error.message, "which holds 262 tokens (341 scored)");
  narrow.destroy();
});

Deno.test("rows that fit no chunk, positions or vocabulary are refused by name", async () => {
  const engine = await engineOf(gpu, { ...model, config: { ...SMALL, maxPositionEmbeddings: 20 } });
  const ids = (count: number) => new Uint32Array(count).fill(3);
  await assertRejects(
    () => engine.score([row(7, ids(400), [ids(100), ids(101)])]),
    ModelError,
    "Row 7 has 601 tokens, a chunk holds 600",
  );
  await assertRejects(
    () => engine.score([row(8, ids(10), [ids(10), ids(11)])]),
    ModelError,
    "A sequence of rows 8 is longer than the model's 20 positions",
  );
  await engine.score([row(8, ids(10), [ids(10), ids(10)])]);
  await assertRejects(
    () => engine.score([row(9, [1, 61], [[2], [3]])]),
    ModelError,
    "ids beyond the model's vocabulary of 61",
  );
  await assertRejects(
    () => engine.score([row(10, [], [[1], [2]])]),
    ModelError,
    "Row 10 scores its first token, which nothing precedes",
  );
  assertEquals(engine.maxSequenceLength, 20);
  engine.destroy();
});

Deno.test("an empty prompt and a head size the kernels cannot take are refused", async () => {
  const engine = await engineOf(gpu, model);
  const prompts = [Uint32Array.of(1), new Uint32Array(0)];
  await assertRejects(
    () => engine.generate(prompts, { maxNewTokens: 1, stop: [] }),
    ModelError,
    "Cannot continue prompt 1: it has no tokens",
  );
  engine.destroy();
  await assertRejects(
    () => engineOf(gpu, randomModel({ ...SMALL, headDim: 6 }, 16)),
    ModelError,
    "its head size 6 is no multiple of 4",
  );
});
