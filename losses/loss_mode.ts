/**
 * The contract between the trainer and a loss mode (a plug-in in `modes/`).
 *
 * A mode is pure arithmetic in float64 on the host: it sees summed log-probabilities of a decision
 * set, decides beta and weights (detached), and returns the loss with its derivatives (the seeds of
 * the backward pass). It never sees the GPU, tensors or files. Nothing here may be mutated by a mode;
 * the next state is returned.
 */

/** A value that survives `JSON.parse(JSON.stringify(value))` unchanged. */
export type Json = null | boolean | number | string | readonly Json[] | {
  readonly [key: string]: Json;
};

/** One option of a mode: feeds YAML validation, `--help` and the docs. */
export interface OptionSpec {
  readonly type: "number" | "integer" | "boolean" | "string";
  readonly default: number | boolean | string;
  /** Inclusive bounds of a number. */
  readonly min?: number;
  readonly max?: number;
  /** Exclusive bounds of a number. */
  readonly above?: number;
  readonly below?: number;
  /** Allowed values of a string. */
  readonly choices?: readonly string[];
  /**
   * Other places in the config where this option may be written, as dotted paths, e.g.
   * `"beta_update.gamma"`. Without it the option is `<mode>.<option>`; that spelling always works.
   */
  readonly from?: readonly string[];
  /** One line for `--help` and the docs. */
  readonly help: string;
}

export type Options = Readonly<Record<string, number | boolean | string>>;
export type OptionTable = Readonly<Record<string, OptionSpec>>;
export type Metrics = Readonly<Record<string, number>>;

/** What a run must provide for a mode. */
export interface Needs {
  /** `logps` may come from the cache; `live` needs the reference weights during training. */
  readonly reference: "none" | "logps" | "live";
  /** Smallest set of rows the decision is defined on; `pair` means that splitting changes nothing. */
  readonly scope: "pair" | "micro" | "step";
  readonly rows: "pairs" | "unpaired" | "single";
  readonly extra?: "mismatched" | "gold";
  readonly tokens?: readonly ("promptLogp" | "logSumP2" | "epsilonMix")[];
  /** Step of the mixture of logits; present when `tokens` has `epsilonMix`. */
  readonly epsilon?: number;
  readonly random?: boolean;
  /** True when `onOptimizerStep` may ask for the reference to be moved; `reference` is then `live`. */
  readonly referenceSync?: boolean;
}

/** Summed log-probabilities of one answer per row; all arrays have length B. */
export interface AnswerScores {
  readonly policy: Float64Array;
  /** Present unless `needs.reference` is `none`. */
  readonly reference?: Float64Array;
  /** Number of scored tokens, EOS included. */
  readonly length: Uint32Array;
  /**
   * The same sums under (1 + epsilon) policy - epsilon reference logits (`plus`) and under
   * (1 - epsilon) policy + epsilon reference logits (`minus`); present when `needs.tokens` has
   * `epsilonMix`.
   */
  readonly epsilonMix?: { readonly plus: Float64Array; readonly minus: Float64Array };
  /**
   * Sum over the scored tokens of log sum_v p_v^2 under the policy; present when `needs.tokens` has
   * `logSumP2`.
   */
  readonly logSumP2?: Float64Array;
}

/** Summed log-probabilities of the prompts, before the chosen answer; arrays of length B. */
export interface PromptScores {
  readonly policy: Float64Array;
  /** Prompt tokens that have a log-probability: all but the first. */
  readonly length: Uint32Array;
}

/** A decision set of B rows. */
export interface ScoreBatch {
  readonly size: number;
  /** Stable dataset row ids. */
  readonly rows: Uint32Array;
  /** The preferred answer, or the only one for `rows: "single" | "unpaired"`. */
  readonly chosen: AnswerScores;
  /** Present when `needs.rows` is `pairs`. */
  readonly rejected?: AnswerScores;
  /** 1 desirable, 0 undesirable; present when `needs.rows` is `unpaired`. */
  readonly label?: Uint8Array;
  /** Present when `needs.tokens` has `promptLogp`. */
  readonly prompt?: PromptScores;
  /** Each prompt with another row's answer; present when `needs.extra` is `mismatched`. */
  readonly mismatched?: AnswerScores;
  /**
   * Factors on the weights of the pair losses, constants for the derivative: present with
   * `use_weighting` (WPO).
   */
  readonly pairWeights?: Float64Array;
}

export interface StepContext {
  /** False in evaluation: the returned state is dropped, nothing may be sampled. */
  readonly training: boolean;
  /** Training calls (decision sets) finished before this one. */
  readonly microStep: number;
  /** Optimizer steps finished before this one. */
  readonly optimizerStep: number;
  readonly epoch: number;
  /** Gradient accumulation: decision sets an optimizer step. */
  readonly accumulation: number;
  /** Counter-based uniform number in (0, 1), the same for the same seed, mode, micro step and i. */
  uniform(i: number): number;
}

/** Everything detached: constants for the derivative. */
export interface Decision<S extends Json = Json> {
  /** One beta, or one for each row. */
  readonly beta?: number | Float64Array;
  /** Weight of each row in the loss, normally summing to 1; absent means 1/B each. */
  readonly weights?: Float64Array;
  /** Anything else `loss` needs. */
  readonly aux?: Json;
  readonly state: S;
  readonly metrics: Metrics;
}

/** Everything differentiated. */
export interface LossResult {
  readonly loss: number;
  /** Unweighted loss of each row, [B]. */
  readonly perPair: Float64Array;
  /**
   * d loss / d summed policy log-probability, weights included, 1/accumulation not. Absent: taken
   * numerically from `loss`. `prompt` where the loss has the prompt's log-probabilities in it.
   */
  readonly seeds?: Seeds;
}

/** d loss / d summed policy log-probability of each row, [B]. */
export interface Seeds {
  readonly chosen: Float64Array;
  readonly rejected?: Float64Array;
  readonly prompt?: Float64Array;
}

/** A plug-in of `modes/`; its default export. */
export interface LossMode<S extends Json = Json> {
  /** Equals the file's name without `.ts`. */
  readonly name: string;
  /** One line: what it does; the paper. */
  readonly help: string;
  /** Version of the state in checkpoints. */
  readonly version: number;
  readonly options: OptionTable;
  needs(options: Options): Needs;
  init(options: Options): S;
  /** The configured base beta: `eval_loss_beta0` and comparable curves. Absent: the mode has none. */
  baseBeta?(options: Options): number;
  decide(batch: ScoreBatch, state: S, options: Options, context: StepContext): Decision<S>;
  /** Absent: the pair losses of `loss_type` at the decision's beta and weights. */
  loss?(batch: ScoreBatch, decision: Decision<S>, options: Options): LossResult;
  /** After an optimizer step in training. */
  onOptimizerStep?(state: S, options: Options, context: StepContext): {
    readonly state: S;
    readonly metrics?: Metrics;
    /** Moves the reference: (1 - alpha) reference + alpha policy, 0 < alpha <= 1; 1 copies. */
    readonly reference?: { readonly alpha: number };
  };
  /** Remarks for the plan printed before training, e.g. a decision set too small for the statistics. */
  remarks?(
    options: Options,
    run: { readonly decisionSize: number; readonly decisions: number },
  ): readonly string[];
}
