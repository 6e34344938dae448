/** Supervised fine-tuning: negative log-likelihood of the chosen, or the only, answer. */
import { tokenMeanLoss } from "../losses/batch_losses.ts";
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
  loss: (batch) => tokenMeanLoss(batch),
};

export default sft;
