/**
 * TR-DPO: DPO whose reference follows the policy, a little every step or wholly now and then (arXiv
 * 2404.09656). `sync_ref_model` gives the same to any other mode.
 */
import type { LossMode } from "../losses/loss_mode.ts";
import { batchMargins } from "../losses/margin.ts";
import { mean } from "../losses/running_stats.ts";

const trDpo: LossMode<null> = {
  name: "tr_dpo",
  help: "TR-DPO: DPO with a reference that follows the policy (arXiv 2404.09656)",
  version: 1,
  options: {
    beta: {
      type: "number",
      default: 0.1,
      above: 0,
      from: ["beta_update.beta_0"],
      help: "Strength of the pull towards the reference",
    },
    update: {
      type: "string",
      default: "soft",
      choices: ["soft", "hard"],
      help: "Move the reference a share of the way (EMA), or copy the policy",
    },
    alpha: {
      type: "number",
      default: 0.6,
      above: 0,
      max: 1,
      help: "Share of the way in a soft update",
    },
    sync_steps: {
      type: "integer",
      default: 512,
      min: 1,
      help: "Optimizer steps between two updates",
    },
  },
  needs: () => ({ reference: "live", scope: "pair", rows: "pairs", referenceSync: true }),
  init: () => null,
  baseBeta: (options) => options.beta as number,

  decide(batch, _state, options) {
    const beta = options.beta as number;
    const margin = mean(batchMargins(batch));
    const margins = Number.isFinite(margin) ? { "dpo/margin_mean": margin } : undefined;
    return { beta, state: null, metrics: { "dpo/beta": beta, ...margins } };
  },

  onOptimizerStep(_state, { update, alpha, sync_steps: every }, { optimizerStep }) {
    if (optimizerStep % (every as number) !== 0) return { state: null };
    return { state: null, reference: { alpha: update === "hard" ? 1 : alpha as number } };
  },
};

export default trDpo;
