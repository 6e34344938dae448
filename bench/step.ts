/** Whole training steps of models with random weights: score, learn, update. */
import type { Gpu } from "../gpu/device.ts";
import type { OptimizerSettings, TokenizedExample } from "../model/engine.ts";
import { LlamaEngine } from "../model/llama.ts";
import { type LlamaConfig, parseLlamaConfig } from "../model/llama_config.ts";
import { packedLength, scoredLength } from "../model/pack.ts";
import { initParameter } from "../model/param_table.ts";

export interface StepCase {
  readonly model: string;
  readonly kind: "dpo" | "sft";
  readonly config: Record<string, unknown>;
  /** Examples, and tokens of prompt and of each answer. */
  readonly rows: number;
  readonly prompt: number;
  readonly answer: number;
}

export interface StepResult {
  readonly model: string;
  readonly kind: string;
  readonly seconds: number;
  readonly tokens_per_s: number;
  readonly pairs_per_s: number;
  /** Of the multiply-add ceiling, counting the products of the layers and the head. */
  readonly share: number;
  readonly gpu_bytes: number;
  readonly dispatches: number;
  readonly readbacks: number;
}

const UPDATE: OptimizerSettings = {
  kind: "adamw",
  learningRate: 1e-5,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0,
  alpha: 0,
  maxGradNorm: 1,
  step: 1,
};

/** Examples of random ids, the same in every run. */
function examples({ rows, prompt, answer, kind }: StepCase, vocab: number): TokenizedExample[] {
  let state = 1;
  const ids = (count: number) =>
    Uint32Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state % vocab;
    });
  return Array.from({ length: rows }, (_, row) => ({
    row,
    prompt: ids(prompt),
    answers: Array.from({ length: kind === "dpo" ? 2 : 1 }, () => ({
      ids: ids(answer),
      scoredFrom: 0,
    })),
  }));
}

/** Multiply-adds of a step, forward and backward, two operations each; attention left out. */
function operations(c: LlamaConfig, tokens: number, scored: number): number {
  const width = c.headDim * (c.numAttentionHeads + c.numKeyValueHeads);
  const layer = 2 * c.hiddenSize * width + 3 * c.hiddenSize * c.intermediateSize;
  return 6 * (tokens * layer * c.numHiddenLayers + scored * c.hiddenSize * c.vocabSize);
}

export async function benchStep(gpu: Gpu, ceiling: number, test: StepCase): Promise<StepResult> {
  const config = parseLlamaConfig(JSON.stringify(test.config), test.model);
  const rows = examples(test, config.vocabSize);
  const lengths = rows.map((row) => packedLength(row, true)), scored = rows.map(scoredLength);
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  const engine = await LlamaEngine.create(
    gpu,
    config,
    {
      budget: 16 * 2 ** 30,
      tokens: sum(lengths),
      scored: sum(scored),
      leastTokens: lengths[0],
      leastScored: scored[0],
      optimizer: "adamw",
      sharePrompt: true,
    },
    (name, shape) => initParameter(name, shape, { seed: 1 }),
  );
  const step = async () => {
    const { logps } = await engine.score(rows);
    await engine.learn(rows, logps.map(() => 1e-3));
    await engine.update(UPDATE).status();
  };
  await step();
  const before = engine.counters, times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    await step();
    times.push((performance.now() - start) / 1000);
  }
  const after = engine.counters, seconds = times.sort((a, b) => a - b)[1];
  engine.destroy();
  const tokens = sum(lengths);
  return {
    model: test.model,
    kind: test.kind,
    seconds,
    tokens_per_s: tokens / seconds,
    pairs_per_s: test.kind === "dpo" ? rows.length / seconds : 0,
    share: operations(config, tokens, sum(scored)) / seconds / 1e9 / ceiling,
    gpu_bytes: after.gpuBytes,
    dispatches: (after.dispatches - before.dispatches) / 3,
    readbacks: (after.readbacks - before.readbacks) / 3,
  };
}
