/**
 * One optimizer step: score, decide and learn for each decision set of the accumulation window, then
 * the update, whose outcome comes with the next step's scores.
 *
 * With scope `micro` (or `pair`) a decision set is one batch and the window has as many as it has
 * batches; with scope `step` the whole window is scored before the one decision.
 */
import type { Json, ScoreBatch, StepContext } from "../losses/loss_mode.ts";
import { batchMargins } from "../losses/margin.ts";
import {
  defaultPairLoss,
  type ModeOutcome,
  runMode,
  runOptimizerStep,
} from "../losses/run_mode.ts";
import type { QueuedUpdate, StepStatus, TokenizedExample } from "../model/engine.ts";
import { uniformStream } from "../data/philox.ts";
import type { Distributions } from "../report/events.ts";
import { readExamples, sequenceTokens } from "./decision_set.ts";
import { NumbersError } from "./error.ts";
import type { MarginPart } from "./margin_log.ts";
import { movesReference, runNeeds } from "./needs.ts";
import { joined, type PairRewards, pairRewards } from "./distributions.ts";
import { addRewardMeans, withLabelMargins } from "./reward_means.ts";
import type { TrainingRun } from "./run.ts";
import { scheduleFactor } from "./schedule.ts";
import { scoreSet, tokenSeeds } from "./score_set.ts";
import { type ShadowState, ShadowStep } from "./shadow.ts";
import { WeightedMeans } from "./weighted_means.ts";
import type { Window } from "./window.ts";

/** Where the run stands before a step. */
export interface StepStart {
  /** Finished optimizer steps. */
  readonly step: number;
  readonly microStep: number;
  readonly totalSteps: number;
  readonly modeState: Json;
  /** One for each shadow of the run; absent: none. */
  readonly shadows?: readonly ShadowState[];
  /** Awaited when the first set is scored, before it is decided on: the step before is known by then. */
  readonly onScored?: () => Promise<void>;
}

/** A step that is queued: everything but what its update did. */
export interface BegunStep {
  /** 1-based. */
  readonly step: number;
  readonly microStep: number;
  readonly modeState: Json;
  readonly shadows: readonly ShadowState[];
  readonly pairs: number;
  readonly tokens: number;
  /** Mean over pairs, where they have one. */
  readonly margin?: number;
  readonly beta?: number;
  /** Without `grad_norm` and `learning_rate`. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly learningRate: number;
  /** Empty for a mode without pairs or reference. */
  readonly margins: readonly MarginPart[];
  /** Rewards of all pairs, where they have any. */
  readonly rewards?: Distributions;
  readonly update: QueuedUpdate;
}

/**
 * Makes one optimizer step, up to the outcome of its update, for which nobody need wait: see
 * `finishStep`.
 *
 * @throws NumbersError when log-probabilities or seeds are not finite; what the mode and the engine
 * throw; Error when policy and reference should be equal and are not
 */
export async function beginStep(
  run: TrainingRun,
  window: Window,
  start: StepStart,
): Promise<BegunStep> {
  const { settings, engine, mode, modeOptions } = run;
  const shadows = new ShadowStep(run, start.shadows ?? []);
  const learned = await learnWindow(run, window, start, shadows);
  const learningRate = settings.learningRate * scheduleFactor(
    { kind: settings.lrScheduler, warmupSteps: settings.warmupSteps },
    start.step,
    start.totalSteps,
  );
  const step = start.step + 1;
  const { optimizer, maxGradNorm } = settings;
  const update = engine.update({ ...optimizer, learningRate, maxGradNorm, step });
  const context = contextOf(run, window, { ...start, step }, learned.microStep, learned.sets);
  const after = runOptimizerStep(mode, learned.modeState, modeOptions, context);
  const synced = syncReference(run, step, after.reference?.alpha);
  const shadowed = shadows.finish(context);
  const { beta, margin, ...rewards } = withLabelMargins(learned.overPairs.values());
  return {
    step,
    microStep: learned.microStep,
    modeState: after.state,
    shadows: shadowed.states,
    pairs: learned.pairs,
    tokens: learned.tokens,
    margin,
    beta,
    metrics: {
      ...learned.overSets.values(),
      ...rewards,
      ...after.metrics,
      ...synced,
      ...shadowed.metrics,
    },
    learningRate,
    margins: learned.margins,
    rewards: joined(learned.rewards),
    update,
  };
}

/**
 * The metrics of a step, once its update is known.
 *
 * @throws NumbersError when the gradient norm is not finite
 */
export async function finishStep(
  { step, metrics, learningRate, update }: BegunStep,
): Promise<Readonly<Record<string, number>>> {
  const status = await update.status();
  checkUpdate(step, status);
  return { ...metrics, grad_norm: status.gradNorm, learning_rate: learningRate };
}

/**
 * Moves the reference where the mode asks for it, or where `sync_ref_model` is due, as TRL does at the
 * end of every n-th step. Says so in a metric of runs that can.
 */
function syncReference(
  run: TrainingRun,
  step: number,
  asked: number | undefined,
): Readonly<Record<string, number>> {
  if (!movesReference(run)) return {};
  const sync = run.modifiers?.referenceSync;
  const alpha = sync ? step % sync.steps === 0 ? sync.alpha : undefined : asked;
  if (alpha !== undefined) run.reference!.moving!.blend(alpha);
  return { "reference/synced": alpha === undefined ? 0 : 1 };
}

/** Sums over the decision sets of a window. */
interface WindowSums {
  sets: number;
  microStep: number;
  modeState: Json;
  pairs: number;
  tokens: number;
  /** Loss and the mode's metrics: each decision set counts the same, as in the gradient. */
  readonly overSets: WeightedMeans;
  /** Rewards and log-probabilities: each pair counts the same. */
  readonly overPairs: WeightedMeans;
  readonly margins: MarginPart[];
  readonly rewards: PairRewards[];
}

/** Score, decide and learn for every decision set of the window. */
async function learnWindow(
  run: TrainingRun,
  window: Window,
  start: StepStart,
  shadows: ShadowStep,
): Promise<WindowSums> {
  const needs = runNeeds(run);
  const sets = needs.scope === "step"
    ? [window.batches.flatMap((rows) => [...rows])]
    : window.batches;
  const sums: WindowSums = {
    sets: sets.length,
    microStep: start.microStep,
    modeState: start.modeState,
    pairs: 0,
    tokens: 0,
    overSets: new WeightedMeans(),
    overPairs: new WeightedMeans(),
    margins: [],
    rewards: [],
  };
  for (const rows of sets) {
    const examples = await readExamples(run.train, rows, needs.rows);
    const context = contextOf(run, window, start, sums.microStep, sets.length);
    const onScored = sums.microStep === start.microStep ? start.onScored : undefined;
    const { batch, outcome } = await learnSet(run, examples, sums.modeState, context, onScored);
    shadows.observe(batch, outcome.beta, context);
    sums.modeState = outcome.state;
    sums.microStep++;
    sums.pairs += batch.size;
    sums.tokens += sequenceTokens(examples);
    sums.overSets.add("loss", outcome.loss, 1);
    sums.overSets.addAll(outcome.metrics, 1);
    addRewardMeans(sums.overPairs, batch, outcome.beta);
    const rewards = pairRewards(batch, outcome.beta);
    if (rewards) sums.rewards.push(rewards);
    if (outcome.beta !== undefined) sums.overPairs.add("beta", meanOf(outcome.beta), batch.size);
    if (!hasMargins(batch)) continue;
    const margins = batchMargins(batch);
    sums.overPairs.add("margin", meanOf(margins), batch.size);
    const { beta, weights } = outcome;
    sums.margins.push({ rows: batch.rows, margins, beta, weights });
  }
  return sums;
}

function contextOf(
  run: TrainingRun,
  window: Window,
  start: StepStart,
  microStep: number,
  sets: number,
): StepContext {
  return {
    training: true,
    microStep,
    optimizerStep: start.step,
    epoch: window.epoch,
    accumulation: sets,
    uniform: uniformStream(run.settings.seed, `mode/${run.mode.name}/${microStep}`),
  };
}

/** Score, decide, learn for one decision set. */
async function learnSet(
  run: TrainingRun,
  examples: readonly TokenizedExample[],
  state: Json,
  context: StepContext,
  onScored?: () => Promise<void>,
): Promise<{ batch: ScoreBatch; outcome: ModeOutcome }> {
  const { engine, mode, modeOptions, lossTypes = defaultPairLoss } = run;
  const step = context.optimizerStep + 1;
  const scored = await scoreSet({ ...run, needs: runNeeds(run) }, examples, `step ${step}`);
  const { batch, asked } = scored;
  await onScored?.();
  const outcome = runMode(mode, batch, state, modeOptions, context, lossTypes);
  if (run.policyIsReference && context.microStep === 0) checkEqualStart(run, batch, outcome);
  // One division for the whole window: each decision set counts the same, as in transformers.
  const seeds = tokenSeeds(scored, outcome.seeds, 1 / context.accumulation);
  checkSeeds(step, asked, seeds, scored.scores.offsets);
  await engine.learn(asked, seeds);
  return { batch, outcome };
}

function checkSeeds(
  step: number,
  examples: readonly TokenizedExample[],
  seeds: Float32Array,
  offsets: Uint32Array,
): void {
  const bad = seeds.findIndex((seed) => !Number.isFinite(seed));
  if (bad < 0) return;
  const answer = offsets.findIndex((_, a) => offsets[a + 1] > bad);
  const rows = examples.flatMap(({ row, answers }) => answers.map(() => row));
  throw new NumbersError(
    `Numbers are not finite in step ${step}: the seed of row ` +
      `${rows[answer]} is "${seeds[bad]}" in float32; lower beta, or ` +
      "look at that row, then resume from the last checkpoint",
  );
}

function checkUpdate(step: number, update: StepStatus): void {
  if (update.finite && Number.isFinite(update.gradNorm)) return;
  const tensor = update.culprit === undefined ? "" : `, first in tensor "${update.culprit}"`;
  throw new NumbersError(
    `Numbers are not finite in step ${step}: the gradient norm is "${update.gradNorm}"${tensor}; ` +
      "the weights are as before the step, resume from the last checkpoint with a lower learning rate",
  );
}

/**
 * Policy and reference hold the same weights before the first step, so every margin is 0 and every
 * sigmoid loss ln 2, to the bit and to rounding. Anything else is a fault of the cache or the engine.
 */
function checkEqualStart(run: TrainingRun, batch: ScoreBatch, outcome: ModeOutcome): void {
  if (!hasMargins(batch)) return;
  const refuse = (i: number, found: string, wanted: string): never => {
    const path = run.reference?.path;
    throw new Error(
      `Policy and reference are the same model, yet before the first step ${found} of row ` +
        `${batch.rows[i]} instead of ${wanted}: ` +
        (path
          ? `the reference cache or the engine is wrong; delete "${path}" and start again`
          : "the engine gave two answers to one question"),
    );
  };
  batchMargins(batch).forEach((margin, i) => {
    if (margin !== 0) refuse(i, `the margin is "${margin}"`, "0");
  });
  const types = run.lossTypes ?? defaultPairLoss;
  if (run.mode.loss || types.some(({ type }) => type !== "sigmoid")) return;
  const expected = Math.LN2 * types.reduce((sum, { weight }) => sum + weight, 0);
  outcome.perPair.forEach((loss, i) => {
    if (outcome.weights[i] === 0 || Math.abs(loss - expected) <= 1e-12 * expected) return;
    refuse(i, `the loss is "${loss}"`, `${expected}`);
  });
}

function hasMargins(batch: ScoreBatch): boolean {
  return batch.rejected !== undefined && batch.chosen.reference !== undefined;
}

function meanOf(values: number | Float64Array): number {
  if (typeof values === "number") return values;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
