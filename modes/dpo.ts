/** DPO at a fixed beta: the file to copy for a new mode. */
import type { LossMode } from "../losses/loss_mode.ts";
import { batchMargins } from "../losses/margin.ts";
import { mean } from "../losses/running_stats.ts";

const dpo: LossMode<null> = {
  name: "dpo",
  help: "Direct Preference Optimization at a fixed beta (arXiv 2305.18290)",
  version: 1,
  options: {
    beta: {
      type: "number",
      default: 0.1,
      above: 0,
      from: ["beta_update.beta_0"],
      help: "Strength of the pull towards the reference",
    },
  },
  needs: () => ({ reference: "logps", scope: "pair", rows: "pairs" }),
  init: () => null,
  baseBeta: (options) => options.beta as number,

  decide(batch, _state, options) {
    const beta = options.beta as number;
    const margin = mean(batchMargins(batch));
    // A margin that is no number is reported with its row when the loss is taken.
    const margins = Number.isFinite(margin) ? { "dpo/margin_mean": margin } : undefined;
    return { beta, state: null, metrics: { "dpo/beta": beta, ...margins } };
  },
};

export default dpo;
