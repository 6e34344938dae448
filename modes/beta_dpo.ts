/** beta-DPO: beta from the mean gap of each batch, unusual pairs filtered out (arXiv 2407.08639). */
import {
  betaDpoBetaUpdate,
  betaDpoDataFilter,
  type BetaDpoThreshold,
  type BetaDpoVariant,
  computeBetaDpoThreshold,
  initialBetaDpoThreshold,
} from "../losses/beta_dpo.ts";
import type { Decision, LossMode, Options, ScoreBatch, StepContext } from "../losses/loss_mode.ts";
import { batchMargins, finiteIndices, meanWeights } from "../losses/margin.ts";
import { ModeError } from "../losses/mode_error.ts";
import { mean } from "../losses/running_stats.ts";

type BetaDpoState = { readonly threshold: BetaDpoThreshold | null };

const options = {
  beta_0: {
    type: "number",
    default: 0.1,
    above: 0,
    from: ["beta_update.beta_0"],
    help: "Beta of a batch whose mean gap is the running mean",
  },
  m: {
    type: "number",
    default: 0.9,
    min: 0,
    max: 1,
    from: ["beta_dpo.bdpo_m"],
    help: "Momentum of the running mean and deviation of the gaps",
  },
  rho: {
    type: "number",
    default: 0.8,
    above: 0,
    max: 1,
    help: "Share of pairs kept",
  },
  alpha: {
    type: "number",
    default: 0.5,
    min: 0,
    help: "Change of beta, in units of beta_0, for each nat of gap above the running mean",
  },
  min_beta: { type: "number", default: 1e-3, above: 0, help: "Floor of beta" },
  max_beta: { type: "number", default: 0, min: 0, help: "Ceiling of beta; 0 means none" },
  eps: {
    type: "number",
    default: 1e-6,
    above: 0,
    help: "Floor of the running deviation, and added to it as a divisor",
  },
  scope: {
    type: "string",
    default: "micro",
    choices: ["micro", "step"],
    help: "Decide on each micro-batch, or once on all pairs of an optimizer step",
  },
  variant: {
    type: "string",
    default: "seed",
    choices: ["seed", "official", "v4_main", "v4_behavior_fix"],
    help: "Start, deviation and filter as in one of the published codes; seed is recommended",
  },
} as const satisfies LossMode["options"];

/** The part of a training decision that looks at the pairs with a finite gap. */
function decideOnGaps(
  batch: ScoreBatch,
  state: BetaDpoState,
  values: Options,
  context: StepContext,
  margins: Float64Array,
  finite: readonly number[],
): Decision<BetaDpoState> {
  const settings = {
    beta_0: values.beta_0 as number,
    m: values.m as number,
    rho: values.rho as number,
    alpha: values.alpha as number,
    min_beta: values.min_beta as number,
    max_beta: values.max_beta as number,
    eps: values.eps as number,
    variant: values.variant as BetaDpoVariant,
  };
  const gaps = finite.map((i) => margins[i]);
  const threshold = computeBetaDpoThreshold(gaps, state.threshold, settings);
  // Draws belong to rows, so that a pair without a gap does not shift those of its neighbours.
  const uniform = (i: number) => context.uniform(finite[i]);
  const { selected } = betaDpoDataFilter(gaps, threshold, settings, uniform);
  const update = betaDpoBetaUpdate(gaps, selected, threshold.M0, settings);
  const gapMean = mean(gaps);
  return {
    beta: update.beta,
    weights: meanWeights(batch.size, selected.map((i) => finite[i])),
    state: { threshold },
    metrics: {
      "dpo/beta": settings.beta_0,
      "dpo/margin_mean": gapMean,
      "beta_dpo/beta_used": update.beta,
      "beta_dpo/beta_used_raw": update.raw,
      "beta_dpo/M0": threshold.M0,
      "beta_dpo/sigma": threshold.sigma,
      "beta_dpo/keep_ratio": selected.length / batch.size,
      "beta_dpo/gap_mean": gapMean,
      "beta_dpo/gap_selected_mean": update.gapSelectedMean,
      "beta_dpo/n_clamped": update.beta === update.raw ? 0 : 1,
      "beta_dpo/skipped_nonfinite": batch.size - finite.length,
    },
  };
}

const betaDpo: LossMode<BetaDpoState> = {
  name: "beta_dpo",
  help: "beta-DPO: beta from each batch's mean gap, unusual pairs filtered (arXiv 2407.08639)",
  version: 1,
  options,
  needs: (values) => ({
    reference: "logps",
    scope: values.scope as "micro" | "step",
    rows: "pairs",
    random: true,
  }),
  baseBeta: (values) => values.beta_0 as number,

  init(values) {
    const [floor, ceiling] = [values.min_beta as number, values.max_beta as number];
    if (ceiling > 0 && ceiling < floor) {
      throw new ModeError(
        `Option "beta_dpo.max_beta" is "${ceiling}" but "beta_dpo.min_beta" is "${floor}": the ceiling must not be below the floor`,
        { path: "beta_dpo.max_beta" },
      );
    }
    return { threshold: initialBetaDpoThreshold(values.variant as BetaDpoVariant) };
  },

  decide(batch, state, values, context) {
    const margins = batchMargins(batch);
    const finite = finiteIndices(margins);
    const beta = values.beta_0 as number;
    if (!context.training) {
      // All pairs at beta_0: comparable over time, and nothing sampled.
      const margin = mean(margins);
      const known = Number.isFinite(margin) ? { "dpo/margin_mean": margin } : undefined;
      return { beta, state, metrics: { "dpo/beta": beta, ...known } };
    }
    if (finite.length > 0) {
      return decideOnGaps(batch, state, values, context, margins, finite);
    }
    return {
      beta,
      weights: new Float64Array(batch.size),
      state,
      metrics: { "dpo/beta": beta, "beta_dpo/skipped_nonfinite": batch.size },
    };
  },

  remarks(values, { decisionSize: n }) {
    const kept = Math.max(1, Math.floor(n * (values.rho as number)));
    const advice = 'a larger batch_size or "beta_dpo.scope: step" helps';
    if (kept >= n) return [`beta_dpo decides on ${n} pairs and keeps all of them: ${advice}`];
    if (n >= 16) return [];
    return [
      `beta_dpo decides on ${n} pairs and keeps ${kept}: beta follows the noise of so small a batch; ${advice}`,
    ];
  },
};

export default betaDpo;
