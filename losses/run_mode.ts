/** Runs a loss mode over a decision set and checks everything it is given and returns. */
import type {
  Decision,
  Json,
  LossMode,
  LossResult,
  Metrics,
  Needs,
  Options,
  ScoreBatch,
  StepContext,
} from "./loss_mode.ts";
import { ModeError, ModeNumbersError } from "./mode_error.ts";
import { numericSeeds } from "./numeric_seeds.ts";
import { mixPairLosses, type PairLossChoice } from "./pair_loss.ts";

/** What the trainer goes on with. */
export interface ModeOutcome {
  /** The next state; in evaluation the state that went in. */
  readonly state: Json;
  /** The beta used: one, or one for each row. */
  readonly beta?: number | Float64Array;
  /** Weight of each row in the loss, [B]. */
  readonly weights: Float64Array;
  readonly loss: number;
  /** Unweighted loss of each row, [B]; of no meaning where the weight is 0. */
  readonly perPair: Float64Array;
  /** d loss / d summed policy log-probability, 1/accumulation not included. */
  readonly seeds: { readonly chosen: Float64Array; readonly rejected?: Float64Array };
  /** The mode's own, and `dpo/loss` where rows are pairs. */
  readonly metrics: Metrics;
}

/** The choice of pair loss when the config names none. */
export const defaultPairLoss: readonly PairLossChoice[] = [
  { type: "sigmoid", weight: 1, options: {} },
];

/** Where a message says the trouble is. */
interface Place {
  readonly mode: LossMode;
  readonly context: StepContext;
}

/** A place with its decision set. */
interface BatchPlace extends Place {
  readonly batch: ScoreBatch;
}

function describe({ mode, context }: Place, row?: number): string {
  const phase = context.training ? "" : " in evaluation";
  return `Mode "${mode.name}"${phase} at optimizer step ${context.optimizerStep}, decision ${context.microStep}` +
    (row === undefined ? "" : `, dataset row ${row}`);
}

/** Calls into the mode; what it throws itself gets the place added. */
function call<T>(place: Place, part: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const details = { cause, path: cause instanceof ModeError ? cause.path : undefined };
    const message = `${describe(place)}: "${part}" failed: ${reason}`;
    throw cause instanceof ModeNumbersError
      ? new ModeNumbersError(message, details)
      : new ModeError(message, details);
  }
}

/**
 * A plain copy of a JSON value, with -0 as 0, as a checkpoint would give it back.
 *
 * @throws ModeError naming the place of anything JSON cannot hold
 */
export function jsonCopy(value: unknown, path: string): Json {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value + 0;
  if (Array.isArray(value)) return value.map((item, i) => jsonCopy(item, `${path}[${i}]`));
  if (typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, jsonCopy(item, `${path}.${key}`)]),
    );
  }
  const shown = typeof value === "object" ? value.constructor?.name ?? "object" : String(value);
  throw new ModeError(
    `"${path}" is "${shown}", which JSON cannot hold: use finite numbers, text, true, false, null, arrays and plain objects`,
  );
}

/** Checks that a batch has what the mode needs, one number a row. */
function checkBatch(place: BatchPlace, needs: Needs): void {
  const { batch } = place;
  const lengths: Record<string, number | undefined> = {
    rows: batch.rows.length,
    "chosen.policy": batch.chosen.policy.length,
    "chosen.length": batch.chosen.length.length,
  };
  if (needs.reference !== "none") lengths["chosen.reference"] = batch.chosen.reference?.length;
  if (needs.rows === "unpaired") lengths.label = batch.label?.length;
  if (needs.rows === "pairs") {
    lengths["rejected.policy"] = batch.rejected?.policy.length;
    lengths["rejected.length"] = batch.rejected?.length.length;
    if (needs.reference !== "none") {
      lengths["rejected.reference"] = batch.rejected?.reference?.length;
    }
  }
  if (batch.size < 1) throw new ModeError(`${describe(place)}: the decision set is empty`);
  for (const [name, length] of Object.entries(lengths)) {
    if (length !== batch.size) {
      throw new ModeError(
        `${describe(place)}: the decision set has ${batch.size} rows but "${name}" has ${
          length ?? "none"
        }`,
      );
    }
  }
}

/** Checks an array a mode returned: its length, and that it is finite where `counts` says so. */
function checkArray(
  place: BatchPlace,
  name: string,
  values: unknown,
  counts: (row: number) => boolean,
): void {
  const { size, rows } = place.batch;
  if (!(values instanceof Float64Array) || values.length !== size) {
    const shown = values instanceof Float64Array ? `${values.length} numbers` : typeof values;
    throw new ModeError(
      `${describe(place)}: "${name}" must be a Float64Array of ${size} numbers, but is ${shown}`,
    );
  }
  const bad = values.findIndex((value, i) => counts(i) && !Number.isFinite(value));
  if (bad !== -1) {
    throw new ModeError(
      `${describe(place, rows[bad])}: "${name}" is "${
        values[bad]
      }" although the log-probabilities are finite`,
    );
  }
}

/** Ends the run where a row that counts has a log-probability that is not a number. */
function checkInputs(place: BatchPlace, needs: Needs, counts: (row: number) => boolean): void {
  const { batch } = place;
  for (const answer of ["chosen", "rejected"] as const) {
    const scores = batch[answer];
    if (!scores) continue;
    const kinds = { policy: scores.policy, reference: scores.reference };
    for (const [kind, values] of Object.entries(kinds)) {
      if (!values || (kind === "reference" && needs.reference === "none")) continue;
      const bad = values.findIndex((value, i) => counts(i) && !Number.isFinite(value));
      if (bad === -1) continue;
      throw new ModeNumbersError(
        `${
          describe(place, batch.rows[bad])
        }: the ${kind} log-probability of the ${answer} answer is "${
          values[bad]
        }": look at that row, then try a lower learning rate`,
      );
    }
  }
}

function checkMetrics(place: Place, metrics: Metrics): void {
  for (const [name, value] of Object.entries(metrics)) {
    if (!Number.isFinite(value)) {
      throw new ModeError(
        `${describe(place)}: metric "${name}" is "${value}", not a finite number`,
      );
    }
  }
}

function checkDecision(place: BatchPlace, needs: Needs, decision: Decision): void {
  const weights = decision.weights;
  const always = () => true;
  if (weights !== undefined) checkArray(place, "weights", weights, always);
  checkInputs(place, needs, (i) => weights === undefined || weights[i] !== 0);
  if (decision.beta instanceof Float64Array) checkArray(place, "beta", decision.beta, always);
  else if (decision.beta !== undefined && !Number.isFinite(decision.beta)) {
    throw new ModeError(`${describe(place)}: "beta" is "${decision.beta}", not a finite number`);
  }
  checkMetrics(place, decision.metrics);
}

function checkResult(
  place: BatchPlace,
  needs: Needs,
  { weights }: Decision,
  result: LossResult,
): void {
  if (!Number.isFinite(result.loss)) {
    throw new ModeError(
      `${describe(place)}: the loss is "${result.loss}" although the log-probabilities are finite`,
    );
  }
  const counts = (i: number) => weights === undefined || weights[i] !== 0;
  checkArray(place, "perPair", result.perPair, counts);
  checkArray(place, "seeds.chosen", result.seeds?.chosen, () => true);
  if (needs.rows === "pairs") {
    checkArray(place, "seeds.rejected", result.seeds?.rejected, () => true);
  }
}

/** The mode's own loss, else the pair losses, with seeds; the decision is held. */
function lossAndSeeds(
  mode: LossMode,
  batch: ScoreBatch,
  decision: Decision,
  options: Options,
  lossTypes: readonly PairLossChoice[],
): LossResult & Required<Pick<LossResult, "seeds">> {
  const evaluate = (scores: ScoreBatch) =>
    mode.loss ? mode.loss(scores, decision, options) : mixPairLosses(scores, decision, lossTypes);
  const result = evaluate(batch);
  const seeds = result.seeds ?? numericSeeds(batch, (changed) => evaluate(changed).loss);
  return { ...result, seeds };
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
): { readonly state: Json; readonly metrics: Metrics } {
  if (!mode.onOptimizerStep) return { state, metrics: {} };
  const place = { mode, context };
  const result = call(place, "onOptimizerStep", () => {
    const { state: next, metrics } = mode.onOptimizerStep!(state, options, context);
    return { state: jsonCopy(next, "state"), metrics: metrics ?? {} };
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
  const needs = call(place, "needs", () => mode.needs(options));
  checkBatch(place, needs);
  const uniform = (i: number) => {
    if (context.training) return context.uniform(i);
    throw new ModeError("Random numbers are not allowed in evaluation");
  };
  const decision = call(
    place,
    "decide",
    () => mode.decide(batch, state, options, { ...context, uniform }),
  );
  checkDecision(place, needs, decision);
  const next = call(place, "decide", () => jsonCopy(decision.state, "state"));
  const result = call(
    place,
    "loss",
    () => lossAndSeeds(mode, batch, decision, options, lossTypes),
  );
  checkResult(place, needs, decision, result);
  return {
    state: context.training ? next : state,
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
