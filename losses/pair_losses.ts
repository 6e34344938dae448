/**
 * Pair losses by TRL's names. A mode decides beta and weights; the pair loss says what is done with
 * them, so that any mode takes any of these. Most look at one pair at a time; some sort or average
 * the whole decision set, and one keeps a state.
 */
import { aotLoss, aotUnpairedLoss, decideBcoShift, tokenMeanLoss } from "./batch_losses.ts";
import { divergenceOptions, divergenceScore } from "./f_divergence.ts";
import type { Json, LossResult, Options, OptionTable, ScoreBatch } from "./loss_mode.ts";
import {
  apoDownLoss,
  apoZeroLoss,
  bcoPairLoss,
  discopopLoss,
  EXO_SMOOTHING,
  exoPairLoss,
  hingeLoss,
  ipoLoss,
  ncaPairLoss,
  type PairScores,
  type PairValue,
  robustLoss,
  sigmoidLoss,
  sigmoidNormLoss,
  sppoHardLoss,
} from "./pair_formulas.ts";
import { noRewards } from "./reward_shift.ts";

/** What a pair loss is applied with. */
export interface BetaAndWeights {
  /** One beta, or one for each pair. */
  readonly beta?: number | Float64Array;
  /** Weight of each pair, [B]; absent means 1/B each. */
  readonly weights?: Float64Array;
}

interface PairLossFacts {
  /** TRL's name. */
  readonly name: string;
  /** One line: the formula and the paper. */
  readonly help: string;
  readonly reference: "none" | "logps";
  /** False for a loss without beta in it. */
  readonly needsBeta?: boolean;
  readonly options: OptionTable;
  /** The state a run starts with; absent, or null from it, means that the loss keeps none. */
  init?(options: Options): Json;
  /**
   * Everything detached, as a mode's `decide`: the next state, and what the loss goes on with. Only
   * asked where there is a state; in evaluation the state must come back as it was.
   */
  decide?(
    batch: ScoreBatch,
    decided: BetaAndWeights,
    state: Json,
    options: Options,
    training: boolean,
  ): { readonly state: Json; readonly aux: Json };
}

/** A loss of one pair at a time. */
export interface EachPairLoss extends PairLossFacts {
  /** @param aux from `decide`; null without one */
  evaluate(pair: PairScores, beta: number, options: Options, aux: Json): PairValue;
}

/** A loss of the decision set as a whole; rows of weight 0 are as if they were not in it. */
export interface BatchLoss extends PairLossFacts {
  evaluateBatch(batch: ScoreBatch, decided: BetaAndWeights, options: Options): LossResult;
}

export type PairLoss = EachPairLoss | BatchLoss;

/** Label smoothing of one loss; TRL writes it beside `loss_type`. */
function labelSmoothing(
  spec: { default: number; below: number },
  help = "Assumed share of flipped preference labels",
): OptionTable {
  return {
    label_smoothing: { type: "number", min: 0, ...spec, from: ["label_smoothing"], help },
  };
}

/** The loss on f(c) and f(r) instead of c and r, f being the divergence its options choose. */
function withDivergence(loss: EachPairLoss): EachPairLoss {
  return {
    ...loss,
    options: { ...loss.options, ...divergenceOptions },
    evaluate(pair, beta, options, aux) {
      if (options.f_divergence_type === "reverse_kl") {
        return loss.evaluate(pair, beta, options, aux);
      }
      const better = divergenceScore(pair.chosenPolicy - pair.chosenReference, options);
      const worse = divergenceScore(pair.rejectedPolicy - pair.rejectedReference, options);
      const scores = {
        ...pair,
        chosenPolicy: better.value,
        chosenReference: 0,
        rejectedPolicy: worse.value,
        rejectedReference: 0,
      };
      const value = loss.evaluate(scores, beta, options, aux);
      return {
        loss: value.loss,
        chosen: value.chosen * better.slope,
        rejected: value.rejected * worse.slope,
      };
    },
  };
}

/** All pair losses; a new one is a function of `pair_formulas.ts` and an entry here. */
export const pairLosses: readonly PairLoss[] = [
  withDivergence({
    name: "sigmoid",
    help: "-log s(beta h): DPO, arXiv 2305.18290; with label_smoothing conservative DPO",
    reference: "logps",
    options: labelSmoothing({ default: 0, below: 1 }),
    evaluate: sigmoidLoss,
  }),
  withDivergence({
    name: "hinge",
    help: "max(0, 1 - beta h): SLiC's hinge on the margin, arXiv 2305.10425",
    reference: "logps",
    options: {},
    evaluate: hingeLoss,
  }),
  withDivergence({
    name: "ipo",
    help: "(c/L - r/L - 1/(2 beta))^2: IPO with token averages, arXiv 2310.12036",
    reference: "logps",
    options: {
      reduction: {
        type: "string",
        default: "mean",
        choices: ["mean", "sum"],
        from: ["ipo_reduction"],
        help: "Log-ratios averaged over the answer's tokens as in TRL, or summed as in the paper",
      },
    },
    evaluate: ipoLoss,
  }),
  withDivergence({
    name: "robust",
    help: "Unbiased under flipped labels, arXiv 2403.00409",
    reference: "logps",
    options: labelSmoothing({ default: 0, below: 0.5 }),
    evaluate: robustLoss,
  }),
  withDivergence({
    name: "exo_pair",
    help: "Reverse KL to the smoothed preference, arXiv 2402.00856",
    reference: "logps",
    options: labelSmoothing(
      { default: EXO_SMOOTHING, below: 0.5 },
      `Assumed share of flipped preference labels; 0 means ${EXO_SMOOTHING}`,
    ),
    evaluate: exoPairLoss,
  }),
  withDivergence({
    name: "nca_pair",
    help: "-log s(beta c) - 1/2 log s(-beta c) - 1/2 log s(-beta r): NCA, arXiv 2402.05369",
    reference: "logps",
    options: {},
    evaluate: ncaPairLoss,
  }),
  withDivergence({
    name: "bco_pair",
    help: "-log s(beta c - shift) - log s(shift - beta r): BCO on pairs, arXiv 2404.04656",
    reference: "logps",
    options: {
      running_mean: {
        type: "boolean",
        default: false,
        from: ["bco_running_mean"],
        help: "Shift by the running mean of the batches' rewards, as TRL did up to 0.28; else by 0",
      },
    },
    init: (options) => options.running_mean ? noRewards : null,
    decide: decideBcoShift,
    evaluate: (pair, beta, _options, shift) => bcoPairLoss(pair, beta, (shift ?? 0) as number),
  }),
  withDivergence({
    name: "sppo_hard",
    help: "(c - 1/(2 beta))^2 + (r + 1/(2 beta))^2: SPPO with hard labels, arXiv 2405.00675",
    reference: "logps",
    options: {},
    evaluate: sppoHardLoss,
  }),
  {
    name: "aot",
    help: "-log s(beta d), d the sorted policy gaps minus the sorted reference gaps: AOT on " +
      "pairs, arXiv 2406.05882",
    reference: "logps",
    options: labelSmoothing({ default: 0, below: 1 }),
    evaluateBatch: aotLoss,
  },
  {
    name: "aot_unpaired",
    help: "-log s(beta d), d the sorted c minus the sorted r: AOT without pairing (aot_pair in " +
      "TRL up to 0.28), arXiv 2406.05882",
    reference: "logps",
    options: labelSmoothing({ default: 0, below: 1 }),
    evaluateBatch: aotUnpairedLoss,
  },
  {
    name: "apo_zero",
    help: "1 - s(beta c) + s(beta r): raises chosen, lowers rejected, arXiv 2408.06266",
    reference: "logps",
    options: {},
    evaluate: apoZeroLoss,
  },
  {
    name: "apo_down",
    help: "s(beta c) + 1 - s(beta h): lowers both, rejected more, arXiv 2408.06266",
    reference: "logps",
    options: {},
    evaluate: apoDownLoss,
  },
  withDivergence({
    name: "discopop",
    help: "Log-ratio modulated mix of logistic and exponential loss, arXiv 2406.08414",
    reference: "logps",
    options: {
      temperature: {
        type: "number",
        default: 0.05,
        above: 0,
        from: ["discopop_tau"],
        help: "Temperature of the mix (TRL's discopop_tau)",
      },
    },
    evaluate: discopopLoss,
  }),
  {
    name: "sft",
    help: "-sum P / sum L of the chosen answers, every token counting the same: the third part " +
      "of MPO, arXiv 2411.10442",
    reference: "none",
    needsBeta: false,
    options: {},
    evaluateBatch: tokenMeanLoss,
  },
  withDivergence({
    name: "sigmoid_norm",
    help: "-log s(beta (c/L - r/L)): DPO on token averages",
    reference: "logps",
    options: {},
    evaluate: sigmoidNormLoss,
  }),
];
