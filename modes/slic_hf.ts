/** SLiC-HF: a hinge on the policy's own gap, and a pull up on the chosen answer (arXiv 2305.10425). */
import { bounded } from "../losses/bounded.ts";
import type { LossMode } from "../losses/loss_mode.ts";
import { sumOverPairs } from "../losses/own_loss.ts";

const slicHf: LossMode<null> = {
  name: "slic_hf",
  help: "SLiC-HF: max(0, margin - (P+ - P-)) - lambda P+, no reference (arXiv 2305.10425)",
  version: 1,
  options: {
    margin: {
      type: "number",
      default: 1,
      min: 0,
      help: "Gap of the summed log-probabilities, in nats, from which on a pair teaches nothing",
    },
    lambda: {
      type: "number",
      default: 1,
      min: 0,
      help: "Factor of the chosen answer's summed negative log-likelihood",
    },
  },
  needs: () => ({ reference: "none", scope: "pair", rows: "pairs" }),
  init: () => null,
  decide: () => ({ state: null, metrics: {} }),

  loss(batch, decision, options) {
    const [margin, lambda] = [options.margin as number, options.lambda as number];
    return sumOverPairs(batch, decision, (i) => {
      const better = batch.chosen.policy[i];
      const slack = margin - (better - batch.rejected!.policy[i]);
      const short = slack > 0 ? 1 : 0;
      return {
        loss: bounded(Math.max(0, slack) - lambda * better),
        chosen: -short - lambda,
        rejected: short,
      };
    });
  },

  remarks: ({ lambda }) =>
    (lambda as number) > 0
      ? []
      : ["slic_hf without lambda: nothing keeps the chosen answer's likelihood up"],
};

export default slicHf;
