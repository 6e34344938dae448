/** Supervised fine-tuning: negative log-likelihood of the chosen, or the only, answer. */
import type { LossMode } from "../losses/loss_mode.ts";

const sft: LossMode<null> = {
  name: "sft",
  help: "Negative log-likelihood of the chosen or only answer, averaged over tokens",
  version: 1,
  options: {},
  needs: () => ({ reference: "none", scope: "micro", rows: "single" }),
  init: () => null,

  decide: () => ({ state: null, metrics: {} }),

  /** -sum P / sum L: every token of the batch counts the same, as in TRL. */
  loss(batch) {
    const { policy, length } = batch.chosen;
    const tokens = Math.max(1, length.reduce((sum, n) => sum + n, 0));
    return {
      loss: policy.reduce((sum, p) => sum - p / tokens, 0),
      perPair: policy.map((p, i) => -p / Math.max(1, length[i])),
      seeds: { chosen: new Float64Array(batch.size).fill(-1 / tokens) },
    };
  },
};

export default sft;
