/** A pair loss over a decision set, at the beta and weights a mode decided. */
import type { LossResult, Options, ScoreBatch } from "./loss_mode.ts";
import { ModeError } from "./mode_error.ts";
import { nearestName } from "./nearest_name.ts";
import { defaultOptions } from "./options.ts";
import { type PairLoss, pairLosses, type PairScores } from "./pair_losses.ts";

/** One loss of a mix: `loss_type` in the config. */
export interface PairLossChoice {
  readonly type: string;
  /** Factor of this loss in the sum. */
  readonly weight: number;
  readonly options: Options;
}

/** What a pair loss is applied with. */
export interface BetaAndWeights {
  /** One beta, or one for each pair. */
  readonly beta?: number | Float64Array;
  /** Weight of each pair, [B]; absent means 1/B each. */
  readonly weights?: Float64Array;
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
    : decided.beta === undefined
    ? "a beta from the mode"
    : undefined;
  if (needs) throw new ModeError(`Cannot take the pair loss "${loss.name}" without ${needs}`);
}

/**
 * Weighted sum of a pair loss over a decision set: sum_i w_i loss_i at beta_i, and its derivatives.
 * A pair of weight 0 has seeds of exactly 0, whatever its numbers.
 *
 * @param options options of the pair loss; what is missing takes its default
 * @throws ModeError for an unknown loss, or a batch that lacks what it needs
 */
export function pairLoss(
  batch: ScoreBatch,
  decided: BetaAndWeights,
  lossType: string,
  options: Options = {},
): LossResult {
  const loss = pairLossNamed(lossType);
  checkInputs(batch, decided, loss);
  const settings = { ...defaultOptions(loss.options), ...options };
  const perPair = new Float64Array(batch.size);
  const chosen = new Float64Array(batch.size);
  const rejected = new Float64Array(batch.size);
  let total = 0;
  for (let i = 0; i < batch.size; i++) {
    const beta = typeof decided.beta === "number" ? decided.beta : decided.beta![i];
    const weight = decided.weights ? decided.weights[i] : 1 / batch.size;
    const value = loss.evaluate(pairAt(batch, i), beta, settings);
    perPair[i] = value.loss;
    if (weight === 0) continue;
    total += weight * value.loss;
    chosen[i] = weight * value.chosen;
    rejected[i] = weight * value.rejected;
  }
  return { loss: total, perPair, seeds: { chosen, rejected } };
}

/** Sum of several pair losses, each with its factor; see {@linkcode pairLoss}. */
export function mixPairLosses(
  batch: ScoreBatch,
  decided: BetaAndWeights,
  choices: readonly PairLossChoice[],
): LossResult {
  const perPair = new Float64Array(batch.size);
  const chosen = new Float64Array(batch.size);
  const rejected = new Float64Array(batch.size);
  let loss = 0;
  for (const choice of choices) {
    const part = pairLoss(batch, decided, choice.type, choice.options);
    loss += choice.weight * part.loss;
    for (let i = 0; i < batch.size; i++) {
      perPair[i] += choice.weight * part.perPair[i];
      chosen[i] += choice.weight * part.seeds!.chosen[i];
      rejected[i] += choice.weight * part.seeds!.rejected![i];
    }
  }
  return { loss, perPair, seeds: { chosen, rejected } };
}
