/**
 * The training loop: optimizer steps in the sampler's order, evaluations, metrics, margins and
 * checkpoints. A plain function over an opened run; nothing in it depends on a clock or on unseeded
 * random numbers, so the same run writes the same bytes, stopped and resumed or not.
 */
import { Sampler } from "../data/sampler.ts";
import type { Json } from "../losses/loss_mode.ts";
import { firstState } from "../losses/run_mode.ts";
import type { RunEvent } from "../report/events.ts";
import { diskOperations } from "./atomic_write.ts";
import { type BestModel, followsBest, isExhausted, nextBest } from "./best_model.ts";
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
import { evaluateRun } from "./evaluation.ts";
import { checkFits, checkRun, identityFacts, resumeNotices, samplerFacts } from "./fit.ts";
import { movesReference, runNeeds } from "./needs.ts";
import { beginStep } from "./optimizer_step.ts";
import { type RunSize, runSize } from "./plan.ts";
import { bestStillThere, restoreBest, restoreCheckpoint, restoreReference } from "./restore.ts";
import { CHECKPOINTS_FOLDER, type TrainingResult, type TrainingRun } from "./run.ts";
import { checkFiles, openFiles } from "./run_files.ts";
import { openShadows, type ShadowState } from "./shadow.ts";
import { StepLog } from "./step_log.ts";
import { isDue, nextWindow } from "./window.ts";

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
    run.onOpened?.(loop.finished);
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
  readonly #log: StepLog;
  #step: number;
  #microStep: number;
  #tokens: number;
  #modeState: Json;
  #shadows: readonly ShadowState[];
  #checkpoint: { step: number; path: string } | undefined;
  #best: BestModel | null;

  private constructor(
    run: TrainingRun,
    found: LoadedCheckpoint | undefined,
    best: BestModel | null,
  ) {
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
    this.#best = best;
    if (found) this.#checkpoint = { step: found.state.step, path: found.path };
    // Last: files that are open need a loop to close them.
    this.#log = new StepLog(
      openFiles(run, found),
      state?.metrics,
      this.#size.totalSteps,
      (event) => this.#emit(event),
    );
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
    return new Loop(run, found, await bestStillThere(run, found, folder));
  }

  close(): void {
    this.#log.close();
  }

  /** Finished steps. */
  get finished(): number {
    return this.#step;
  }

  async run(): Promise<TrainingResult> {
    const { settings, signal } = this.#run;
    const { totalSteps } = this.#size;
    this.#emit({ type: "start", step: this.#step, totalSteps });
    if (this.#step === 0 && settings.evalAtStart && this.#canEvaluate() && !signal?.aborted) {
      this.#log.before(await this.#evaluate());
    }
    while (this.#step < totalSteps && !signal?.aborted && !this.#exhausted) {
      await this.#beginStep();
      await turnEventLoop();
      const better = await this.#evaluateWhenDue();
      await this.#obey();
      const due = isDue(this.#step, settings.saveSteps, totalSteps) || this.#exhausted;
      if (due || signal?.aborted || (better && settings.bestModel.loadAtEnd)) await this.#save();
    }
    const stopped = this.#step < totalSteps && !this.#exhausted;
    if (this.#exhausted && this.#step < totalSteps) this.#tellExhausted();
    if (!stopped && settings.bestModel.loadAtEnd && this.#best) await this.#loadBest(this.#best);
    return { summary: this.#summary(stopped), modeState: this.#modeState };
  }

  /** Saves where that was asked for, and waits as long as the run is paused. */
  async #obey(): Promise<void> {
    const { control, signal } = this.#run;
    if (!control) return;
    let waited = false;
    // Every await is followed by a new look: orders may have come in meanwhile.
    while (!signal?.aborted) {
      if (control.takeSave()) await this.#save();
      else if (!control.paused) break;
      else if (waited) await control.changed(signal);
      else {
        waited = true;
        await this.#log.finish();
        this.#emit({ type: "paused", step: this.#step });
      }
    }
    if (waited && !signal?.aborted) this.#emit({ type: "resumed", step: this.#step });
  }

  get #exhausted(): boolean {
    return isExhausted(this.#run.settings.bestModel, this.#best);
  }

  #tellExhausted(): void {
    const { metric, value, step, since } = this.#best!;
    const text = `Stopped early after step ${this.#step}: "${metric}" was ${value} after step ` +
      `${step}, and in ${since} evaluations since then no better`;
    this.#emit({ type: "notice", text });
  }

  /** Whether there was an evaluation and it is the best one so far. */
  async #evaluateWhenDue(): Promise<boolean> {
    const { settings } = this.#run;
    if (!this.#canEvaluate() || !isDue(this.#step, settings.evalSteps, this.#size.totalSteps)) {
      return false;
    }
    await this.#log.finish(async () => {
      const metrics = await this.#evaluate();
      if (followsBest(settings.bestModel)) {
        this.#best = nextBest(settings.bestModel, this.#best, metrics, this.#step);
      }
      return metrics;
    });
    return this.#best?.step === this.#step;
  }

  /** Ends with the weights, and the mode's state, of the best evaluation. */
  async #loadBest({ metric, value, step }: BestModel): Promise<void> {
    if (step !== this.#step) {
      const state = await restoreBest(this.#run.engine, this.#checkpoints, step);
      this.#modeState = state.mode.state as Json;
    }
    const text = `The best model is that of step ${step}, with "${metric}" ${value}`;
    this.#emit({ type: "notice", text });
  }

  get #checkpoints(): string {
    return `${this.#run.outputFolder}/${CHECKPOINTS_FOLDER}`;
  }

  /** Queues the next step; the one before is finished when the GPU has got to it. */
  async #beginStep(): Promise<void> {
    const { settings } = this.#run;
    const { totalSteps } = this.#size;
    const window = nextWindow(this.#sampler, settings.gradientAccumulation);
    const begun = await beginStep(this.#run, window, {
      step: this.#step,
      microStep: this.#microStep,
      totalSteps,
      modeState: this.#modeState,
      shadows: this.#shadows,
      onScored: () => this.#log.finish(),
    });
    this.#step++;
    this.#microStep = begun.microStep;
    this.#modeState = begun.modeState;
    this.#shadows = begun.shadows;
    this.#tokens += begun.tokens;
    const { epoch } = window;
    this.#log.begin({ begun, epoch, epochs: this.#epochs(), tokens: this.#tokens });
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
    const { rows, metrics } = await evaluateRun(this.#run, this.#modeState, {
      microStep: this.#microStep,
      optimizerStep: this.#step,
      epoch: this.#sampler.position.epoch,
      accumulation: 1,
    });
    this.#emit({ type: "evaluation", step: this.#step, pairs: rows, metrics });
    if (!this.#run.signal?.aborted) await this.#run.onEvaluated?.(this.#step);
    return metrics;
  }

  async #save(): Promise<void> {
    if (this.#checkpoint?.step === this.#step) return;
    await this.#log.finish();
    const positions = this.#log.sync();
    const { engine, settings, reference } = this.#run;
    const path = await saveCheckpoint({
      folder: this.#checkpoints,
      operations: this.#run.operations ?? diskOperations,
      engine,
      reference: movesReference(this.#run) ? reference!.moving : undefined,
      state: this.#state(positions),
      limit: settings.saveTotalLimit,
      keep: settings.bestModel.loadAtEnd ? this.#best?.step : undefined,
    });
    this.#checkpoint = { step: this.#step, path };
    this.#emit({ type: "checkpoint", step: this.#step, path });
  }

  #state(positions: CheckpointState["positions"]): CheckpointState {
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
      positions,
      engine: engine.fingerprint,
      chunkPlan: engine.chunkPlan
        ? { tokens: engine.chunkPlan.tokens, scored: engine.chunkPlan.scored }
        : null,
      optimizer: settings.optimizer.kind,
      identities: identityFacts(this.#run),
      config: configId,
      best: this.#best,
      resumable: !settings.saveOnlyModel,
      metrics: this.#log.kept,
    };
  }

  #summary(stopped: boolean): TrainingResult["summary"] {
    const { first, last, before, evaluation } = this.#log.kept;
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
