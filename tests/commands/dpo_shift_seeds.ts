/** DPO-Shift (arXiv 2502.07599): the rejected answer's log-ratio counts less, by a factor f. */
import { logSigmoid, sigmoid } from "../../losses/log_sigmoid.ts";
import type { LossMode } from "../../losses/loss_mode.ts";
import { batchMargins } from "../../losses/margin.ts";
import { mean } from "../../losses/running_stats.ts";

const dpoShift: LossMode<null> = {
  name: "dpo_shift",
  help: "DPO-Shift: -log s(beta c - f beta r), f below 1 (arXiv 2502.07599)",
  version: 1,
  options: {
    beta: { type: "number", default: 0.1, above: 0, help: "Strength of the pull to the reference" },
    f: { type: "number", default: 0.9, above: 0, max: 1, help: "Factor of the rejected answer" },
  },
  needs: () => ({ reference: "logps", scope: "pair", rows: "pairs" }),
  init: () => null,
  baseBeta: (options) => options.beta as number,

  decide(batch, state, options) {
    const beta = options.beta as number;
    const margin = mean(batchMargins(batch));
    return { beta, state, metrics: { "dpo/beta": beta, "dpo/margin_mean": margin } };
  },

  loss(batch, decision, options) {
    const { chosen, rejected } = batch;
    const beta = decision.beta as number;
    const f = options.f as number;
    // The log-ratios c and r of policy and reference, one for each pair.
    const c = chosen.policy.map((p, i) => p - chosen.reference![i]);
    const r = rejected!.policy.map((p, i) => p - rejected!.reference![i]);
    const x = c.map((_, i) => beta * c[i] - f * beta * r[i]);
    const perPair = x.map((x) => -logSigmoid(x));
    const loss = mean(perPair);
    const seeds = {
      chosen: x.map((x) => -beta * sigmoid(-x) / batch.size),
      rejected: x.map((x) => f * beta * sigmoid(-x) / batch.size),
    };
    return { loss, perPair, seeds };
  },
};

export default dpoShift;
