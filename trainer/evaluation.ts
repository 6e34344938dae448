/**
 * Evaluation: the loss of the selected mode at the beta in force over all pairs, nothing sampled,
 * nothing filtered, no state changed. A loss at a moving beta cannot be compared between two
 * evaluations, so the loss at the configured beta is given beside it.
 */
import type { Json, LossMode, Options, ScoreBatch, StepContext } from "../losses/loss_mode.ts";
import { decidePairLosses, mixPairLosses, type PairLossChoice } from "../losses/pair_loss.ts";
import { defaultPairLoss, runMode } from "../losses/run_mode.ts";
import { splitStates } from "../losses/run_state.ts";
import type { ScoringEngine } from "../model/engine.ts";
import type { Sink } from "../report/events.ts";
import { readExamples, type TrainingDataset } from "./decision_set.ts";
import { turnEventLoop } from "./event_loop.ts";
import { type Modifiers, runNeeds } from "./needs.ts";
import type { ReferenceLogps } from "./reference_cache.ts";
import { addRewardMeans, withLabelMargins } from "./reward_means.ts";
import type { TrainingRun } from "./run.ts";
import { scoreSet } from "./score_set.ts";
import { WeightedMeans } from "./weighted_means.ts";

export interface EvaluationRequest {
  readonly engine: Pick<ScoringEngine, "score">;
  readonly dataset: TrainingDataset;
  readonly batchSize: number;
  readonly reference?: ReferenceLogps;
  readonly mode: LossMode;
  readonly modeOptions: Options;
  readonly lossTypes?: readonly PairLossChoice[];
  readonly modifiers?: Modifiers;
  /** The mode's state in force. */
  readonly state: Json;
  /** Where training stands. */
  readonly place: Omit<StepContext, "training" | "uniform">;
  readonly events?: Sink;
  readonly signal?: AbortSignal;
}

/**
 * Means over all rows, each row counting once whatever batch it is in; `eval_loss` of a mode of single
 * rows is a mean over tokens, as its loss is, each scored token counting once.
 */
export interface Evaluation {
  readonly rows: number;
  /** `eval_loss`, `eval_loss_beta0`, `eval_rewards/...`, `eval_logps/...`. */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Evaluates a model on a dataset.
 *
 * @throws NumbersError when a log-probability is not finite; the signal's reason when stopped
 */
export async function evaluate(request: EvaluationRequest): Promise<Evaluation> {
  const { dataset, batchSize, mode, modeOptions, state, signal, events } = request;
  const lossTypes = request.lossTypes ?? defaultPairLoss;
  const needs = runNeeds(request);
  const context: StepContext = {
    ...request.place,
    training: false,
    uniform: () => {
      throw new Error("Random numbers are not allowed in evaluation");
    },
  };
  const means = new WeightedMeans();
  for (let begin = 0; begin < dataset.length; begin += batchSize) {
    await turnEventLoop();
    signal?.throwIfAborted();
    const end = Math.min(begin + batchSize, dataset.length);
    const indices = Array.from({ length: end - begin }, (_, i) => begin + i);
    const examples = await readExamples(dataset, indices, needs.rows);
    const when = `the evaluation after step ${context.optimizerStep}`;
    const { batch } = await scoreSet({ ...request, needs }, examples, when);
    const outcome = runMode(mode, batch, state, modeOptions, context, lossTypes);
    const single = needs.rows === "single";
    means.add("eval_loss", outcome.loss, single ? tokensOf(batch) : batch.size);
    const atBase = lossAtBaseBeta(batch, mode, modeOptions, state, lossTypes);
    if (atBase !== undefined) means.add("eval_loss_beta0", atBase, batch.size);
    addRewardMeans(means, batch, outcome.beta, "eval_");
    events?.accept({ type: "progress", what: "Evaluation", done: end, total: dataset.length });
  }
  return { rows: dataset.length, metrics: withLabelMargins(means.values(), "eval_") };
}

/** Evaluates a run where it stands; a stop that comes meanwhile waits for its end, and says so. */
export async function evaluateRun(
  run: TrainingRun,
  state: Json,
  place: EvaluationRequest["place"],
): Promise<Evaluation> {
  const { settings, signal, events } = run;
  // Half an evaluation is worth nothing, and its step's line could not be written without it.
  const onAbort = () =>
    events?.accept({
      type: "notice",
      text: "Stopping: finishing the evaluation first; a second signal ends the run at once, and " +
        "what came after the last checkpoint is lost",
    });
  if (signal?.aborted) onAbort();
  else signal?.addEventListener("abort", onAbort);
  const { engine, mode, modeOptions, lossTypes, modifiers } = run;
  return await evaluate({
    engine,
    dataset: run.validation!,
    batchSize: settings.evalBatchSize,
    reference: run.validationReference ?? run.reference,
    mode,
    modeOptions,
    lossTypes,
    modifiers,
    state,
    place,
    events,
  }).finally(() => signal?.removeEventListener("abort", onAbort));
}

/** Scored tokens of a batch of single answers. */
function tokensOf(batch: ScoreBatch): number {
  return batch.chosen.length.reduce((sum, tokens) => sum + tokens, 0);
}

/** Mean pair loss at the configured beta; undefined for modes without one or with their own loss. */
function lossAtBaseBeta(
  batch: ScoreBatch,
  mode: LossMode,
  options: Options,
  state: Json,
  lossTypes: readonly PairLossChoice[],
): number | undefined {
  if (!mode.baseBeta || mode.loss) return undefined;
  const decided = { beta: mode.baseBeta(options) };
  const { pairLosses } = splitStates(state);
  const { aux } = decidePairLosses(batch, decided, lossTypes, pairLosses, false);
  return mixPairLosses(batch, decided, lossTypes, aux).loss;
}
