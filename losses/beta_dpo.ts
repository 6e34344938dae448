/**
 * beta-DPO (arXiv 2407.08639): a beta for each batch from its mean gap, and a filter that keeps the
 * pairs whose gap is usual. Five pure functions over the gaps of a decision set; a gap is the margin,
 * without beta in it. Everything but the loss is a constant for the derivative.
 */
import type { LossResult, ScoreBatch } from "./loss_mode.ts";
import { meanWeights } from "./margin.ts";
import { pairLoss } from "./pair_loss.ts";
import { deviation, mean, movingAverage } from "./running_stats.ts";

/** Which published code is followed where they disagree; "seed" is the recommended one. */
export type BetaDpoVariant = "seed" | "official" | "v4_main" | "v4_behavior_fix";

/** Running center and deviation of the gaps; null before the first batch of variant "seed". */
export type BetaDpoThreshold = { readonly M0: number; readonly sigma: number };

/** What the filter kept. */
export interface BetaDpoFilter {
  /** [n], 1 for kept pairs. */
  readonly mask: Uint8Array;
  /** Indices of kept pairs, ascending. */
  readonly selected: readonly number[];
  /** Log of the Gaussian weight of each gap, [n]. */
  readonly logWeights: Float64Array;
}

/** (policyChosen - referenceChosen) - (policyRejected - referenceRejected), elementwise, in nats. */
export function computeBetaDpoMargin(
  policyChosen: Float64Array,
  policyRejected: Float64Array,
  referenceChosen: Float64Array,
  referenceRejected: Float64Array,
): Float64Array {
  return policyChosen.map((p, i) =>
    (p - referenceChosen[i]) - (policyRejected[i] - referenceRejected[i])
  );
}

/** The threshold before the first batch. */
export function initialBetaDpoThreshold(variant: BetaDpoVariant): BetaDpoThreshold | null {
  if (variant === "seed") return null;
  return { M0: 0, sigma: variant === "v4_main" ? 1 : 0 };
}

/**
 * Moving average of mean and standard deviation of the gaps, this batch included; the first batch
 * starts it. Variant "seed" takes the population deviation and floors it at eps, "v4_main" has no
 * floor, "official" and "v4_behavior_fix" take the sample deviation (0 for a single gap).
 */
export function computeBetaDpoThreshold(
  gaps: ArrayLike<number>,
  previous: BetaDpoThreshold | null,
  settings: { readonly m: number; readonly eps: number; readonly variant?: BetaDpoVariant },
): BetaDpoThreshold {
  const { m, variant = "seed" } = settings;
  const floor = variant === "seed" ? settings.eps : 0;
  const ddof = variant === "official" || variant === "v4_behavior_fix" ? 1 : 0;
  const center = mean(gaps);
  const spread = Math.max(deviation(gaps, center, ddof), floor);
  if (!previous) return { M0: center, sigma: spread };
  return {
    M0: movingAverage(previous.M0, center, m),
    sigma: Math.max(movingAverage(previous.sigma, spread, m), floor),
  };
}

/**
 * Chooses k = max(1, floor(n rho)) of n pairs without replacement, with probability proportional to
 * the Gaussian weight exp(-z^2 / 2) of z = (gap - M0) / (sigma + eps), renormalised after each draw.
 *
 * That is the exponential race: with E_i = -ln(u_i), the k largest w_i / E_i. It is run on logarithms,
 * so that weights far too small for a float still compare; ties go to the lower index.
 *
 * @param uniform independent uniform numbers in (0, 1); not called when every pair is kept
 */
export function betaDpoDataFilter(
  gaps: ArrayLike<number>,
  threshold: BetaDpoThreshold,
  settings: { readonly rho: number; readonly eps: number; readonly variant?: BetaDpoVariant },
  uniform: (i: number) => number,
): BetaDpoFilter {
  const n = gaps.length;
  const logWeights = gaussianLogWeights(gaps, threshold, settings.eps, settings.variant ?? "seed");
  // The official code names the share dropped, which rounds differently (10 (1 - (1 - 0.1)) < 1).
  const share = settings.variant === "official" ? 1 - (1 - settings.rho) : settings.rho;
  const k = Math.max(1, Math.min(n, Math.floor(n * share)));
  const indices = Array.from({ length: n }, (_, i) => i);
  let selected = indices;
  if (k < n) {
    const keys = logWeights.map((logWeight, i) => logWeight - Math.log(-Math.log(uniform(i))));
    const order = indices.toSorted((a, b) =>
      keys[a] === keys[b] ? a - b : keys[a] > keys[b] ? -1 : 1
    );
    selected = order.slice(0, k).sort((a, b) => a - b);
  }
  const mask = new Uint8Array(n);
  for (const i of selected) mask[i] = 1;
  return { mask, selected, logWeights };
}

function gaussianLogWeights(
  gaps: ArrayLike<number>,
  { M0, sigma }: BetaDpoThreshold,
  eps: number,
  variant: BetaDpoVariant,
): Float64Array {
  const width = variant === "seed"
    ? sigma + eps
    : variant === "v4_main"
    ? Math.max(sigma, eps)
    : sigma;
  const z = Float64Array.from(gaps, (gap) => (gap - M0) / width);
  // Only without eps can the width be 0, where policy and reference agree: all gaps are then usual.
  if (!z.every(Number.isFinite)) return new Float64Array(gaps.length);
  return z.map((value) => -0.5 * value * value);
}

/**
 * beta = max(beta_0 (1 + alpha (mean of kept gaps - M0)), min_beta), at most max_beta where that is
 * above 0. M0 is the threshold with this batch in it.
 */
export function betaDpoBetaUpdate(
  gaps: ArrayLike<number>,
  selected: readonly number[],
  M0: number,
  settings: {
    readonly beta_0: number;
    readonly alpha: number;
    readonly min_beta: number;
    readonly max_beta?: number;
  },
): { readonly beta: number; readonly raw: number; readonly gapSelectedMean: number } {
  const gapSelectedMean = mean(selected.map((i) => gaps[i]));
  const raw = settings.beta_0 * (1 + settings.alpha * (gapSelectedMean - M0));
  const ceiling = settings.max_beta ? settings.max_beta : Infinity;
  return { beta: Math.max(Math.min(raw, ceiling), settings.min_beta), raw, gapSelectedMean };
}

/** Mean over the kept pairs of -log s(beta margin), with its derivatives; beta and mask are constants. */
export function betaDpoDpoLoss(batch: ScoreBatch, beta: number, mask: Uint8Array): LossResult {
  const selected = Array.from(mask.keys()).filter((i) => mask[i] === 1);
  return pairLoss(batch, { beta, weights: meanWeights(batch.size, selected) }, "sigmoid");
}
