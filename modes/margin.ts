/** DPO at a fixed beta that reports the spread of the margins (dynamic-dpo-v3 and v4). */
import type { LossMode } from "../losses/loss_mode.ts";
import { batchMargins, finiteIndices } from "../losses/margin.ts";
import { deviation, mean } from "../losses/running_stats.ts";

const margin: LossMode<null> = {
  name: "margin",
  help: "DPO at a fixed beta with mean and deviation of the margins (dynamic-dpo-v4)",
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
    const margins = batchMargins(batch);
    const center = mean(margins);
    // Margins that are no numbers are reported with their row when the loss is taken.
    const known = finiteIndices(margins).length === batch.size && Number.isFinite(center)
      ? {
        "dpo/margin_mean": center,
        "margin_dpo/margin_mean": center,
        "margin_dpo/margin_std": deviation(margins, center),
      }
      : undefined;
    return { beta, state: null, metrics: { "dpo/beta": beta, ...known } };
  },
};

export default margin;
