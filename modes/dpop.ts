/** DPO-Positive: DPO that does not let the chosen answer become less likely (arXiv 2402.13228). */
import { bounded } from "../losses/bounded.ts";
import type { LossMode } from "../losses/loss_mode.ts";
import { batchMargins } from "../losses/margin.ts";
import { logistic } from "../losses/margin_losses.ts";
import { sumOverPairs } from "../losses/own_loss.ts";
import { mean } from "../losses/running_stats.ts";

const dpop: LossMode<null> = {
  name: "dpop",
  help: "DPO-Positive: DPO with a penalty where chosen gets less likely (arXiv 2402.13228)",
  version: 1,
  options: {
    beta: {
      type: "number",
      default: 0.1,
      above: 0,
      from: ["beta_update.beta_0"],
      help: "Strength of the pull towards the reference",
    },
    delta: {
      type: "number",
      default: 50,
      min: 0,
      help: "Factor of the nats that chosen has lost against the reference",
    },
    penalty: {
      type: "string",
      default: "outside",
      choices: ["outside", "inside"],
      help: "Added to the loss (mlx-lm-lora), or taken from the margin inside it (the paper)",
    },
  },
  needs: () => ({ reference: "logps", scope: "pair", rows: "pairs" }),
  init: () => null,
  baseBeta: (options) => options.beta as number,

  decide(batch, _state, options) {
    const beta = options.beta as number;
    const margin = mean(batchMargins(batch));
    const { policy, reference } = batch.chosen;
    const lost = policy.filter((p, i) => p < reference![i]).length / batch.size;
    const margins = Number.isFinite(margin) ? { "dpo/margin_mean": margin } : undefined;
    return { beta, state: null, metrics: { "dpo/beta": beta, "dpop/penalized": lost, ...margins } };
  },

  loss(batch, decision, options) {
    const [beta, delta] = [options.beta as number, options.delta as number];
    const margins = batchMargins(batch);
    const { policy, reference } = batch.chosen;
    return sumOverPairs(batch, decision, (i) => {
      const lost = Math.max(0, reference![i] - policy[i]);
      const slope = lost > 0 ? delta : 0;
      const penalty = bounded(delta * lost);
      if (options.penalty === "inside") {
        const value = logistic(beta * (bounded(margins[i]) - penalty));
        return {
          loss: value.loss,
          chosen: beta * value.slope * (1 + slope),
          rejected: -beta * value.slope,
        };
      }
      const value = logistic(beta * margins[i]);
      return {
        loss: bounded(value.loss + penalty),
        chosen: beta * value.slope - slope,
        rejected: -beta * value.slope,
      };
    });
  },
};

export default dpop;
