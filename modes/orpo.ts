/**
 * ORPO: likelihood of the chosen answers plus the log odds ratio of chosen and rejected, without a
 * reference (arXiv 2403.07691).
 */
import type { LossMode, LossResult, ScoreBatch } from "../losses/loss_mode.ts";
import { logistic } from "../losses/margin_losses.ts";
import { addLikelihood, sumOverPairs, tokenAverages } from "../losses/own_loss.ts";

/** Mean log-probabilities stop here: at 0 the odds p / (1 - p) would be infinite. */
const LARGEST_AVERAGE = -1e-8;

/** log(p / (1 - p)) of p = e^a, and its derivative 1 / (1 - p) in a. */
function logOdds(average: number): { readonly value: number; readonly slope: number } {
  const a = Math.min(average, LARGEST_AVERAGE);
  const rest = -Math.expm1(a);
  // Each form keeps its digits where the other loses them.
  const logRest = a > -Math.LN2 ? Math.log(rest) : Math.log1p(-Math.exp(a));
  return { value: a - logRest, slope: 1 / rest };
}

/** -(prompt + chosen log-probabilities) / their tokens, over the whole decision set, as in TRL. */
function addSequenceLikelihood(batch: ScoreBatch, result: LossResult): LossResult {
  const prompt = batch.prompt!;
  const { policy, length } = batch.chosen;
  const tokens = length.map((n, i) => n + prompt.length[i]);
  const share = 1 / Math.max(1, tokens.reduce((sum, n) => sum + n, 0));
  const sums = policy.map((p, i) => p + prompt.policy[i]);
  return {
    loss: sums.reduce((loss, p) => loss - p * share, result.loss),
    perPair: result.perPair.map((loss, i) => loss - sums[i] / Math.max(1, tokens[i])),
    seeds: {
      ...result.seeds,
      chosen: result.seeds!.chosen.map((seed) => seed - share),
      prompt: new Float64Array(batch.size).fill(-share),
    },
  };
}

const orpo: LossMode<null> = {
  name: "orpo",
  help: "ORPO: likelihood of chosen plus log odds ratio, no reference (arXiv 2403.07691)",
  version: 1,
  options: {
    beta: {
      type: "number",
      default: 0.1,
      min: 0,
      help: "Factor of the odds ratio loss (lambda in the paper)",
    },
    nll: {
      type: "string",
      default: "answer",
      choices: ["answer", "sequence"],
      help: "Likelihood of the chosen answer (the paper), or of prompt and answer (TRL)",
    },
  },
  needs: ({ nll }) => ({
    reference: "none",
    scope: "micro",
    rows: "pairs",
    ...nll === "sequence" && { tokens: ["promptLogp"] },
  }),
  init: () => null,

  decide: (_batch, _state, { beta }) => ({
    beta: beta as number,
    state: null,
    metrics: { "dpo/beta": beta as number },
  }),

  loss(batch, decision, options) {
    const beta = options.beta as number;
    const { chosen, rejected } = batch;
    const [high, low] = [
      tokenAverages(chosen.policy, chosen),
      tokenAverages(rejected!.policy, rejected!),
    ];
    const odds = sumOverPairs(batch, decision, (i) => {
      const [better, worse] = [logOdds(high[i]), logOdds(low[i])];
      const { loss, slope } = logistic(better.value - worse.value);
      return {
        loss: beta * loss,
        chosen: beta * slope * better.slope / Math.max(1, chosen.length[i]),
        rejected: -beta * slope * worse.slope / Math.max(1, rejected!.length[i]),
      };
    });
    return options.nll === "sequence"
      ? addSequenceLikelihood(batch, odds)
      : addLikelihood(batch, odds, 1);
  },
};

export default orpo;
