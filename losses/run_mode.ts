/** Runs a loss mode over a decision set and checks everything it is given and returns. */
import type {
  Decision,
  Json,
  LossMode,
  LossResult,
  Metrics,
  Options,
  ScoreBatch,
  Seeds,
  StepContext,
} from "./loss_mode.ts";
import { jsonCopy } from "./json_copy.ts";
import {
  call,
  checkBatch,
  checkDecision,
  checkMetrics,
  checkResult,
  guarded,
} from "./mode_checks.ts";
import { checkAnswer, checkUnchanged, deepFreeze, shownBatch } from "./mode_inputs.ts";
import { ModeError, reasonOf } from "./mode_error.ts";
import { numericSeeds } from "./numeric_seeds.ts";
import { decidePairLosses, mixPairLosses, type PairLossChoice } from "./pair_loss.ts";
import { joinStates, splitStates } from "./run_state.ts";

/** What the trainer goes on with. */
export interface ModeOutcome {
  /**
   * The next state, that of the pair losses with it where one keeps a state; in evaluation the state
   * that went in.
   */
  readonly state: Json;
  /** The beta used: one, or one for each row. */
  readonly beta?: number | Float64Array;
  /** Weight of each row in the loss, [B]. */
  readonly weights: Float64Array;
  readonly loss: number;
  /** Unweighted loss of each row, [B]; of no meaning where the weight is 0. */
  readonly perPair: Float64Array;
  /** d loss / d summed policy log-probability, 1/accumulation not included. */
  readonly seeds: Seeds;
  /** The mode's own, and `dpo/loss` where rows are pairs. */
  readonly metrics: Metrics;
}

/** The choice of pair loss when the config names none. */
export const defaultPairLoss: readonly PairLossChoice[] = [
  { type: "sigmoid", weight: 1, options: {} },
];

/**
 * The mode's own loss, else the pair losses, with seeds; the decisions are held.
 *
 * @param aux what the pair losses decided
 */
function lossAndSeeds(
  mode: LossMode,
  batch: ScoreBatch,
  decision: Decision,
  options: Options,
  lossTypes: readonly PairLossChoice[],
  aux: readonly Json[],
): LossResult & Required<Pick<LossResult, "seeds">> {
  const evaluate = (scores: ScoreBatch) =>
    mode.loss
      ? mode.loss(scores, decision, options)
      : mixPairLosses(scores, decision, lossTypes, aux);
  const result = evaluate(batch);
  checkAnswer(result);
  const seeds = result.seeds ?? numericSeeds(batch, (changed) => evaluate(changed).loss);
  return { ...result, seeds };
}

/** Refuses a move of the reference that the mode did not announce, or that goes nowhere. */
function checkSync(mode: LossMode, options: Options, alpha: number): void {
  if (!mode.needs(options).referenceSync) {
    throw new ModeError('it moves the reference: "needs" must say "referenceSync: true"');
  }
  if (!(alpha > 0 && alpha <= 1)) {
    throw new ModeError(`"reference.alpha" is "${alpha}", not above 0 and at most 1`);
  }
}

/**
 * The state a mode starts with.
 *
 * @throws ModeError when `init` fails or the state is no JSON
 */
export function firstState(mode: LossMode, options: Options): Json {
  return guarded(mode.name, "init", () => {
    const state = mode.init(deepFreeze(options));
    try {
      return jsonCopy(state, "state");
    } catch (cause) {
      throw new ModeError(`Mode "${mode.name}": "init" failed: ${reasonOf(cause)}`, { cause });
    }
  });
}

/**
 * A mode's own step after an optimizer step in training; without one the state stays.
 *
 * @throws ModeError when the state is no JSON or a metric is not finite
 */
export function runOptimizerStep(
  mode: LossMode,
  state: Json,
  options: Options,
  context: StepContext,
): {
  readonly state: Json;
  readonly metrics: Metrics;
  /** Where the mode asks for the reference to be moved. */
  readonly reference?: { readonly alpha: number };
} {
  if (!mode.onOptimizerStep) return { state, metrics: {} };
  const place = { mode, context };
  const result = call(place, "onOptimizerStep", () => {
    const { own, pairLosses } = splitStates(deepFreeze(state));
    const answer = mode.onOptimizerStep!(own, deepFreeze(options), { ...context });
    checkAnswer(answer);
    const { state: next, metrics, reference } = answer;
    if (reference) checkSync(mode, options, reference.alpha);
    return {
      state: joinStates(jsonCopy(next, "state"), pairLosses),
      metrics: metrics ?? {},
      ...reference && { reference: { alpha: reference.alpha } },
    };
  });
  checkMetrics(place, result.metrics);
  return result;
}

/**
 * One decision of a mode: decide, then the loss and its seeds. Checks lengths, finiteness and the
 * state on the way. In evaluation the state that went in comes back and random numbers are refused.
 *
 * @param lossTypes the pair losses of `loss_type`, for modes without a loss of their own
 * @throws ModeError (exit 2) when the mode breaks its contract, ModeNumbersError (exit 4) when a
 * row that counts has a log-probability that is not finite; both name mode, step and row
 */
export function runMode(
  mode: LossMode,
  batch: ScoreBatch,
  state: Json,
  options: Options,
  context: StepContext,
  lossTypes: readonly PairLossChoice[] = defaultPairLoss,
): ModeOutcome {
  const place = { mode, batch, context };
  const { own, pairLosses } = splitStates(deepFreeze(state));
  deepFreeze(options);
  const needs = call(place, "needs", () => mode.needs(options));
  checkBatch(place, needs);
  const uniform = (i: number) => {
    if (context.training) return context.uniform(i);
    throw new ModeError("Random numbers are not allowed in evaluation");
  };
  const shown = shownBatch(batch);
  const decision = call(place, "decide", () => {
    const answer = mode.decide(shown, own, options, { ...context, uniform });
    checkAnswer(answer);
    checkUnchanged(batch, shown);
    return answer;
  });
  checkDecision(place, needs, decision);
  const next = call(place, "decide", () => jsonCopy(decision.state, "state"));
  const decided = call(
    place,
    "loss",
    () =>
      decidePairLosses(batch, decision, mode.loss ? [] : lossTypes, pairLosses, context.training),
  );
  const result = call(place, "loss", () => {
    const answer = lossAndSeeds(mode, shown, decision, options, lossTypes, decided.aux);
    checkUnchanged(batch, shown);
    return answer;
  });
  checkResult(place, needs, decision, result);
  return {
    state: context.training ? call(place, "decide", () => joinStates(next, decided.states)) : state,
    beta: decision.beta,
    weights: decision.weights ?? new Float64Array(batch.size).fill(1 / batch.size),
    loss: result.loss,
    perPair: result.perPair,
    seeds: result.seeds,
    metrics: needs.rows === "pairs"
      ? { ...decision.metrics, "dpo/loss": result.loss }
      : decision.metrics,
  };
}
