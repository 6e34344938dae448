/** What a training run is made of: everything `train` needs, already opened and checked. */
import type { Json, LossMode, Options } from "../losses/loss_mode.ts";
import type { PairLossChoice } from "../losses/pair_loss.ts";
import type { TrainingEngine } from "../model/engine.ts";
import type { Sink } from "../report/events.ts";
import type { RunSummary } from "../report/summary.ts";
import type { FileOperations } from "./atomic_write.ts";
import type { TrainingSettings } from "./config/settings.ts";
import type { TrainingDataset } from "./decision_set.ts";
import type { MarginLogSettings } from "./margin_log.ts";
import type { Modifiers } from "./needs.ts";
import type { ReferenceLogps } from "./reference_cache.ts";
import type { RunControl } from "./run_control.ts";
import type { Shadow } from "./shadow.ts";

/** The settings the loop reads. */
export type LoopSettings = Pick<
  TrainingSettings,
  | "epochs"
  | "maxSteps"
  | "batchSize"
  | "evalBatchSize"
  | "gradientAccumulation"
  | "learningRate"
  | "lrScheduler"
  | "warmupSteps"
  | "maxGradNorm"
  | "optimizer"
  | "evalSteps"
  | "saveSteps"
  | "evalAtStart"
  | "saveTotalLimit"
  | "saveOnlyModel"
  | "bestModel"
  | "seed"
  | "dataSeed"
>;

/** An engine, with what it may tell about itself so that resuming can be checked. */
export interface RunEngine extends TrainingEngine {
  /** Names and shapes of all weights; absent: they are learned by reading the weights. */
  readonly parameterShapes?: ReadonlyMap<string, readonly number[]>;
  /** Capacities of a chunk: another plan may sum gradients in another order. */
  readonly chunkPlan?: { readonly tokens: number; readonly scored: number };
}

export interface TrainingRun {
  readonly settings: LoopSettings;
  readonly mode: LossMode;
  readonly modeOptions: Options;
  /** The pair losses of `loss_type`; absent: sigmoid. */
  readonly lossTypes?: readonly PairLossChoice[];
  /** Token and pair weights, and a reference that moves; absent: none. */
  readonly modifiers?: Modifiers;
  /** Other modes and pair losses that look on; they change nothing but metrics. */
  readonly shadows?: readonly Shadow[];
  readonly engine: RunEngine;
  /** Needed unless the mode needs no reference. */
  readonly reference?: ReferenceLogps;
  /** The reference for the validation rows; absent: `reference`. */
  readonly validationReference?: ReferenceLogps;
  /** True when training starts from the very weights of the reference: checked at the first step. */
  readonly policyIsReference: boolean;
  readonly train: TrainingDataset;
  /** Absent or empty: nothing is evaluated. */
  readonly validation?: TrainingDataset;
  /** Gets `metrics.jsonl` and `checkpoints/`; must exist. */
  readonly outputFolder: string;
  /** Absent: no margins are logged. */
  readonly marginLog?: MarginLogSettings;
  /** Identifies the config as used, e.g. its sha256. */
  readonly configId: string;
  /**
   * Identify the weights that training starts from and those of the reference, e.g. a sha256 each:
   * resuming is refused for another policy, told for another reference.
   */
  readonly identities?: { readonly policy: string; readonly reference?: string };
  /** `newest`: from the newest checkpoint if there is one; `older`: a damaged one may be passed over. */
  readonly resume?: "no" | "newest" | "older";
  /**
   * Called with the finished steps once everything is checked, restored and open, before the first: only from here on
   * may a run that could have been refused change what is on disk.
   */
  readonly onOpened?: (finished: number) => void;
  readonly events?: Sink;
  /**
   * When aborted, the step in progress and an evaluation are finished, a checkpoint is written, and
   * `train` returns.
   */
  readonly signal?: AbortSignal;
  /** Pauses the run, and asks for checkpoints out of turn; absent: nobody does. */
  readonly control?: RunControl;
  /** Called after each evaluation, with the model as it was evaluated. */
  readonly onEvaluated?: (step: number) => Promise<void>;
  /** For tests. */
  readonly operations?: FileOperations;
}

export interface TrainingResult {
  readonly summary: RunSummary;
  /** The mode's last state, to be kept with the model. */
  readonly modeState: Json;
}

/** Name of the metrics file in the output folder. */
export const METRICS_FILE = "metrics.jsonl";
/** Name of the checkpoints' folder in the output folder. */
export const CHECKPOINTS_FOLDER = "checkpoints";
