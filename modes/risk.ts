/**
 * Risk-controlled beta (dynamic-dpo-v1): beta grows while more than a share delta of the margins
 * lies above a slowly moving threshold, and falls while fewer do. A decision uses the beta the one
 * before it left.
 */
import type { LossMode, Options, ScoreBatch } from "../losses/loss_mode.ts";
import { batchMargins, finiteIndices, meanWeights } from "../losses/margin.ts";
import { ModeError, ModeNumbersError } from "../losses/mode_error.ts";
import { initRisk, type RiskSettings, type RiskState, updateRisk } from "../losses/risk.ts";
import { mean } from "../losses/running_stats.ts";

const options = {
  delta: {
    type: "number",
    default: 0.1,
    above: 0,
    below: 1,
    from: ["risk_test.delta"],
    help: "Tolerated share of margins at or above the threshold tau",
  },
  lambda: {
    type: "number",
    default: 0.1,
    min: 0,
    max: 1,
    from: ["risk_test.lambda"],
    help: "Weight of the newest batch in tau",
  },
  beta_warmup: {
    type: "integer",
    default: 120,
    min: 0,
    from: ["risk_test.beta_warmup"],
    help: "Decisions that only collect margins for the first tau, at beta_0",
  },
  beta_0: {
    type: "number",
    default: 0.1,
    above: 0,
    from: ["beta_update.beta_0"],
    help: "Beta at the start",
  },
  gamma: {
    type: "number",
    default: 2,
    min: 0,
    from: ["beta_update.gamma"],
    help: "Steepness of the response to the excess, inside tanh",
  },
  alpha: {
    type: "number",
    default: 0.005,
    min: 0,
    from: ["beta_update.alpha"],
    help: "Largest change of log beta in one decision; 0 keeps beta fixed",
  },
  beta_min: {
    type: "number",
    default: 1e-3,
    min: 0,
    from: ["beta_update.beta_min"],
    help: "Floor of beta; at 0 the gradient can fade away unseen",
  },
  beta_max: {
    type: "number",
    default: 2,
    above: 0,
    from: ["beta_update.beta_max"],
    help: "Ceiling of beta",
  },
  scope: {
    type: "string",
    default: "micro",
    choices: ["micro", "step"],
    help: "Decide on each micro-batch, or once on all pairs of an optimizer step",
  },
  tau: {
    type: "string",
    default: "ema_quantile",
    choices: ["ema_quantile", "robbins_monro"],
    help: "How tau moves: average of batch quantiles, or unbiased stochastic approximation",
  },
  compat: {
    type: "string",
    default: "",
    choices: ["", "v1"],
    help: '"v1" repeats dynamic-dpo-v1 on edge cases: no warm-up leaves tau at 0 for ever',
  },
  max_skipped_nonfinite: {
    type: "integer",
    default: 10,
    min: 0,
    help: "Decisions with a margin that is no number before the run ends",
  },
} as const satisfies LossMode["options"];

function settingsOf(values: Options): RiskSettings {
  return {
    delta: values.delta as number,
    lambda: values.lambda as number,
    warmup: values.beta_warmup as number,
    gamma: values.gamma as number,
    alpha: values.alpha as number,
    betaMin: values.beta_min as number,
    betaMax: values.beta_max as number,
    rule: values.tau as RiskSettings["rule"],
    compatV1: values.compat === "v1",
  };
}

/** Counts a decision whose margins cannot be trusted; pairs without a margin get weight 0. */
function skip(batch: ScoreBatch, state: RiskState, finite: readonly number[], values: Options) {
  const skipped = state.skippedNonfinite + 1;
  if (skipped > (values.max_skipped_nonfinite as number)) {
    throw new ModeNumbersError(
      `${skipped} decisions had a margin that is not a finite number, more than "risk.max_skipped_nonfinite" allows: look at the rows, then try a lower learning rate`,
      { path: "risk.max_skipped_nonfinite" },
    );
  }
  return {
    beta: state.beta,
    weights: meanWeights(batch.size, finite),
    state: { ...state, skippedNonfinite: skipped },
    metrics: {
      "dpo/beta": state.beta,
      "risk/beta_used": state.beta,
      "risk/skipped_nonfinite": skipped,
    },
  };
}

const risk: LossMode<RiskState> = {
  name: "risk",
  help: "Beta moved by a risk test on the upper quantile of the margins (dynamic-dpo-v1)",
  version: 1,
  options,
  needs: (values) => ({
    reference: "logps",
    scope: values.scope as "micro" | "step",
    rows: "pairs",
  }),
  baseBeta: (values) => values.beta_0 as number,

  init(values) {
    if ((values.beta_min as number) > (values.beta_max as number)) {
      throw new ModeError(
        `Option "beta_min" is "${values.beta_min}" but "beta_max" is "${values.beta_max}": the floor must not be above the ceiling`,
        { path: "beta_update.beta_min" },
      );
    }
    return initRisk(values.beta_0 as number);
  },

  decide(batch, state, values, context) {
    const margins = batchMargins(batch);
    const finite = finiteIndices(margins);
    if (context.training && finite.length < batch.size) return skip(batch, state, finite, values);
    const { state: next, test } = context.training
      ? updateRisk(state, margins, settingsOf(values))
      : { state, test: undefined };
    const margin = mean(margins);
    return {
      beta: state.beta,
      state: next,
      metrics: {
        "dpo/beta": next.beta,
        ...Number.isFinite(margin) ? { "dpo/margin_mean": margin } : undefined,
        "risk/beta_used": state.beta,
        "risk/skipped_nonfinite": next.skippedNonfinite,
        ...test && {
          "risk/p_hat": test.pHat,
          "risk/tau": next.tau,
          "risk/fail": test.fail ? 1 : 0,
          "risk/u_k": test.u,
          "risk/s_k": test.s,
        },
      },
    };
  },

  remarks(values, { decisionSize: n, decisions }) {
    const delta = values.delta as number;
    const warmup = values.beta_warmup as number;
    const remarks: string[] = [];
    if (n < 1 / delta) {
      const seen = (n * delta + 1 - delta) / (n + 1);
      remarks.push(
        `risk decides on ${n} pairs, fewer than 1/delta = ${
          1 / delta
        }: even with unchanging margins ` +
          `about ${(100 * seen).toFixed(1)} % lie above tau instead of ${100 * delta} %, so beta ` +
          `rises by itself; a larger batch_size, "risk.scope: step" or "risk.tau: robbins_monro" helps`,
      );
    }
    if (decisions <= warmup) {
      remarks.push(
        `risk makes ${decisions} decisions, all within its warm-up of ${warmup}: beta stays at ` +
          `${values.beta_0}; lower "risk_test.beta_warmup" to see it move`,
      );
    }
    return remarks;
  },
};

export default risk;
