/** Engines over small models with seeded weights: they need a GPU, but no file. */
import { assertEquals } from "@std/assert";
import { type Gpu, type GpuOptions, openGpu } from "../../gpu/device.ts";
import type { OptimizerSettings, TokenizedExample, TokenLogps } from "../../model/engine.ts";
import { LlamaEngine, type LlamaOptions } from "../../model/llama.ts";
import type { Architecture } from "../../model/architecture.ts";
import { parameterList } from "../../model/param_table.ts";
import { LLAMA_NAMES } from "../../model/parameter_names.ts";
import { assertSameBits, printMargins } from "../assert_close.ts";
import { Random } from "../reference/random.ts";

/** Opens the adapter for a test file; it is closed after its last test. */
export async function openForTests(options: GpuOptions = {}): Promise<Gpu> {
  const gpu = await openGpu(options);
  Deno.test.afterAll(() => gpu.destroy());
  return gpu;
}

/** Prints the margins of the file's comparisons after its last test. */
export function printMarginsAtEnd(): void {
  Deno.test.afterAll(printMargins);
}

/** Two layers, grouped heads, untied: about 9,000 parameters. */
export const SMALL: Architecture = {
  modelType: "llama",
  names: LLAMA_NAMES,
  hiddenSize: 32,
  intermediateSize: 44,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 8,
  vocabSize: 61,
  maxPositionEmbeddings: 256,
  norm: "rms",
  normEps: 1e-5,
  qkNorm: "none",
  parallel: false,
  activation: "silu",
  layerKinds: [{ slidingWindow: null, rotary: { theta: 10000, width: 8, scaling: null } }],
  embeddingScale: 1,
  attentionScale: 1 / Math.sqrt(8),
  attentionSoftcap: null,
  logitSoftcap: null,
  tieWordEmbeddings: false,
  attentionBias: false,
  outputBias: false,
  mlpBias: false,
  bosTokenId: 1,
  eosTokenIds: [2],
};

/** A description with another head size: what follows from it is changed too. */
export function withHeadDim(config: Architecture, headDim: number): Architecture {
  const layerKinds = config.layerKinds.map(({ slidingWindow, rotary }) => (
    { slidingWindow, rotary: rotary && { ...rotary, width: headDim } }
  ));
  return { ...config, headDim, layerKinds, attentionScale: 1 / Math.sqrt(headDim) };
}

export interface Model {
  readonly config: Architecture;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** Weights whose logits spread over several units; no norm is 1 and no bias 0. */
export function randomModel(config: Architecture, seed: number): Model {
  const random = new Random(seed);
  const weights = parameterList(config).map(({ name, shape, start }) => {
    const values = random.normals(shape.reduce((a, b) => a * b, 1));
    const scale = shape.length > 1 ? 1 / Math.sqrt(shape[1]) : 0.2;
    return [name, values.map((x) => x * scale + (start === "ones" ? 1 : 0))] as const;
  });
  return { config, weights: new Map(weights) };
}

/** Room for 600 tokens; everything can be overridden. */
export function engineOf(
  gpu: Gpu,
  { config, weights }: Model,
  options: Partial<LlamaOptions> = {},
): Promise<LlamaEngine> {
  const all: LlamaOptions = {
    budget: 1e9,
    tokens: 600,
    scored: 400,
    leastTokens: 1,
    leastScored: 1,
    optimizer: "adamw",
    sharePrompt: true,
    ...options,
  };
  return LlamaEngine.create(gpu, config, all, (name) => weights.get(name)!);
}

/** A pair, or a row with any number of answers; `scoredFrom` belongs to all of them. */
export function row(
  row: number,
  prompt: ArrayLike<number>,
  answers: readonly ArrayLike<number>[],
  scoredFrom = 0,
): TokenizedExample {
  return {
    row,
    prompt: Uint32Array.from(prompt),
    answers: answers.map((ids) => ({ ids: Uint32Array.from(ids), scoredFrom })),
  };
}

/** Pairs of seeded ids with prompts of 1 to 23 tokens and answers of 1 to 17. */
export function randomPairs(seed: number, count: number, vocabulary: number): TokenizedExample[] {
  const random = new Random(seed);
  const ids = (most: number) => random.integers(1 + random.integer(most), vocabulary);
  return Array.from({ length: count }, (_, i) => row(i, ids(23), [ids(17), ids(17)]));
}

/** Seeds of N(0, 1), one for each scored token. */
export function randomSeeds(seed: number, scores: TokenLogps): Float32Array {
  return new Random(seed).normals(scores.logps.length);
}

/** Log-probabilities of answer `index` of a score. */
export function answer({ logps, offsets }: TokenLogps, index: number): Float32Array {
  return logps.subarray(offsets[index], offsets[index + 1]);
}

/** Gradients of all parameters since the last optimizer step. */
export async function gradientsOf(engine: LlamaEngine): Promise<Map<string, Float32Array>> {
  const gradients = new Map<string, Float32Array>();
  for (const name of engine.parameterShapes.keys()) {
    gradients.set(name, await engine.gradient(name));
  }
  return gradients;
}

/** All values of a stream of tensors, by name. */
export async function collect(
  tensors: ReturnType<LlamaEngine["weights"]>,
): Promise<Map<string, Float32Array>> {
  const all = new Map<string, Float32Array>();
  for await (const { name, data } of tensors) all.set(name, data);
  return all;
}

/** Asserts that two models, gradients or moments have the same bits, in the same tensors. */
export function assertSameTensors(
  found: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
  what: string,
): void {
  assertEquals([...found.keys()].sort(), [...expected.keys()].sort(), what);
  for (const [name, values] of expected) {
    assertSameBits(found.get(name)!, values, `${what}, ${name}`);
  }
}

/** AdamW as in the configs, without weight decay. */
export function adamw(step: number, changes: Partial<OptimizerSettings> = {}): OptimizerSettings {
  return {
    kind: "adamw",
    learningRate: 1e-2,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: 0,
    alpha: 0.99,
    maxGradNorm: 1,
    step,
    ...changes,
  };
}
