/**
 * alpha-DPO: SimPO with a target margin for each pair, from how far its gap against the reference lies
 * from the running mean (arXiv 2410.10148). Gaps are P+ - P- minus R+ - R-, of token averages unless
 * `ln` is off. The target is a constant for the derivative.
 */
import { bounded } from "../losses/bounded.ts";
import type { Json, LossMode, Options, ScoreBatch } from "../losses/loss_mode.ts";
import { finiteIndices, meanWeights } from "../losses/margin.ts";
import { logistic } from "../losses/margin_losses.ts";
import { sumOverPairs, tokenAverages } from "../losses/own_loss.ts";
import { deviation, mean, movingAverage } from "../losses/running_stats.ts";

/** Running mean and deviation of the gaps; null before the first decision. */
type AlphaDpoState = { readonly gaps: { readonly mean: number; readonly std: number } | null };

/** A deviation below this is none: all gaps are then at the mean. */
const SMALLEST_STD = 1e-8;

const options = {
  beta: { type: "number", default: 2.5, above: 0, help: "Factor of the gap beyond its target" },
  alpha: {
    type: "number",
    default: 0.2,
    min: 0,
    help: "Change of the target for each deviation of the gap from the running mean",
  },
  gamma_beta_ratio: {
    type: "number",
    default: 0.6,
    min: 0,
    help: "Target of a pair whose gap is the running mean",
  },
  momentum: {
    type: "number",
    default: 0.9,
    min: 0,
    max: 1,
    help: "Momentum of the running mean and deviation of the gaps",
  },
  ln: {
    type: "boolean",
    default: true,
    help: "Log-probabilities averaged over tokens as in the official configs; else summed",
  },
  start: {
    type: "string",
    default: "first_batch",
    choices: ["first_batch", "zero"],
    help: "Running mean and deviation start at the first batch, or at 0 as in the official code",
  },
  label_smoothing: {
    type: "number",
    default: 0,
    min: 0,
    below: 0.5,
    from: ["label_smoothing"],
    help: "Assumed share of flipped preference labels",
  },
} as const satisfies LossMode["options"];

/** What the mode calls a log-probability: the sum or the mean of an answer's tokens. */
function scoresOf(batch: ScoreBatch, { ln }: Options) {
  const { chosen, rejected } = batch;
  const score = (values: Float64Array, side: typeof chosen) =>
    ln ? tokenAverages(values, side) : values;
  return {
    chosen: score(chosen.policy, chosen),
    rejected: score(rejected!.policy, rejected!),
    chosenReference: score(chosen.reference!, chosen),
    rejectedReference: score(rejected!.reference!, rejected!),
  };
}

function gapsOf(batch: ScoreBatch, values: Options): Float64Array {
  const scores = scoresOf(batch, values);
  return scores.chosen.map((p, i) =>
    (p - scores.rejected[i]) - (scores.chosenReference[i] - scores.rejectedReference[i])
  );
}

/** The running statistics with these gaps in them; one gap alone says nothing of their deviation. */
function nextState(state: AlphaDpoState, gaps: readonly number[], values: Options): AlphaDpoState {
  if (gaps.length === 0) return state;
  const center = mean(gaps);
  const spread = deviation(gaps, center, 1);
  if (!state.gaps) return { gaps: { mean: center, std: spread } };
  const momentum = values.momentum as number;
  return {
    gaps: {
      mean: movingAverage(state.gaps.mean, center, momentum),
      std: gaps.length === 1 ? state.gaps.std : movingAverage(state.gaps.std, spread, momentum),
    },
  };
}

/** Target of each pair; `gamma_beta_ratio` where there is no deviation yet, or no gap. */
function targets(gaps: Float64Array, { gaps: known }: AlphaDpoState, values: Options) {
  const ratio = values.gamma_beta_ratio as number;
  const alpha = values.alpha as number;
  if (!known || known.std < SMALLEST_STD) return gaps.map(() => ratio);
  return gaps.map((gap) =>
    Number.isFinite(gap) ? bounded(alpha * ((gap - known.mean) / known.std) + ratio) : ratio
  );
}

const alphaDpo: LossMode<AlphaDpoState> = {
  name: "alpha_dpo",
  help: "alpha-DPO: SimPO with a target margin adapted to each pair's gap (arXiv 2410.10148)",
  version: 1,
  options,
  needs: () => ({ reference: "logps", scope: "micro", rows: "pairs" }),
  init: ({ start }) => ({ gaps: start === "zero" ? { mean: 0, std: 0 } : null }),

  decide(batch, state, values, { training }) {
    const beta = values.beta as number;
    const gaps = gapsOf(batch, values);
    const finite = finiteIndices(gaps);
    const next = training ? nextState(state, finite.map((i) => gaps[i]), values) : state;
    const aux = targets(gaps, next, values);
    const whole = finite.length === batch.size;
    return {
      beta,
      // In evaluation every pair counts: one without a gap ends it with its row.
      weights: training && !whole ? meanWeights(batch.size, finite) : undefined,
      aux: Array.from(aux) as Json,
      state: next,
      metrics: {
        "dpo/beta": beta,
        "alpha_dpo/target_mean": mean(aux),
        ...next.gaps &&
          { "alpha_dpo/gap_mean": next.gaps.mean, "alpha_dpo/gap_std": next.gaps.std },
        ...training && { "alpha_dpo/skipped_nonfinite": batch.size - finite.length },
      },
    };
  },

  loss(batch, decision, values) {
    const beta = values.beta as number;
    const target = decision.aux as readonly number[];
    const { chosen, rejected } = scoresOf(batch, values);
    const divisor = (length: number) => values.ln ? Math.max(1, length) : 1;
    return sumOverPairs(batch, decision, (i) => {
      const { loss, slope } = logistic(
        beta * (bounded(chosen[i] - rejected[i]) - target[i]),
        values.label_smoothing as number,
      );
      return {
        loss,
        chosen: beta * slope / divisor(batch.chosen.length[i]),
        rejected: -beta * slope / divisor(batch.rejected!.length[i]),
      };
    });
  },

  remarks: (_values, { decisionSize: n }) =>
    n > 1 ? [] : [
      "alpha_dpo decides on 1 pair, which has no deviation: every target stays at gamma_beta_ratio; a larger batch_size helps",
    ],
};

export default alphaDpo;
