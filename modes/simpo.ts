/** SimPO: token averages of the policy alone, with a target margin (arXiv 2405.14734). */
import type { LossMode } from "../losses/loss_mode.ts";
import { logistic } from "../losses/margin_losses.ts";
import { addLikelihood, sumOverPairs, tokenAverages } from "../losses/own_loss.ts";

const simpo: LossMode<null> = {
  name: "simpo",
  help: "SimPO: -log s(beta (P/L - P/L - gamma_beta_ratio)), no reference (arXiv 2405.14734)",
  version: 1,
  options: {
    beta: { type: "number", default: 2, above: 0, help: "Factor of the token averages" },
    gamma_beta_ratio: {
      type: "number",
      default: 0.5,
      min: 0,
      help: "Target margin of the token averages (TRL's simpo_gamma is this times beta)",
    },
    sft_weight: {
      type: "number",
      default: 0,
      min: 0,
      help: "Factor of the chosen answers' negative log-likelihood a token, added to the loss",
    },
    label_smoothing: {
      type: "number",
      default: 0,
      min: 0,
      below: 0.5,
      from: ["label_smoothing"],
      help: "Assumed share of flipped preference labels",
    },
  },
  needs: () => ({ reference: "none", scope: "micro", rows: "pairs" }),
  init: () => null,

  decide: (_batch, _state, { beta }) => ({
    beta: beta as number,
    state: null,
    metrics: { "dpo/beta": beta as number },
  }),

  loss(batch, decision, options) {
    const { chosen, rejected } = batch;
    const [better, worse] = [
      tokenAverages(chosen.policy, chosen),
      tokenAverages(rejected!.policy, rejected!),
    ];
    const beta = options.beta as number;
    const result = sumOverPairs(batch, decision, (i) => {
      const gap = better[i] - worse[i] - (options.gamma_beta_ratio as number);
      const { loss, slope } = logistic(beta * gap, options.label_smoothing as number);
      return {
        loss,
        chosen: beta * slope / Math.max(1, chosen.length[i]),
        rejected: -beta * slope / Math.max(1, rejected!.length[i]),
      };
    });
    return addLikelihood(batch, result, options.sft_weight as number);
  },
};

export default simpo;
