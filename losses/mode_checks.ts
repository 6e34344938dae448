/** What is asked of the input and the answers of a mode, and where a message says the trouble is. */
import type {
  Decision,
  LossMode,
  LossResult,
  Metrics,
  Needs,
  ScoreBatch,
  Seeds,
  StepContext,
} from "./loss_mode.ts";
import { ModeError, ModeNumbersError, reasonOf } from "./mode_error.ts";

/** Where a message says the trouble is. */
export interface Place {
  readonly mode: LossMode;
  readonly context: StepContext;
}

/** A place with its decision set. */
export interface BatchPlace extends Place {
  readonly batch: ScoreBatch;
}

/** Mode, step and decision, and the row where one is to blame. */
export function describe({ mode, context }: Place, row?: number): string {
  const phase = context.training ? "" : " in evaluation";
  return `Mode "${mode.name}"${phase} after optimizer step ${context.optimizerStep}, decision ${context.microStep}` +
    (row === undefined ? "" : `, dataset row ${row}`);
}

/** Calls into the mode; what it throws itself gets the place added. */
export function call<T>(place: Place, part: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    const details = { cause, path: cause instanceof ModeError ? cause.path : undefined };
    const message = `${describe(place)}: "${part}" failed: ${reasonOf(cause)}`;
    throw cause instanceof ModeNumbersError
      ? new ModeNumbersError(message, details)
      : new ModeError(message, details);
  }
}

/**
 * Calls a function of a mode outside the steps.
 *
 * @throws ModeError naming mode and function, whatever it throws
 */
export function guarded<T>(mode: string, part: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof ModeError) throw cause;
    throw new ModeError(`Mode "${mode}": "${part}" failed: ${reasonOf(cause)}`, { cause });
  }
}

/**
 * Checks that a batch has what the mode needs, one number a row.
 *
 * @throws ModeError naming what is missing or uneven
 */
export function checkBatch(place: BatchPlace, needs: Needs): void {
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
  if (needs.tokens?.includes("promptLogp")) {
    lengths["prompt.policy"] = batch.prompt?.policy.length;
    lengths["prompt.length"] = batch.prompt?.length.length;
  }
  if (needs.tokens?.includes("epsilonMix")) {
    lengths["chosen.epsilonMix"] = batch.chosen.epsilonMix?.plus.length;
    lengths["rejected.epsilonMix"] = batch.rejected?.epsilonMix?.plus.length;
  }
  if (needs.tokens?.includes("logSumP2")) {
    lengths["chosen.logSumP2"] = batch.chosen.logSumP2?.length;
  }
  if (needs.extra === "mismatched") {
    lengths["mismatched.policy"] = batch.mismatched?.policy.length;
    lengths["mismatched.reference"] = batch.mismatched?.reference?.length;
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
  NotFinite: typeof ModeError = ModeError,
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
    throw new NotFinite(
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

/** @throws ModeError for metrics that are no object, or a metric that is not finite */
export function checkMetrics(place: Place, metrics: Metrics): void {
  if (typeof metrics !== "object" || metrics === null) {
    throw new ModeError(
      `${describe(place)}: "metrics" must be an object of numbers, but is "${metrics}"`,
    );
  }
  for (const [name, value] of Object.entries(metrics)) {
    if (!Number.isFinite(value)) {
      throw new ModeError(
        `${describe(place)}: metric "${name}" is "${value}", not a finite number`,
      );
    }
  }
}

/**
 * Checks what a mode decided, and with its weights the numbers it was given.
 *
 * @throws ModeError for arrays of a wrong length or numbers that are not finite; ModeNumbersError for
 * a row that counts with a log-probability that is not
 */
export function checkDecision(place: BatchPlace, needs: Needs, decision: Decision): void {
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

/**
 * @throws ModeError for a loss that is not finite, or arrays of a wrong length; ModeNumbersError for
 * a seed that is not finite
 */
export function checkResult(
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
  // A seed that is no number is a number that went wrong, not an answer of the wrong form.
  const checkSeeds = (part: keyof Seeds) =>
    checkArray(place, `seeds.${part}`, result.seeds?.[part], () => true, ModeNumbersError);
  checkSeeds("chosen");
  if (needs.rows === "pairs") {
    checkSeeds("rejected");
  }
  if (needs.tokens?.includes("promptLogp")) {
    checkSeeds("prompt");
  }
}
