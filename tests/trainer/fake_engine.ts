/**
 * A bigram softmax model on the host that implements TrainingEngine: logp(token | previous token) of
 * a [V, V] table, exact gradients in float64, weights and moments kept in float32 so that a
 * checkpoint holds them exactly.
 */
import type {
  EngineCounters,
  NamedTensor,
  OptimizerSettings,
  QueuedUpdate,
  StepStatus,
  TokenizedExample,
  TokenLogps,
} from "../../model/engine.ts";
import type { RunEngine } from "../../trainer/run.ts";

interface Term {
  readonly previous: number;
  readonly token: number;
}

export class FakeEngine implements RunEngine {
  readonly fingerprint = "fake 1";
  readonly maxSequenceLength = 64;
  readonly counters: EngineCounters = { gpuBytes: 0, dispatches: 0, readbacks: 0, submits: 0 };
  readonly gradient: Float64Array;
  /** Called with the logps before they are returned: tests poison them here. */
  onScore?: (logps: Float32Array) => void;
  /** Called with the gradient before clipping. */
  onGradient?: (gradient: Float64Array) => void;
  parameterShapes?: ReadonlyMap<string, readonly number[]>;
  chunkPlan?: { readonly tokens: number; readonly scored: number };
  scoreCalls = 0;
  learnCalls = 0;
  destroyed = false;
  #weights: Float32Array<ArrayBuffer>;
  #mean: Float32Array<ArrayBuffer>;
  #square: Float32Array<ArrayBuffer>;
  #stepped = false;
  #scored: readonly TokenizedExample[] | undefined;

  constructor(readonly vocabulary: number, weight: (index: number) => number = () => 0) {
    const size = vocabulary * vocabulary;
    this.#weights = Float32Array.from({ length: size }, (_, index) => weight(index));
    this.#mean = new Float32Array(size);
    this.#square = new Float32Array(size);
    this.gradient = new Float64Array(size);
  }

  get table(): Float32Array {
    return this.#weights;
  }

  score(examples: readonly TokenizedExample[]): Promise<TokenLogps> {
    this.scoreCalls++;
    this.#scored = examples;
    const terms = termsOf(examples);
    const offsets = new Uint32Array(terms.length + 1);
    terms.forEach((answer, a) => offsets[a + 1] = offsets[a] + answer.length);
    const logps = new Float32Array(offsets[terms.length]);
    terms.flat().forEach(({ previous, token }, t) => {
      logps[t] = Math.log(this.#probabilities(previous)[token]);
    });
    this.onScore?.(logps);
    return Promise.resolve({ logps, offsets });
  }

  learn(examples: readonly TokenizedExample[], seeds: Float32Array): Promise<void> {
    if (examples !== this.#scored) throw new Error("learn wants the examples of the last score");
    this.learnCalls++;
    termsOf(examples).flat().forEach(({ previous, token }, t) => {
      const probabilities = this.#probabilities(previous);
      for (let v = 0; v < this.vocabulary; v++) {
        const local = (v === token ? 1 : 0) - probabilities[v];
        this.gradient[previous * this.vocabulary + v] += seeds[t] * local;
      }
    });
    return Promise.resolve();
  }

  update(settings: OptimizerSettings): QueuedUpdate {
    const status = this.#step(settings);
    return { status: () => Promise.resolve(status) };
  }

  #step(settings: OptimizerSettings): StepStatus {
    this.onGradient?.(this.gradient);
    const gradNorm = Math.sqrt(this.gradient.reduce((sum, g) => sum + g * g, 0));
    if (!Number.isFinite(gradNorm)) {
      return { gradNorm, finite: false, culprit: "bigram.weight" };
    }
    const { learningRate, beta1, beta2, eps, weightDecay, maxGradNorm, step } = settings;
    const clip = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (gradNorm + 1e-6)) : 1;
    for (let i = 0; i < this.gradient.length; i++) {
      const g = this.gradient[i] * clip;
      this.#mean[i] = beta1 * this.#mean[i] + (1 - beta1) * g;
      this.#square[i] = beta2 * this.#square[i] + (1 - beta2) * g * g;
      const mean = this.#mean[i] / (1 - beta1 ** step);
      const square = this.#square[i] / (1 - beta2 ** step);
      this.#weights[i] = this.#weights[i] * (1 - learningRate * weightDecay) -
        learningRate * mean / (Math.sqrt(square) + eps);
    }
    this.gradient.fill(0);
    this.#stepped = true;
    return { gradNorm, finite: true };
  }

  async *weights(): AsyncIterable<NamedTensor> {
    yield this.#tensor("bigram.weight", this.#weights);
  }

  async *moments(): AsyncIterable<NamedTensor> {
    if (!this.#stepped) return;
    yield this.#tensor("exp_avg.bigram.weight", this.#mean);
    yield this.#tensor("exp_avg_sq.bigram.weight", this.#square);
  }

  async restore(tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>): Promise<void> {
    for await (const { name, data } of tensors) {
      if (data.length !== this.#weights.length) throw new Error(`Shape of "${name}" is unknown`);
      if (name === "bigram.weight") this.#weights.set(data);
      else if (name === "exp_avg.bigram.weight") this.#mean.set(data);
      else if (name === "exp_avg_sq.bigram.weight") this.#square.set(data);
      else throw new Error(`Tensor "${name}" is unknown`);
      this.#stepped ||= name.startsWith("exp_avg");
    }
  }

  generate(prompts: readonly Uint32Array[]): Promise<Uint32Array[]> {
    return Promise.resolve(prompts.map(() => new Uint32Array()));
  }

  destroy(): void {
    this.destroyed = true;
  }

  #tensor(name: string, data: Float32Array): NamedTensor {
    return { name, shape: [this.vocabulary, this.vocabulary], data };
  }

  /** softmax of the row of `previous`. */
  #probabilities(previous: number): Float64Array {
    const row = this.#weights.subarray(
      previous * this.vocabulary,
      (previous + 1) * this.vocabulary,
    );
    const top = row.reduce((max, value) => Math.max(max, value), -Infinity);
    const terms = Float64Array.from(row, (value) => Math.exp(value - top));
    const sum = terms.reduce((total, value) => total + value, 0);
    return terms.map((value) => value / sum);
  }
}

/** The scored bigrams of each answer, answers in the order of examples. */
function termsOf(examples: readonly TokenizedExample[]): Term[][] {
  return examples.flatMap((example) =>
    example.answers.map((answer) => {
      const whole = [...example.prompt, ...answer.ids];
      const first = example.prompt.length + answer.scoredFrom;
      return whole.slice(first).map((token, t) => ({
        previous: first + t > 0 ? whole[first + t - 1] : 0,
        token,
      }));
    })
  );
}
