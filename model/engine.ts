/**
 * What the trainer asks of a model on the GPU. Token log-probabilities come out, seeds go in; logits
 * and gradients stay on the GPU.
 */
import type { GenerateOptions } from "./generate.ts";

/** One answer: `ids` follow the example's prompt; the first `scoredFrom` ids still belong to the prompt. */
export interface TokenizedAnswer {
  readonly ids: Uint32Array;
  readonly scoredFrom: number;
}

/**
 * A dataset row as token ids. Sequence a is `prompt` followed by `answers[a].ids`. `prompt` is the
 * part common to all answers (it may be empty); the scored tokens of answer a are
 * `answers[a].ids[scoredFrom..]`, EOS included.
 */
export interface TokenizedExample {
  readonly row: number;
  readonly prompt: Uint32Array;
  readonly answers: readonly TokenizedAnswer[];
  /** 1 desirable, 0 undesirable; rows of single answers with a label only. */
  readonly label?: 0 | 1;
}

/** What a score is asked for beside log-probabilities. */
export interface ScoreExtras {
  /** log sum_v p_v^2 at every scored token. */
  readonly logSumP2?: boolean;
  /**
   * Step of the mixtures with the logits of the reference that the engine was made beside: it is then
   * scored in the same pass.
   */
  readonly epsilon?: number;
}

/** Log-probabilities of the scored tokens, answers in the order of examples, then of their answers. */
export interface TokenLogps {
  /** [sum of scored tokens], float32 values from the GPU. */
  readonly logps: Float32Array;
  /** [answers + 1]: the tokens of answer a are `offsets[a] .. offsets[a + 1]`. */
  readonly offsets: Uint32Array;
  /** [sum of scored tokens]: log of the sum of squared probabilities, where it was asked for. */
  readonly logSumP2?: Float32Array;
  /** Where `epsilon` was given, [sum of scored tokens] each. */
  readonly mix?: {
    readonly reference: Float32Array;
    /** Under (1 + epsilon) policy - epsilon reference logits. */
    readonly plus: Float32Array;
    /** Under (1 - epsilon) policy + epsilon reference logits. */
    readonly minus: Float32Array;
  };
}

export interface OptimizerSettings {
  readonly kind: "adamw" | "rmsprop";
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** RMSprop's smoothing constant. */
  readonly alpha: number;
  /** Gradients are scaled down to this global norm; 0 switches clipping off. */
  readonly maxGradNorm: number;
  /** 1-based number of this optimizer step (bias correction). */
  readonly step: number;
}

/** What an optimizer step did. */
export interface StepStatus {
  /** Before clipping. */
  readonly gradNorm: number;
  readonly finite: boolean;
  /** Where `finite` is false: the first bad tensor. */
  readonly culprit?: string;
}

/** A step on its way. */
export interface QueuedUpdate {
  /** Waits for the GPU only if nothing has been read since: a score brings it along. */
  status(): Promise<StepStatus>;
}

/** Counters since the model was loaded. */
export interface EngineCounters {
  readonly gpuBytes: number;
  readonly dispatches: number;
  readonly readbacks: number;
  readonly submits: number;
}

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A model whose log-probabilities can be read. */
export interface ScoringEngine {
  /** Identifies adapter, engine version and kernel variants: part of the reference cache's key. */
  readonly fingerprint: string;
  readonly maxSequenceLength: number;
  readonly counters: EngineCounters;
  score(examples: readonly TokenizedExample[], extras?: ScoreExtras): Promise<TokenLogps>;
  /**
   * Continuations of `prompts`, without them; each ends before an id of `stop`. Greedy where no `pick` is
   * given.
   */
  generate(
    prompts: readonly Uint32Array[],
    options: GenerateOptions,
  ): Promise<Uint32Array[]>;
  destroy(): void;
}

/** A policy: a scoring engine that also learns. */
export interface TrainingEngine extends ScoringEngine {
  /**
   * Adds d loss / d weights to the gradients, for the examples of the last `score` call made with the
   * same `examples` array. `seeds` is d loss / d logp for each scored token, in the order of the
   * score's `logps`.
   */
  learn(examples: readonly TokenizedExample[], seeds: Float32Array): Promise<void>;
  /**
   * Clips, updates the weights and clears the gradients, before whatever is asked for next. On a
   * non-finite gradient norm the weights and moments stay as they are, and the status says so.
   */
  update(settings: OptimizerSettings): QueuedUpdate;
  /** Weights in the names and order of the model file, f32, one at a time (tied heads once). */
  weights(): AsyncIterable<NamedTensor>;
  /** Optimizer moments, `exp_avg.<name>` and `exp_avg_sq.<name>`; empty before the first step. */
  moments(): AsyncIterable<NamedTensor>;
  /** Puts weights or moments back; throws when a name or shape is unknown. */
  restore(tensors: AsyncIterable<NamedTensor> | Iterable<NamedTensor>): Promise<void>;
}
