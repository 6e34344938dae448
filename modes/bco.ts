/**
 * BCO: a classifier of good and bad answers whose threshold is the running mean of all rewards (arXiv
 * 2404.04656). Each row is one answer with a label; a pair counts as two rows.
 */
import type { AnswerScores, Decision, LossMode, ScoreBatch } from "../losses/loss_mode.ts";
import { finiteIndices } from "../losses/margin.ts";
import { logistic } from "../losses/margin_losses.ts";
import { bounded } from "../losses/bounded.ts";
import { addRewards, noRewards, type RunningMean } from "../losses/reward_shift.ts";

const options = {
  beta: {
    type: "number",
    default: 0.1,
    above: 0,
    from: ["beta_update.beta_0"],
    help: "Strength of the pull towards the reference",
  },
  rows: {
    type: "string",
    default: "pairs",
    choices: ["pairs", "unpaired"],
    help: "Both answers of each pair, or single answers with a label",
  },
  desirable_weight: {
    type: "number",
    default: 1,
    above: 0,
    help: "Weight of good answers in the loss",
  },
  undesirable_weight: {
    type: "number",
    default: 1,
    above: 0,
    help: "Weight of bad answers in the loss",
  },
} as const satisfies LossMode["options"];

function rewardsOf({ policy, reference }: AnswerScores, beta: number): Float64Array {
  return policy.map((p, i) => bounded(beta * (p - reference![i])));
}

/** Loss of one answer and its derivative in the reward. */
function answerLoss(reward: number, shift: number, good: boolean) {
  const { loss, slope } = logistic(good ? reward - shift : shift - reward);
  return { loss, slope: good ? slope : -slope };
}

/** Rewards of every answer that has one. */
function finiteRewards(batch: ScoreBatch, beta: number): number[] {
  const sides = [batch.chosen, ...batch.rejected ? [batch.rejected] : []];
  return sides.flatMap((scores) => {
    const raw = scores.policy.map((p, i) => p - scores.reference![i]);
    const rewards = rewardsOf(scores, beta);
    return finiteIndices(raw).map((i) => rewards[i]);
  });
}

function shiftOf({ aux }: Decision<RunningMean>): number {
  return aux as number;
}

const bco: LossMode<RunningMean> = {
  name: "bco",
  help: "BCO: good and bad answers against the running mean reward (arXiv 2404.04656)",
  version: 1,
  options,
  needs: (values) => ({
    reference: "logps",
    scope: "micro",
    rows: values.rows as "pairs" | "unpaired",
  }),
  init: () => noRewards,
  baseBeta: (values) => values.beta as number,

  decide(batch, state, values, { training }) {
    const beta = values.beta as number;
    const rewards = training ? finiteRewards(batch, beta) : [];
    const next = rewards.length > 0 ? addRewards(state, rewards, rewards.length) : state;
    return {
      beta,
      aux: next.mean,
      state: next,
      metrics: { "dpo/beta": beta, "bco/shift": next.mean },
    };
  },

  /** Mean over the answers; each answer of a pair counts one half. */
  loss(batch, decision, values) {
    const beta = values.beta as number;
    const shift = shiftOf(decision);
    const weightOf = (good: boolean) =>
      (good ? values.desirable_weight : values.undesirable_weight) as number;
    const side = (scores: AnswerScores, good: (i: number) => boolean, share: number) => {
      const answers = Array.from(
        rewardsOf(scores, beta),
        (reward, i) => ({
          ...answerLoss(reward, shift, good(i)),
          weight: share * weightOf(good(i)),
        }),
      );
      return {
        losses: Float64Array.from(answers, ({ loss, weight }) => weight * loss),
        seeds: Float64Array.from(
          answers,
          ({ slope, weight }) => beta * weight * slope / batch.size,
        ),
      };
    };
    const paired = batch.rejected !== undefined;
    const chosen = side(batch.chosen, (i) => paired || batch.label![i] === 1, paired ? 0.5 : 1);
    const rejected = paired ? side(batch.rejected!, () => false, 0.5) : undefined;
    const perPair = chosen.losses.map((loss, i) => loss + (rejected ? rejected.losses[i] : 0));
    return {
      loss: perPair.reduce((sum, loss) => sum + loss / batch.size, 0),
      perPair,
      seeds: { chosen: chosen.seeds, ...rejected && { rejected: rejected.seeds } },
    };
  },
};

export default bco;
