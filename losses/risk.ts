/**
 * Risk-controlled beta: the arithmetic of the `risk` mode (the trainer of dynamic-dpo-v1).
 *
 * tau follows the (1 - delta) quantile of the margins; the share of margins at or above tau is
 * compared with delta, and beta moves by at most a factor e^alpha a call in the direction of the
 * excess. All margins here are finite and detached.
 */
import { quantile } from "./quantile.ts";
import { deviation, mean, movingAverage } from "./running_stats.ts";

/** Options under short names. */
export interface RiskSettings {
  readonly delta: number;
  /** Weight of the newest batch in tau. */
  readonly lambda: number;
  readonly warmup: number;
  readonly gamma: number;
  readonly alpha: number;
  readonly betaMin: number;
  readonly betaMax: number;
  readonly rule: "ema_quantile" | "robbins_monro";
  /** Reproduce dynamic-dpo-v1 where it differs on edge cases. */
  readonly compatV1: boolean;
}

/** Saved in every checkpoint. */
export type RiskState = {
  readonly beta: number;
  readonly tau: number;
  /** Decisions seen, skipped ones not counted. */
  readonly warmupCount: number;
  readonly warmupDone: boolean;
  readonly warmupBuffer: readonly number[];
  /** Running center and deviation of the margins for the Robbins-Monro rule, else null. */
  readonly spread: { readonly mean: number; readonly deviation: number } | null;
  readonly skippedNonfinite: number;
};

/** What one update found; absent fields were not computed. */
export interface RiskUpdate {
  readonly state: RiskState;
  /** Present after warm-up. */
  readonly test?: {
    readonly pHat: number;
    readonly u: number;
    readonly s: number;
    readonly fail: boolean;
  };
}

/** The state before the first decision. */
export function initRisk(beta: number): RiskState {
  return {
    beta,
    tau: 0,
    warmupCount: 0,
    warmupDone: false,
    warmupBuffer: [],
    spread: null,
    skippedNonfinite: 0,
  };
}

/**
 * Next state after a decision over `margins` [n].
 *
 * The first `warmup` calls only collect margins, the last of them sets tau to their quantile; without
 * warm-up the first call does (dynamic-dpo-v1 never sets it then: `compatV1`).
 */
export function updateRisk(
  state: RiskState,
  margins: Float64Array,
  settings: RiskSettings,
): RiskUpdate {
  const warmupCount = state.warmupCount + 1;
  const warmup = settings.compatV1 ? settings.warmup : Math.max(1, settings.warmup);
  if (!state.warmupDone && warmupCount <= warmup) {
    const collected = [...state.warmupBuffer, ...margins];
    if (warmupCount < warmup) return { state: { ...state, warmupCount, warmupBuffer: collected } };
    const center = mean(collected);
    const spread = settings.rule === "robbins_monro"
      ? { mean: center, deviation: deviation(collected, center) }
      : null;
    const tau = quantile(collected, 1 - settings.delta);
    return { state: { ...state, warmupCount, tau, spread, warmupDone: true, warmupBuffer: [] } };
  }
  // As long as the policy is the reference there is no risk to measure, and beta must not run away.
  const untouched = state.tau === 0 && margins.every((margin) => margin === 0);
  if (untouched && !settings.compatV1) return { state: { ...state, warmupCount } };
  return afterWarmup({ ...state, warmupCount }, margins, settings);
}

function afterWarmup(state: RiskState, margins: Float64Array, settings: RiskSettings): RiskUpdate {
  const { delta } = settings;
  const { tau, spread, pHat } = settings.rule === "robbins_monro" && state.spread
    ? robbinsMonroTau(state, state.spread, margins, settings)
    : quantileTau(state, margins, settings);
  const u = (pHat - delta) / Math.sqrt(delta * (1 - delta) / margins.length);
  const s = Math.tanh(settings.gamma * u);
  const moved = state.beta * Math.exp(settings.alpha * s);
  const beta = Math.max(settings.betaMin, Math.min(moved, settings.betaMax));
  return { state: { ...state, tau, spread, beta }, test: { pHat, u, s, fail: pHat > delta } };
}

/** Share of margins at or above tau. */
function exceedance(margins: Float64Array, tau: number): number {
  return margins.filter((margin) => margin >= tau).length / margins.length;
}

/** tau moves towards the batch's quantile; the same batch is then tested against the new tau. */
function quantileTau(state: RiskState, margins: Float64Array, settings: RiskSettings) {
  const { lambda } = settings;
  const tau = state.warmupDone
    ? (1 - lambda) * state.tau + lambda * quantile(margins, 1 - settings.delta)
    : state.tau;
  return { tau, spread: null, pHat: exceedance(margins, tau) };
}

/**
 * Robbins-Monro: tau moves by the excess of the batch over the old tau, in units of the density at
 * the quantile. A small batch's own quantile lies below the population's, so that the other rule sees
 * too many exceedances; this one is unbiased at every batch size.
 */
function robbinsMonroTau(
  state: RiskState,
  spread: NonNullable<RiskState["spread"]>,
  margins: Float64Array,
  settings: RiskSettings,
) {
  const { delta, lambda } = settings;
  const pHat = exceedance(margins, state.tau);
  const step = lambda * spread.deviation * (pHat - delta) / normalDensityAtQuantile(1 - delta);
  return {
    tau: state.tau + step,
    spread: {
      mean: movingAverage(spread.mean, mean(margins), 1 - lambda),
      deviation: movingAverage(spread.deviation, deviation(margins, spread.mean), 1 - lambda),
    },
    pHat,
  };
}

/** Standard normal density at its p quantile, found by summing the density outwards from 0. */
function normalDensityAtQuantile(p: number): number {
  const density = (x: number) => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  // The density is symmetric, so the distance from the median is enough.
  const target = Math.abs(p - 0.5);
  const width = 1 / 512;
  let x = 0;
  let area = 0;
  while (x < 8) {
    const part = width / 6 * (density(x) + 4 * density(x + width / 2) + density(x + width));
    if (area + part >= target) return density(x + width * (target - area) / part);
    area += part;
    x += width;
  }
  return density(x);
}
