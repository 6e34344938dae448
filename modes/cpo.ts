/**
 * CPO: the preference loss of the policy alone plus the likelihood of the chosen answers (arXiv
 * 2401.08417), with the variants of TRL's CPOTrainer and the reward shape of AlphaPO (arXiv
 * 2501.03884).
 */
import { bounded } from "../losses/bounded.ts";
import { cappedExp, type Score } from "../losses/f_divergence.ts";
import type { LossMode, Options } from "../losses/loss_mode.ts";
import { hinge, logistic, type MarginValue, square } from "../losses/margin_losses.ts";
import { addLikelihood, sumOverPairs } from "../losses/own_loss.ts";

const options = {
  beta: { type: "number", default: 0.1, above: 0, help: "Factor of the policy's gap" },
  variant: {
    type: "string",
    default: "sigmoid",
    choices: ["sigmoid", "hinge", "ipo", "simpo"],
    help: "Loss of the gap (loss_type of TRL's CPOTrainer); ipo and simpo take token averages",
  },
  cpo_alpha: {
    type: "number",
    default: 1,
    min: 0,
    help: "Factor of the chosen answers' negative log-likelihood a token",
  },
  simpo_gamma: {
    type: "number",
    default: 0.5,
    min: 0,
    help: "Target of beta times the gap in variant simpo",
  },
  alpha: {
    type: "number",
    default: 0,
    help: "AlphaPO: rewards (1 - p^-alpha) / alpha instead of log p; 0 is log p",
  },
  label_smoothing: {
    type: "number",
    default: 0,
    min: 0,
    below: 0.5,
    from: ["label_smoothing"],
    help: "Assumed share of flipped preference labels, in variants sigmoid and simpo",
  },
} as const satisfies LossMode["options"];

/** The reward of a log-probability, and its derivative. */
function reward(logp: number, alpha: number): Score {
  if (alpha === 0) return { value: logp, slope: 1 };
  const power = cappedExp(-alpha * logp);
  return { value: (1 - power) / alpha, slope: power };
}

/** Loss of the gap of rewards and its derivative in the gap. */
function gapLoss(gap: number, values: Options): MarginValue {
  const beta = values.beta as number;
  const smoothing = values.label_smoothing as number;
  if (values.variant === "ipo") return square(gap, 1 / (2 * beta));
  const target = values.variant === "simpo" ? values.simpo_gamma as number : 0;
  const { loss, slope } = values.variant === "hinge"
    ? hinge(beta * gap)
    : logistic(beta * gap - target, smoothing);
  return { loss, slope: beta * slope };
}

const cpo: LossMode<null> = {
  name: "cpo",
  help: "CPO: preference loss of the policy alone plus likelihood of chosen (arXiv 2401.08417)",
  version: 1,
  options,
  needs: () => ({ reference: "none", scope: "micro", rows: "pairs" }),
  init: () => null,

  decide: (_batch, _state, { beta }) => ({
    beta: beta as number,
    state: null,
    metrics: { "dpo/beta": beta as number },
  }),

  loss(batch, decision, values) {
    const { chosen, rejected } = batch;
    const averaged = values.variant === "ipo" || values.variant === "simpo";
    const alpha = values.alpha as number;
    const preference = sumOverPairs(batch, decision, (i) => {
      const [long, short] = averaged
        ? [Math.max(1, chosen.length[i]), Math.max(1, rejected!.length[i])]
        : [1, 1];
      const better = reward(chosen.policy[i] / long, alpha);
      const worse = reward(rejected!.policy[i] / short, alpha);
      const { loss, slope } = gapLoss(bounded(better.value - worse.value), values);
      return {
        loss,
        chosen: slope * better.slope / long,
        rejected: -slope * worse.slope / short,
      };
    });
    return addLikelihood(batch, preference, values.cpo_alpha as number);
  },

  remarks: ({ variant, alpha }) =>
    alpha !== 0 && variant !== "simpo" && variant !== "ipo"
      ? [
        "cpo.alpha works on the probability of whole answers, which is next to 0: AlphaPO is meant for cpo.variant simpo",
      ]
      : [],
};

export default cpo;
