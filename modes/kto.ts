/**
 * KTO: single answers with a label, against a baseline of how far the policy has moved from the
 * reference on answers to other prompts (arXiv 2402.01306).
 */
import { bounded } from "../losses/bounded.ts";
import { sigmoid } from "../losses/log_sigmoid.ts";
import type { LossMode, ScoreBatch } from "../losses/loss_mode.ts";
import { mean } from "../losses/running_stats.ts";

const options = {
  beta: {
    type: "number",
    default: 0.1,
    above: 0,
    from: ["beta_update.beta_0"],
    help: "Strength of the pull towards the reference",
  },
  desirable_weight: {
    type: "number",
    default: 1,
    min: 0,
    help:
      "Weight of good answers; times their number it should match the bad ones within 1:1 to 4:3",
  },
  undesirable_weight: {
    type: "number",
    default: 1,
    min: 0,
    help: "Weight of bad answers",
  },
  variant: {
    type: "string",
    default: "kto",
    choices: ["kto", "apo_zero_unpaired"],
    help: "With the baseline, or without one (APO-zero on single answers, arXiv 2408.06266)",
  },
} as const satisfies LossMode["options"];

/** max(0, mean log-ratio of the mismatched answers), in nats; 0 where one is no number. */
function baseline({ mismatched }: ScoreBatch): number {
  if (!mismatched) return 0;
  const center = mean(mismatched.policy.map((p, i) => p - mismatched.reference![i]));
  return Number.isFinite(center) ? Math.max(0, center) : 0;
}

const kto: LossMode<null> = {
  name: "kto",
  help: "KTO: single answers with a label against a KL baseline (arXiv 2402.01306)",
  version: 1,
  options,
  needs: ({ variant }) => ({
    reference: "logps",
    scope: "micro",
    rows: "unpaired",
    ...variant === "kto" && { extra: "mismatched" },
  }),
  init: () => null,
  baseBeta: (values) => values.beta as number,

  decide(batch, _state, values) {
    const beta = values.beta as number;
    const kl = values.variant === "kto" ? baseline(batch) : 0;
    const weight = (label: number) =>
      (label === 1 ? values.desirable_weight : values.undesirable_weight) as number;
    return {
      beta,
      // Divided by the rows, not by the sum of weights, as in TRL.
      weights: Float64Array.from(batch.label!, (label) => weight(label) / batch.size),
      aux: kl,
      state: null,
      metrics: { "dpo/beta": beta, "kto/kl": kl },
    };
  },

  /** 1 - s(beta (c - KL)) of good answers, 1 - s(beta (KL - c)) of bad ones. */
  loss(batch, decision, values) {
    const beta = values.beta as number;
    const kl = decision.aux as number;
    const weights = decision.weights!;
    const { policy, reference } = batch.chosen;
    const signs = Array.from(batch.label!, (label) => label === 1 ? 1 : -1);
    const logits = policy.map((p, i) => signs[i] * bounded(beta * (p - reference![i] - kl)));
    const perPair = logits.map((x) => sigmoid(-x));
    return {
      loss: perPair.reduce((sum, loss, i) => weights[i] === 0 ? sum : sum + weights[i] * loss, 0),
      perPair,
      seeds: {
        chosen: logits.map((x, i) =>
          weights[i] === 0 ? 0 : -weights[i] * signs[i] * beta * sigmoid(x) * sigmoid(-x)
        ),
      },
    };
  },

  remarks: ({ variant }, { decisionSize: n }) =>
    variant === "kto" && n < 2
      ? ["kto decides on 1 row: its baseline needs answers to other prompts; raise batch_size"]
      : [],
};

export default kto;
