/**
 * A model whose activations and weights of products are stored as f16: how far its numbers are from those
 * of f32 storage, what stays by bits, the bytes it holds, and what happens beyond the range of f16.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Gpu } from "../../gpu/device.ts";
import type { LlamaEngine, LlamaOptions } from "../../model/llama.ts";
import { parameterList } from "../../model/param_table.ts";
import { assertClose, assertSameBits } from "../assert_close.ts";
import { Random } from "../reference/random.ts";
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
const model = randomModel(SMALL, 51);
const pairs = randomPairs(52, 6, SMALL.vocabSize);
/** Not above the positions of the model, so that the plan of the rotary table is exact too. */
const room = { tokens: 250, scored: 120 };
const half: Partial<LlamaOptions> = { ...room, storage: "f16" };

async function withEngine<T>(
  options: Partial<LlamaOptions>,
  use: (engine: LlamaEngine) => Promise<T>,
  on: { gpu?: Gpu; model?: typeof model } = {},
): Promise<T> {
  const engine = await engineOf(on.gpu ?? gpu, on.model ?? model, options);
  try {
    return await use(engine);
  } finally {
    engine.destroy();
  }
}

/** Scores, learns from `rows` and steps; everything that comes out, weights last. */
async function step(engine: LlamaEngine, number = 1, rows = pairs) {
  const scores = await engine.score(rows);
  await engine.learn(rows, randomSeeds(53, scores));
  const gradients = await gradientsOf(engine);
  const { gradNorm, finite } = await engine.update(adamw(number)).status();
  assert(finite);
  const values = new Map(gradients);
  values.set("logps", scores.logps);
  values.set("norm", Float32Array.of(gradNorm));
  values.set("next logits", await engine.nextLogits(rows.map(({ prompt }) => prompt)));
  for (const [name, data] of await collect(engine.weights())) values.set(`after, ${name}`, data);
  return { scores, gradients, values };
}

const total = (tensors: ReadonlyMap<string, Float32Array>) =>
  Float64Array.from([...tensors.values()].flatMap((values) => [...values]));

/** Opens a GPU whose kernels read where `textures` says, and that cuts parameters and chunks. */
async function open(textures: boolean): Promise<Gpu> {
  const gpu = await openForTests({ bindingLimit: 256 * 32 * 4 });
  gpu.tuning = { textures, tiles: {} };
  return gpu;
}

/** Biases, and a tied head in two parts. */
const split = {
  ...SMALL,
  vocabSize: 300,
  tieWordEmbeddings: true,
  attentionBias: true,
  outputBias: true,
  mlpBias: true,
};
const [policyModel, referenceModel] = [randomModel(split, 54), randomModel(split, 55)];
const [buffers, textures] = [await open(false), await open(true)];
const random = new Random(57), ids = (count: number) => random.integers(count, split.vocabSize);
/** Ten scored tokens each. */
const splitRows = [7, 1, 13, 2].map((prompt, i) => row(i, ids(prompt), [ids(7), ids(3)]));
const wide = { ...SMALL, vocabSize: 8500 };

const CASES = {
  "a small model": { on: { gpu, model }, rows: pairs },
  "a head that is cut by its logits": {
    on: { gpu, model: randomModel(wide, 58) },
    rows: randomPairs(59, 3, wide.vocabSize),
  },
  "parameters that are cut by a binding": {
    on: { gpu: buffers, model: policyModel },
    rows: splitRows,
  },
};

for (const [name, { on, rows }] of Object.entries(CASES)) {
  Deno.test(`log-probabilities and gradients are those of f32 within roundings: ${name}`, async () => {
    const run = (storage: "f32" | "f16") =>
      withEngine({ ...room, storage }, (engine) => step(engine, 1, rows), on);
    const f32 = await run("f32"), f16 = await run("f16");
    // A layer rounds seven matrices and nine kinds of values, two of them twice: 18; the head's matrix
    // makes one more. Independent errors add up as squares. Backward goes through the same again.
    const sites = 18 * SMALL.numHiddenLayers + 1, rounding = 2 ** -11;
    const forward = { relativeL2: rounding * Math.sqrt(sites) };
    const backward = { relativeL2: rounding * Math.sqrt(2 * sites) };
    assertClose(f16.scores.logps, f32.scores.logps, forward, "logps");
    assertClose(total(f16.gradients), total(f32.gradients), backward, "whole gradient");
    for (const [tensor, values] of f32.gradients) {
      // Attention hardly sees a shift of all keys: what is left are differences.
      if (tensor.endsWith("k_proj.bias")) continue;
      assertClose(f16.gradients.get(tensor)!, values, backward, "gradient of a tensor", tensor);
    }
    const differs = f16.scores.logps.filter((x, i) => x !== f32.scores.logps[i]);
    assert(differs.length > 0.9 * f32.scores.logps.length, "nothing is rounded");
  });
}

Deno.test("the same step twice gives the same bytes, and its own fingerprint", async () => {
  const [first, again] = [await withEngine(half, step), await withEngine(half, step)];
  assertSameTensors(again.values, first.values, "again");
  const of = (options: Partial<LlamaOptions>) =>
    withEngine(options, ({ fingerprint }) => Promise.resolve(fingerprint));
  assertEquals(await of({ ...room, storage: "f32" }), await of(room));
  assertNotEquals(await of(half), await of(room));
});

/** A step with a reference of f16 beside; mixtures of both models' logits too. */
async function stepBeside(gpu: Gpu): Promise<ReadonlyMap<string, Float32Array>> {
  const options = { tokens: 128, scored: 100, storage: "f16" } as const;
  return await withEngine({ ...options, beside: split }, (policy) => {
    const { tokens, scored } = policy.plan.capacity;
    const frozen = { ...options, tokens, scored, optimizer: undefined };
    return withEngine(frozen, async (reference) => {
      policy.attachReference(reference);
      const { mix } = await policy.score(splitRows, { epsilon: 0.1 });
      const { logps } = await reference.score(splitRows);
      assertSameBits(mix!.reference, logps, "the reference alone");
      return new Map([...(await step(policy, 1, splitRows)).values, ...Object.entries(mix!)]);
    }, { gpu, model: referenceModel });
  }, { gpu, model: policyModel });
}

Deno.test({
  name: "f16 has the same bits with inputs in buffers and in textures, in several parts",
  ignore: !gpu.capabilities.storageTextures,
  async fn() {
    assertSameTensors(await stepBeside(textures), await stepBeside(buffers), "textures");
  },
});

Deno.test("f16 activations that are computed again change no bit", async () => {
  let request: Partial<LlamaOptions> = { ...half, recompute: "none" }, plans = 0;
  let expected: Awaited<ReturnType<typeof step>> | undefined;
  while (true) {
    const plan = await withEngine(request, async (engine) => {
      const { levels, total, capacity } = engine.plan;
      if (capacity.tokens < room.tokens) return undefined;
      const found = await step(engine);
      expected ??= found;
      assertSameTensors(found.values, expected.values, levels!.join(", "));
      return { total };
    });
    if (!plan) break;
    plans++;
    request = { ...half, budget: plan.total - 1 };
  }
  // From keeping everything to keeping the inputs of layers.
  assert(plans >= 4, `${plans} plans`);
});

/** Bytes held by an engine, and planned. */
async function bytesOf(options: Partial<LlamaOptions>) {
  const before = gpu.bytes;
  return await withEngine(
    options,
    ({ plan }) => Promise.resolve({ held: gpu.bytes - before, plan }),
  );
}

for (const optimizer of ["adamw", undefined] as const) {
  const what = optimizer ? "a policy" : "a frozen model";
  Deno.test(`the bytes of ${what} in f16 are as planned, and differ as they should`, async () => {
    gpu.tuning = { textures: false, tiles: {} };
    const f32 = await bytesOf({ ...room, optimizer });
    const f16 = await bytesOf({ ...half, optimizer });
    gpu.tuning = undefined;
    const inTextures = await bytesOf({ ...half, optimizer });
    // Copies of weights are made by a program, whose sizes take 256 bytes a dispatch.
    const matrices = parameterList(SMALL).filter(({ shape }) => shape.length === 2).length;
    for (const { held, plan } of [f16, inTextures]) {
      const more = held - plan.total;
      assert(Math.abs(more) < 4096 + 256 * matrices, `${held} bytes, planned ${plan.total}`);
    }
    const { hiddenSize: C, intermediateSize: F, numHiddenLayers } = SMALL, KV = C / 2;
    const layers = optimizer ? numHiddenLayers : 1;
    // n1, q, o, n2; k, v; gate, up, h. A policy needs room for the gradient of up in addition.
    const less = 2 * layers * (4 * C + 2 * KV + 3 * F) - (optimizer ? 4 * F : 0);
    assertEquals(f32.plan.activations - f16.plan.activations, room.tokens * less);
    const copied = parameterList(SMALL).filter(({ name, shape }) =>
      shape.length === 2 && !name.startsWith("model.embed_tokens")
    ).reduce((sum, { shape: [rows, columns] }) => sum + 2 * rows * columns, 0);
    // Between matrices there are gaps.
    const more = f16.plan.weights - f32.plan.weights;
    assert(more >= copied && more < copied + 128 * matrices, `${more}, not ${copied}`);
    assertEquals(f16.plan.gradients, f32.plan.gradients);
    assertEquals(f16.plan.moments, f32.plan.moments);
  });
}

Deno.test("weights and moments put into another engine go on with the same bytes", () =>
  withEngine(half, async (engine) => {
    await step(engine, 1);
    await step(engine, 2);
    await withEngine(half, async (other) => {
      await other.restore(engine.weights());
      const { logps } = await engine.score(pairs);
      assertSameBits((await other.score(pairs)).logps, logps, "after the weights");
      await other.restore(engine.moments());
      assertSameTensors((await step(other, 3)).values, (await step(engine, 3)).values, "step 3");
    });
  }));

Deno.test("a reference moved to the policy's weights scores as the policy does", () =>
  withEngine(half, async (policy) => {
    await step(policy);
    await withEngine({ ...half, optimizer: undefined }, async (reference) => {
      reference.blend(policy, 1);
      const { logps } = await policy.score(pairs);
      assertSameBits((await reference.score(pairs)).logps, logps, "reference");
    });
  }));

Deno.test("weights that are copied in pieces are those that are copied at once", async () => {
  // A policy copies pieces of 2^21 values where kernels read textures, a frozen model never does.
  const config = {
    ...SMALL,
    vocabSize: 2 ** 16 + 300,
    numHiddenLayers: 1,
    tieWordEmbeddings: true,
  };
  const on = { model: randomModel(config, 60) }, rows = randomPairs(61, 2, config.vocabSize);
  const logps = (options: Partial<LlamaOptions>) =>
    withEngine(options, async (engine) => (await engine.score(rows)).logps, on);
  const frozen = await logps({ ...half, optimizer: undefined });
  assertSameBits(await logps(half), frozen, "logps");
});

Deno.test("steps far below the roundings of f16 add up in the master weights", () =>
  withEngine(half, async (engine) => {
    const before = (await engine.score(pairs)).logps;
    const learningRate = 2e-6;
    for (let number = 1; number <= 8; number++) {
      const scores = await engine.score(pairs);
      await engine.learn(pairs, scores.logps.map(() => -1));
      await engine.update(adamw(number, { learningRate })).status();
    }
    // Equal gradients move a weight by the learning rate in every step of Adam.
    const name = "model.layers.0.mlp.down_proj.weight", start = model.weights.get(name)!;
    const after = (await collect(engine.weights())).get(name)!;
    const moved = Array.from(after, (x, i) => Math.abs(x - start[i])).sort((a, b) => a - b);
    const median = moved[moved.length >> 1] / learningRate;
    assert(median > 7 && median < 9, `${median} learning rates in 8 steps`);
    const { logps } = await engine.score(pairs);
    assert(logps.some((x, i) => x !== before[i]), "the copies stay behind");
  }));

/** The small model with values of one matrix changed. */
function changed(name: string, change: (value: number, index: number) => number): typeof model {
  const weights = new Map(model.weights);
  weights.set(name, model.weights.get(name)!.map(change));
  return { config: model.config, weights };
}

Deno.test("an activation beyond the range of f16 saturates, and the model goes on", async () => {
  const large = changed("model.layers.0.mlp.up_proj.weight", (x) => 6e4 * x);
  const { values } = await withEngine(half, step, { model: large });
  for (const [name, found] of values) {
    assert(found.every(Number.isFinite), `${name} has a value that is not finite`);
  }
});

for (const bad of [NaN, Infinity]) {
  Deno.test(`one ${bad} among the weights still reaches the log-probabilities`, async () => {
    const name = "model.layers.0.mlp.up_proj.weight";
    const broken = changed(name, (x, i) => i === 17 ? bad : x);
    const logps = await withEngine(half, async (engine) => (await engine.score(pairs)).logps, {
      model: broken,
    });
    assert(logps.every(Number.isNaN));
  });
}
