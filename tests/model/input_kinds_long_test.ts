/**
 * A model gives the same bits whether its kernels read their inputs from buffers or from textures: scores,
 * mixtures with a reference, gradients, steps.
 */
import { assertEquals } from "@std/assert";
import type { Gpu, GpuOptions } from "../../gpu/device.ts";
import type { TokenizedExample } from "../../model/engine.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import { Random } from "../reference/random.ts";
import {
  adamw,
  assertSameTensors,
  collect,
  engineOf,
  gradientsOf,
  openForTests,
  randomModel,
  randomSeeds,
  row,
  SMALL,
} from "./small_engine.ts";

/** Every operation of a model, in one layer: biases, a tied head of two parts, grouped heads. */
const config = {
  ...SMALL,
  numHiddenLayers: 1,
  vocabSize: 300,
  tieWordEmbeddings: true,
  attentionBias: true,
  outputBias: true,
  mlpBias: true,
};
/** A binding that holds neither all embeddings nor the logits of a batch. */
const SMALL_BINDING = 256 * 32 * 4;
const [policyModel, referenceModel] = [randomModel(config, 1), randomModel(config, 2)];

interface Found {
  readonly values: ReadonlyMap<string, Float32Array>;
  /** Bytes that are held after all engines were freed, beyond those before. */
  readonly left: number;
}

/** Rows of ten scored tokens. */
function makeRows(seed: number): TokenizedExample[] {
  const random = new Random(seed),
    ids = (count: number) => random.integers(count, config.vocabSize);
  return [7, 1, 13, 2].map((prompt, i) => row(i, ids(prompt), [ids(7), ids(3)]));
}

/** Two steps with a reference beside; all numbers that leave the GPU. */
async function steps(policy: LlamaEngine): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  const keep = (name: string, tensors: ReadonlyMap<string, Float32Array>) => {
    for (const [tensor, data] of tensors) values.set(`${name}, ${tensor}`, data);
  };
  for (const step of [1, 2]) {
    const examples = makeRows(10 + step);
    const scores = await policy.score(examples, { epsilon: 0.1, logSumP2: true });
    values.set(`logps ${step}`, scores.logps);
    values.set(`log sum p^2 ${step}`, scores.logSumP2!);
    keep(`mix ${step}`, new Map(Object.entries(scores.mix!)));
    await policy.learn(examples, randomSeeds(step, scores));
    keep(`gradient ${step}`, await gradientsOf(policy));
    const { gradNorm } = await policy.update(adamw(step, { weightDecay: 0.1 })).status();
    values.set(`norm ${step}`, Float32Array.of(gradNorm));
  }
  keep("weights", await collect(policy.weights()));
  keep("moments", await collect(policy.moments()));
  const prompts = [Uint32Array.of(1, 2, 3), Uint32Array.of(4)];
  values.set("next logits", await policy.nextLogits(prompts));
  return values;
}

async function run(gpu: Gpu): Promise<Found> {
  const before = gpu.bytes;
  const policy = await engineOf(gpu, policyModel, { beside: config, tokens: 128, scored: 100 });
  const { tokens, scored } = policy.plan.capacity;
  const reference = await engineOf(gpu, referenceModel, { optimizer: undefined, tokens, scored });
  policy.attachReference(reference);
  const values = await steps(policy);
  policy.destroy();
  reference.destroy();
  return { values, left: gpu.bytes - before };
}

/** Opens a GPU whose kernels read where `textures` says. */
async function open(textures: boolean, options: GpuOptions): Promise<Gpu> {
  const gpu = await openForTests(options);
  gpu.tuning = { textures, tiles: {} };
  return gpu;
}

for (const bindingLimit of [undefined, SMALL_BINDING]) {
  const buffers = await open(false, { bindingLimit }),
    textures = await open(true, { bindingLimit });
  const ignore = !buffers.capabilities.storageTextures;
  const name = "a model has the same bits with inputs in buffers and in textures" +
    (bindingLimit ? ", in several parts and chunks" : "") +
    (ignore ? " (not readable here)" : "");
  Deno.test({
    name,
    ignore,
    async fn() {
      const [expected, found] = [await run(buffers), await run(textures)];
      assertSameTensors(found.values, expected.values, "textures against buffers");
      assertEquals(found.left <= expected.left, true, `${found.left} bytes are left`);
    },
  });
}
