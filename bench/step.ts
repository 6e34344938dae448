/** Whole training steps of models with random weights: score, decide, learn, update. */
import type { Gpu } from "../gpu/device.ts";
import type {
  OptimizerSettings,
  QueuedUpdate,
  TokenizedExample,
  TokenLogps,
} from "../model/engine.ts";
import { LlamaEngine } from "../model/llama.ts";
import { parseArchitecture } from "../model/parse_architecture.ts";
import { packedLength, scoredLength } from "../model/pack.ts";
import { randomExamples, randomWeights, type StepCase } from "./cases.ts";
import { between, measureCeiling } from "./ceiling.ts";
import { hostSeconds, HostTime } from "./host_time.ts";
import { cpuSeconds, peakBytes, waitSeconds } from "./timing.ts";
import { sizesOf, stepOperations } from "./work.ts";

export interface StepResult {
  readonly model: string;
  readonly kind: string;
  readonly note: string;
  readonly seconds: number;
  /** Processor seconds of a step. */
  readonly cpu_seconds: number;
  /** Tokens of the sequences trained on: the prompt counts with each of its answers. */
  readonly tokens_per_s: number;
  /** 0 where there are no pairs. */
  readonly pairs_per_s: number;
  /** Of the multiply-add ceiling, counting what `stepOperations` counts. */
  readonly share: number;
  /** The same by processor time. */
  readonly cpu_share: number;
  /** Of the step's seconds: see `HostTime`. */
  readonly host_share: number;
  readonly gpu_bytes: number;
  readonly dispatches: number;
  readonly submits: number;
  readonly readbacks: number;
  /** The most memory the process has held so far. */
  readonly peak_bytes: number;
}

/** Bytes everything may take, if nothing else is said. */
export const BUDGET = 16 * 2 ** 30;
const BETA = 0.1;

export const UPDATE: OptimizerSettings = {
  kind: "adamw",
  learningRate: 1e-6,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0,
  alpha: 0,
  maxGradNorm: 1,
  step: 1,
};

/** A model and the rows it is trained on; the reference's log-probabilities are its own first ones. */
export class BenchRun {
  #reference: Float64Array | undefined;
  #steps = 0;
  #update: QueuedUpdate | undefined;

  constructor(readonly engine: LlamaEngine, readonly examples: readonly TokenizedExample[]) {}

  static async create(gpu: Gpu, test: StepCase, budget = BUDGET): Promise<BenchRun> {
    const config = parseArchitecture(JSON.stringify(test.config), test.model);
    const examples = randomExamples(test.rows, config.vocabSize);
    const lengths = examples.map((row) => packedLength(row, true));
    const scored = examples.map(scoredLength);
    const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
    const engine = await LlamaEngine.create(
      gpu,
      config,
      {
        budget,
        tokens: sum(lengths),
        scored: sum(scored),
        leastTokens: Math.max(...lengths),
        leastScored: Math.max(...scored),
        optimizer: "adamw",
        sharePrompt: true,
      },
      randomWeights,
    );
    return new BenchRun(engine, examples);
  }

  /** One step as the trainer makes it, its update queued and not waited for; the loss before it. */
  async step(): Promise<number> {
    const scores = await this.engine.score(this.examples);
    const { loss, seeds } = this.#decide(scores);
    await this.engine.learn(this.examples, seeds);
    this.#update = this.engine.update({ ...UPDATE, step: ++this.#steps });
    return loss;
  }

  /** Waits until the last step is done. */
  async finish(): Promise<void> {
    await this.#update?.status();
  }

  /** DPO's sigmoid loss for pairs, else the mean of the negative log-probabilities. */
  #decide({ logps, offsets }: TokenLogps): { loss: number; seeds: Float32Array } {
    const pairs = this.examples.length;
    if (this.examples[0].answers.length === 1) {
      const loss = -logps.reduce((sum, logp) => sum + logp, 0) / logps.length;
      return { loss, seeds: new Float32Array(logps.length).fill(-1 / logps.length) };
    }
    const sums = Float64Array.from(
      { length: 2 * pairs },
      (_, a) => logps.subarray(offsets[a], offsets[a + 1]).reduce((sum, logp) => sum + logp, 0),
    );
    const reference = this.#reference ??= sums;
    const seeds = new Float32Array(logps.length);
    let loss = 0;
    for (let i = 0; i < pairs; i++) {
      const [chosen, rejected] = [2 * i, 2 * i + 1];
      const margin = sums[chosen] - reference[chosen] - (sums[rejected] - reference[rejected]);
      loss += Math.log1p(Math.exp(-BETA * margin)) / pairs;
      const seed = -BETA / (1 + Math.exp(BETA * margin)) / pairs;
      seeds.fill(seed, offsets[chosen], offsets[chosen + 1]);
      seeds.fill(-seed, offsets[rejected], offsets[rejected + 1]);
    }
    return { loss, seeds };
  }
}

export async function benchStep(gpu: Gpu, test: StepCase, budget?: number): Promise<StepResult> {
  const run = await BenchRun.create(gpu, test, budget);
  const { engine, examples } = run;
  // The first step compiles, and makes what later ones use again.
  await run.step();
  await run.finish();
  const host = new HostTime(await waitSeconds(gpu));
  const before = await measureCeiling(gpu), counted = engine.counters;
  const cpu = cpuSeconds(), start = performance.now();
  let counters = counted;
  const hostTime = await hostSeconds(host, async () => {
    for (let i = 0; i < test.rounds; i++) await run.step();
    counters = engine.counters;
    await run.finish();
  });
  const seconds = (performance.now() - start) / 1000 / test.rounds;
  const cpuStep = (cpuSeconds() - cpu) / test.rounds;
  const ceiling = between(before, await measureCeiling(gpu));
  engine.destroy();
  const sizes = sizesOf(examples, true);
  const config = parseArchitecture(JSON.stringify(test.config), test.model);
  const giga = stepOperations(config, sizes) / 1e9;
  const each = (name: "dispatches" | "submits" | "readbacks") =>
    (counters[name] - counted[name]) / test.rounds;
  return {
    model: test.model,
    kind: test.kind,
    note: test.note,
    seconds,
    cpu_seconds: cpuStep,
    tokens_per_s: sizes.tokens / seconds,
    pairs_per_s: test.kind === "dpo" ? examples.length / seconds : 0,
    share: giga / seconds / ceiling.gflops,
    cpu_share: giga / cpuStep * navigator.hardwareConcurrency / ceiling.cpuGflops,
    host_share: hostTime / test.rounds / seconds,
    gpu_bytes: counters.gpuBytes,
    dispatches: each("dispatches"),
    submits: each("submits"),
    readbacks: each("readbacks"),
    peak_bytes: peakBytes(),
  };
}
