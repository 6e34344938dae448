/**
 * The training loop: optimizer steps in the sampler's order, evaluations, metrics, margins and
 * checkpoints. A plain function over an opened run; nothing in it depends on a clock or on unseeded
 * random numbers, so the same run writes the same bytes, stopped and resumed or not.
 */
import { Sampler } from "../data/sampler.ts";
import type { Json } from "../losses/loss_mode.ts";
import { firstState } from "../losses/run_mode.ts";
import type { RunEvent } from "../report/events.ts";
import type { JsonLinesFile } from "../report/json_lines.ts";
import { metricsRecord } from "../report/metrics_jsonl.ts";
import { diskOperations } from "./atomic_write.ts";
import {
  CHECKPOINT_FORMAT,
  type CheckpointState,
  cleanCheckpoints,
  removeCheckpointsAbove,
  saveCheckpoint,
} from "./checkpoint.ts";
import { type LoadedCheckpoint, newestCheckpoint } from "./checkpoint_read.ts";
import { ConfigError } from "./error.ts";
import { turnEventLoop } from "./event_loop.ts";
import { evaluate } from "./evaluation.ts";
import { checkFits, checkRun, identityFacts, resumeNotices, samplerFacts } from "./fit.ts";
import type { MarginLog } from "./margin_log.ts";
import { movesReference, runNeeds } from "./needs.ts";
import { optimizerStep, type StepResult, type Window } from "./optimizer_step.ts";
import { type RunSize, runSize } from "./plan.ts";
import { restoreCheckpoint, restoreReference } from "./restore.ts";
import { CHECKPOINTS_FOLDER, type TrainingResult, type TrainingRun } from "./run.ts";
import { checkFiles, openFiles } from "./run_files.ts";
import { openShadows, type ShadowState } from "./shadow.ts";

type MetricValues = Readonly<Record<string, number>>;

/**
 * Trains until the last step, or until the run's signal is aborted and the step in progress is done.
 *
 * @throws ConfigError when a checkpoint does not fit the run; NumbersError when numbers are not
 * finite; what mode, engine and file system throw
 */
export async function train(run: TrainingRun): Promise<TrainingResult> {
  checkRun(run);
  const loop = await Loop.open(run);
  try {
    run.onOpened?.();
    return await loop.run();
  } finally {
    loop.close();
  }
}

/** The loop with its open files. */
class Loop {
  readonly #run: TrainingRun;
  readonly #size: RunSize;
  readonly #sampler: Sampler;
  readonly #metrics: JsonLinesFile;
  readonly #margins: MarginLog | undefined;
  #step: number;
  #microStep: number;
  #tokens: number;
  #modeState: Json;
  #shadows: readonly ShadowState[];
  #kept: CheckpointState["metrics"];
  #checkpoint: { step: number; path: string } | undefined;

  private constructor(run: TrainingRun, found: LoadedCheckpoint | undefined) {
    const { settings, mode, modeOptions } = run;
    const { scope } = runNeeds(run);
    const state = found?.state;
    this.#run = run;
    this.#size = runSize(settings, run.train.length, scope);
    this.#sampler = new Sampler({
      length: run.train.length,
      batchSize: settings.batchSize,
      seed: settings.dataSeed,
      position: state?.sampler,
    });
    this.#step = state?.step ?? 0;
    this.#microStep = state?.microStep ?? 0;
    this.#tokens = state?.tokens ?? 0;
    this.#modeState = (state?.mode.state ?? firstState(mode, modeOptions)) as Json;
    this.#shadows = openShadows(run.shadows, state?.shadows as ShadowState[] | undefined);
    this.#kept = state?.metrics ?? { first: null, last: null, before: null, evaluation: null };
    if (found) this.#checkpoint = { step: found.state.step, path: found.path };
    // Last: files that are open need a loop to close them.
    ({ metrics: this.#metrics, margins: this.#margins } = openFiles(run, found));
  }

  /**
   * Finds a checkpoint where resuming is asked for, and puts weights and moments back. Until nothing
   * can be refused any more, nothing on disk is changed.
   */
  static async open(run: TrainingRun): Promise<Loop> {
    const folder = `${run.outputFolder}/${CHECKPOINTS_FOLDER}`;
    const operations = run.operations ?? diskOperations;
    const found = await newestCheckpoint(folder, run.resume === "older");
    if (found) {
      if (run.resume === undefined || run.resume === "no") {
        throw new ConfigError(
          `The output folder "${run.outputFolder}" holds a run already: pass --resume to go on with ` +
            "it, or choose another folder",
        );
      }
      checkFits(run, found);
      checkFiles(run, found);
      await restoreCheckpoint(run.engine, found);
      const { reference } = found;
      if (reference) await restoreReference(run.reference!.moving!, { ...found, reference });
      for (const text of resumeNotices(run, found.state)) {
        run.events?.accept({ type: "notice", text });
      }
    }
    await cleanCheckpoints(operations, folder);
    if (found) await removeCheckpointsAbove(operations, folder, found.state.step);
    return new Loop(run, found);
  }

  close(): void {
    this.#metrics.close();
    this.#margins?.close();
  }

  async run(): Promise<TrainingResult> {
    const { settings, signal } = this.#run;
    const { totalSteps } = this.#size;
    this.#emit({ type: "start", step: this.#step, totalSteps });
    if (this.#step === 0 && settings.evalAtStart && this.#canEvaluate() && !signal?.aborted) {
      const metrics = await this.#evaluate();
      this.#kept = { ...this.#kept, before: metrics };
      this.#metrics.append(metricsRecord(0, { epoch: 0, ...metrics }));
    }
    while (this.#step < totalSteps && !signal?.aborted) {
      await this.#oneStep();
      await turnEventLoop();
      if (isDue(this.#step, settings.saveSteps, totalSteps) || signal?.aborted) await this.#save();
    }
    const stopped = this.#step < totalSteps;
    return { summary: this.#summary(stopped), modeState: this.#modeState };
  }

  async #oneStep(): Promise<void> {
    const { settings } = this.#run;
    const { totalSteps } = this.#size;
    const window = nextWindow(this.#sampler, settings.gradientAccumulation);
    const result = await optimizerStep(this.#run, window, {
      step: this.#step,
      microStep: this.#microStep,
      totalSteps,
      modeState: this.#modeState,
      shadows: this.#shadows,
    });
    this.#step++;
    this.#microStep = result.microStep;
    this.#modeState = result.modeState;
    this.#shadows = result.shadows;
    this.#tokens += result.tokens;
    if (result.margins.length > 0) {
      this.#margins?.write(window.epoch, this.#step, result.margins);
    }
    const metrics = { ...result.metrics, epoch: this.#epochs(), num_tokens: this.#tokens };
    this.#report(metrics, result);
    const evaluated = this.#canEvaluate() && isDue(this.#step, settings.evalSteps, totalSteps)
      ? await this.#evaluate()
      : undefined;
    // Written after the evaluation, so that a step is one line, and whole.
    this.#metrics.append(metricsRecord(this.#step, { ...metrics, ...evaluated }));
    this.#kept = {
      ...this.#kept,
      first: this.#kept.first ?? metrics,
      last: metrics,
      evaluation: evaluated ?? this.#kept.evaluation,
    };
  }

  #report(metrics: MetricValues, result: StepResult): void {
    const { pairs, tokens, margin, beta } = result;
    const { totalSteps } = this.#size;
    this.#emit({
      type: "step",
      step: this.#step,
      totalSteps,
      pairs,
      tokens,
      margin,
      beta,
      metrics,
    });
  }

  /** Finished epochs, with a fraction. */
  #epochs(): number {
    const { epoch, index } = this.#sampler.position;
    return epoch + index / this.#sampler.length;
  }

  #canEvaluate(): boolean {
    return (this.#run.validation?.length ?? 0) > 0;
  }

  async #evaluate(): Promise<MetricValues> {
    const { engine, settings, mode, modeOptions, lossTypes, modifiers, events, signal } = this.#run;
    // Half an evaluation is worth nothing, and its step's line could not be written without it.
    const onAbort = () =>
      this.#emit({
        type: "notice",
        text:
          "Stopping: finishing the evaluation first; a second signal ends the run at once, and " +
          "what came after the last checkpoint is lost",
      });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort);
    const { rows, metrics } = await evaluate({
      engine,
      dataset: this.#run.validation!,
      batchSize: settings.evalBatchSize,
      reference: this.#run.validationReference ?? this.#run.reference,
      mode,
      modeOptions,
      lossTypes,
      modifiers,
      state: this.#modeState,
      place: {
        microStep: this.#microStep,
        optimizerStep: this.#step,
        epoch: this.#sampler.position.epoch,
        accumulation: 1,
      },
      events,
    }).finally(() => signal?.removeEventListener("abort", onAbort));
    this.#emit({ type: "evaluation", step: this.#step, pairs: rows, metrics });
    return metrics;
  }

  async #save(): Promise<void> {
    // The state refers to these bytes, so they must outlive it.
    this.#metrics.sync();
    this.#margins?.sync();
    const { engine, settings, outputFolder, reference } = this.#run;
    const path = await saveCheckpoint({
      folder: `${outputFolder}/${CHECKPOINTS_FOLDER}`,
      operations: this.#run.operations ?? diskOperations,
      engine,
      reference: movesReference(this.#run) ? reference!.moving : undefined,
      state: this.#state(),
      limit: settings.saveTotalLimit,
    });
    this.#checkpoint = { step: this.#step, path };
    this.#emit({ type: "checkpoint", step: this.#step, path });
  }

  #state(): CheckpointState {
    const { settings, mode, engine, configId } = this.#run;
    return {
      format: CHECKPOINT_FORMAT,
      step: this.#step,
      microStep: this.#microStep,
      tokens: this.#tokens,
      sampler: { ...this.#sampler.position, ...samplerFacts(this.#run) },
      mode: {
        name: mode.name,
        version: mode.version,
        state: this.#modeState as CheckpointState["mode"]["state"],
      },
      shadows: this.#shadows as CheckpointState["shadows"],
      positions: { metrics: this.#metrics.position, margins: this.#margins?.position ?? 0 },
      engine: engine.fingerprint,
      chunkPlan: engine.chunkPlan
        ? { tokens: engine.chunkPlan.tokens, scored: engine.chunkPlan.scored }
        : null,
      optimizer: settings.optimizer.kind,
      identities: identityFacts(this.#run),
      config: configId,
      resumable: !settings.saveOnlyModel,
      metrics: this.#kept,
    };
  }

  #summary(stopped: boolean): TrainingResult["summary"] {
    const { first, last, before, evaluation } = this.#kept;
    return {
      mode: this.#run.mode.name,
      steps: this.#step,
      totalSteps: this.#size.totalSteps,
      epochs: this.#epochs(),
      tokens: this.#tokens,
      first: first ?? undefined,
      last: last ?? undefined,
      before: before ?? undefined,
      evaluation: evaluation ?? undefined,
      checkpoint: this.#checkpoint?.path,
      stopped,
    };
  }

  #emit(event: RunEvent): void {
    this.#run.events?.accept(event);
  }
}

/** True at every `every`-th step (0: none) and at the last one. */
function isDue(step: number, every: number, totalSteps: number): boolean {
  return step === totalSteps || (every > 0 && step % every === 0);
}

/** The batches of the next optimizer step: never across the end of an epoch. */
function nextWindow(sampler: Sampler, accumulation: number): Window {
  const { epoch, rows } = sampler.next();
  const batches = [rows];
  while (batches.length < accumulation && sampler.position.index < sampler.length) {
    batches.push(sampler.next().rows);
  }
  return { epoch, batches };
}
