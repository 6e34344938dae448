/** Pair losses over a decision set, at the beta and weights a mode decided. */
import type { Json, LossResult, Options, ScoreBatch } from "./loss_mode.ts";
import { ModeError } from "./mode_error.ts";
import { nearestName } from "./nearest_name.ts";
import { defaultOptions } from "./options.ts";
import type { PairScores } from "./pair_formulas.ts";
import {
  type BetaAndWeights,
  type EachPairLoss,
  type PairLoss,
  pairLosses,
} from "./pair_losses.ts";

export type { BetaAndWeights } from "./pair_losses.ts";

/** One loss of a mix: `loss_type` in the config. */
export interface PairLossChoice {
  readonly type: string;
  /** Factor of this loss in the sum. */
  readonly weight: number;
  /** What is missing takes its default. */
  readonly options: Options;
}

/** States of the chosen losses that keep one, by type; plain JSON. */
export type PairLossStates = { readonly [type: string]: Json };

/** What the chosen losses decided before they are taken: constants for the derivative. */
export interface PairLossDecision {
  readonly states: PairLossStates;
  /** One for each choice. */
  readonly aux: readonly Json[];
}

/**
 * The pair loss of a name.
 *
 * @throws ModeError for an unknown name, naming the nearest
 */
export function pairLossNamed(name: string): PairLoss {
  const found = pairLosses.find((loss) => loss.name === name);
  if (found) return found;
  const names = pairLosses.map((loss) => loss.name);
  const nearest = nearestName(name, names);
  throw new ModeError(
    `Unknown pair loss "${name}" in "loss_type"` +
      (nearest ? `: did you mean "${nearest}"?` : `: known are ${names.join(", ")}`),
    { path: "loss_type" },
  );
}

function pairAt(batch: ScoreBatch, i: number): PairScores {
  const { chosen, rejected } = batch;
  return {
    chosenPolicy: chosen.policy[i],
    rejectedPolicy: rejected!.policy[i],
    chosenReference: chosen.reference ? chosen.reference[i] : 0,
    rejectedReference: rejected!.reference ? rejected!.reference[i] : 0,
    chosenLength: chosen.length[i],
    rejectedLength: rejected!.length[i],
  };
}

function checkInputs(batch: ScoreBatch, decided: BetaAndWeights, loss: PairLoss): void {
  const needs = !batch.rejected
    ? "rejected answers"
    : loss.reference === "logps" && !(batch.chosen.reference && batch.rejected.reference)
    ? "reference log-probabilities"
    : decided.beta === undefined && loss.needsBeta !== false
    ? "a beta from the mode"
    : undefined;
  if (needs) throw new ModeError(`Cannot take the pair loss "${loss.name}" without ${needs}`);
}

/** All options of a loss, defaults filled in. */
function settingsOf(loss: PairLoss, options: Options): Options {
  return { ...defaultOptions(loss.options), ...options };
}

function eachPairLoss(
  batch: ScoreBatch,
  decided: BetaAndWeights,
  loss: EachPairLoss,
  settings: Options,
  aux: Json,
): LossResult {
  const perPair = new Float64Array(batch.size);
  const chosen = new Float64Array(batch.size);
  const rejected = new Float64Array(batch.size);
  let total = 0;
  for (let i = 0; i < batch.size; i++) {
    const beta = typeof decided.beta === "number" ? decided.beta : decided.beta![i];
    const weight = decided.weights ? decided.weights[i] : 1 / batch.size;
    const value = loss.evaluate(pairAt(batch, i), beta, settings, aux);
    perPair[i] = value.loss;
    if (weight === 0) continue;
    total += weight * value.loss;
    chosen[i] = weight * value.chosen;
    rejected[i] = weight * value.rejected;
  }
  return { loss: total, perPair, seeds: { chosen, rejected } };
}

/**
 * Weighted sum of a pair loss over a decision set: sum_i w_i loss_i at beta_i, and its derivatives.
 * A pair of weight 0 has seeds of exactly 0, whatever its numbers.
 *
 * @param options options of the pair loss; what is missing takes its default
 * @param aux what the loss decided before, see {@linkcode decidePairLosses}
 * @throws ModeError for an unknown loss, or a batch that lacks what it needs
 */
export function pairLoss(
  batch: ScoreBatch,
  decided: BetaAndWeights,
  lossType: string,
  options: Options = {},
  aux: Json = null,
): LossResult {
  const loss = pairLossNamed(lossType);
  checkInputs(batch, decided, loss);
  const settings = settingsOf(loss, options);
  if ("evaluateBatch" in loss) return loss.evaluateBatch(batch, decided, settings);
  return eachPairLoss(batch, decided, loss, settings, aux);
}

/** The states a run starts with; undefined where no chosen loss keeps one. */
export function initPairLosses(choices: readonly PairLossChoice[]): PairLossStates | undefined {
  const states: Record<string, Json> = {};
  for (const { type, options } of choices) {
    const loss = pairLossNamed(type);
    const state = loss.init?.(settingsOf(loss, options)) ?? null;
    if (state !== null) states[type] = state;
  }
  return Object.keys(states).length > 0 ? states : undefined;
}

/**
 * What the losses that keep a state decide on a decision set, before they are taken.
 *
 * @param states from {@linkcode initPairLosses} or the decision before; a missing one starts anew
 * @throws ModeError for an unknown loss, or a batch that lacks what it needs
 */
export function decidePairLosses(
  batch: ScoreBatch,
  decided: BetaAndWeights,
  choices: readonly PairLossChoice[],
  states: PairLossStates,
  training: boolean,
): PairLossDecision {
  const fresh = initPairLosses(choices) ?? {};
  const next: Record<string, Json> = {};
  const aux = choices.map(({ type, options }): Json => {
    if (!Object.hasOwn(fresh, type)) return null;
    const loss = pairLossNamed(type);
    checkInputs(batch, decided, loss);
    const state = Object.hasOwn(states, type) ? states[type] : fresh[type];
    const result = loss.decide!(batch, decided, state, settingsOf(loss, options), training);
    next[type] = result.state;
    return result.aux;
  });
  return { states: next, aux };
}

/** What was decided with the factors of the batch in its weights, where the batch has some. */
function withPairWeights(batch: ScoreBatch, decided: BetaAndWeights): BetaAndWeights {
  const { pairWeights, size } = batch;
  if (!pairWeights) return decided;
  const weights = decided.weights ?? new Float64Array(size).fill(1 / size);
  return { ...decided, weights: weights.map((weight, i) => weight * pairWeights[i]) };
}

/**
 * Sum of several pair losses, each with its factor and the pair weights of the batch (WPO); see
 * {@linkcode pairLoss}.
 *
 * @param aux what each choice decided before; absent means that none keeps a state
 */
export function mixPairLosses(
  batch: ScoreBatch,
  decided: BetaAndWeights,
  choices: readonly PairLossChoice[],
  aux: readonly Json[] = [],
): LossResult {
  const perPair = new Float64Array(batch.size);
  const chosen = new Float64Array(batch.size);
  const rejected = new Float64Array(batch.size);
  const weighted = withPairWeights(batch, decided);
  let loss = 0;
  choices.forEach((choice, k) => {
    const part = pairLoss(batch, weighted, choice.type, choice.options, aux[k] ?? null);
    loss += choice.weight * part.loss;
    for (let i = 0; i < batch.size; i++) {
      perPair[i] += choice.weight * part.perPair[i];
      chosen[i] += choice.weight * part.seeds!.chosen[i];
      rejected[i] += choice.weight * part.seeds!.rejected![i];
    }
  });
  return { loss, perPair, seeds: { chosen, rejected } };
}
