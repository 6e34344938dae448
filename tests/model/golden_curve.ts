/** Training on the goldens' pairs in the goldens' order, by the trainer's own optimizer steps. */
import pairs from "../goldens/torch/pairs.json" with { type: "json" };
import type { Gpu } from "../../gpu/device.ts";
import type { Storage } from "../../gpu/storage.ts";
import type { Json, LossMode, Metrics, Options } from "../../losses/loss_mode.ts";
import { defaultOptions } from "../../losses/options.ts";
import type { PairLossChoice } from "../../losses/pair_loss.ts";
import type { TokenizedExample } from "../../model/engine.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import { answerSums, type TrainingDataset } from "../../trainer/decision_set.ts";
import type { Modifiers } from "../../trainer/needs.ts";
import { optimizerStep, type StepResult } from "../trainer/one_step.ts";
import type { LoopSettings, TrainingRun } from "../../trainer/run.ts";
import type { ReferenceLogps } from "../../trainer/reference_cache.ts";
import { collect, engineOf, type Model, row } from "./small_engine.ts";
import { goldenModel, type GoldenName } from "./torch_goldens.ts";

/** The goldens' pairs. */
export const pairRows: TrainingDataset = {
  length: pairs.rows.length,
  get: (i) => row(i, pairs.rows[i].prompt, [pairs.rows[i].chosen, pairs.rows[i].rejected]),
};

/** One answer of each pair, good ones where `labels` says 1: what unpaired goldens are trained on. */
export function labelledRows(labels: readonly number[]): TrainingDataset {
  const { length } = pairRows;
  return {
    length,
    get: (i) => {
      const { prompt, chosen, rejected } = pairs.rows[i];
      return {
        ...row(i, prompt, [labels[i] === 1 ? chosen : rejected]),
        label: labels[i] as 0 | 1,
      };
    },
  };
}

/** Each row with the answer of the row before it in its batch, the first with the last's: as in TRL. */
export function rotatedRows(dataset: TrainingDataset, batchSize: number): TrainingDataset {
  const { length } = dataset;
  return {
    length,
    get: async (i) => {
      const example = await dataset.get(i);
      const before = await dataset.get(i % batchSize === 0 ? i + batchSize - 1 : i - 1);
      return { ...example, answers: [...example.answers, ...before.answers] };
    },
  };
}

/** What the goldens say about how they were made. */
export interface CurveSettings {
  readonly steps: number;
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly maxGradNorm: number;
}

function loopSettings(settings: CurveSettings): LoopSettings {
  const { steps, batchSize, gradientAccumulation, learningRate, warmupSteps, maxGradNorm } =
    settings;
  return {
    epochs: 1,
    maxSteps: steps,
    batchSize,
    evalBatchSize: batchSize,
    gradientAccumulation,
    learningRate,
    lrScheduler: "linear",
    warmupSteps,
    maxGradNorm,
    optimizer: {
      kind: "adamw",
      beta1: 0.9,
      beta2: 0.999,
      eps: 1e-8,
      weightDecay: 0,
      alpha: 0.99,
    },
    evalSteps: 0,
    saveSteps: 0,
    evalAtStart: false,
    saveOnlyModel: false,
    bestModel: { loadAtEnd: false, threshold: 0 },
    seed: 0,
    dataSeed: 0,
  };
}

/** One training call as the mode saw it. */
export interface Call {
  readonly loss: number;
  readonly margins: readonly number[];
  readonly metrics: Metrics;
}

export interface Curve {
  readonly steps: readonly StepResult[];
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** Summed log-probabilities of all rows under a model that is then freed, as if cached. */
export async function frozenReference(
  gpu: Gpu,
  model: Model,
  storage?: Storage,
): Promise<ReferenceLogps> {
  const engine = await engineOf(gpu, model, { optimizer: undefined, tokens: 170, storage });
  const rows: TokenizedExample[] = [];
  for (let i = 0; i < pairRows.length; i++) rows.push(await pairRows.get(i));
  const sums = answerSums(await engine.score(rows));
  engine.destroy();
  return {
    sums: (examples: readonly TokenizedExample[]) =>
      Float64Array.from(examples.flatMap(({ row }) => [sums[2 * row], sums[2 * row + 1]])),
  };
}

/** What is trained with: the settings of a golden, and what its mode needs. */
export interface CurveChoices {
  readonly settings: CurveSettings;
  readonly options?: Options;
  readonly lossTypes?: readonly PairLossChoice[];
  readonly modifiers?: Modifiers;
  /** How both models are stored on the GPU. Absent: as f32. */
  readonly storage?: Storage;
  /** Absent: the goldens' pairs. */
  readonly dataset?: TrainingDataset;
}

/** Trains the model `llama` with a mode; `reference` names the frozen model. */
export async function trainCurve(
  gpu: Gpu,
  mode: LossMode,
  golden: CurveChoices & { readonly reference?: GoldenName },
): Promise<Curve> {
  const { reference, storage } = golden;
  const engine = await engineOf(gpu, goldenModel("llama"), { storage });
  const steps = await trainSteps(engine, mode, {
    ...golden,
    reference: reference && await frozenReference(gpu, goldenModel(reference), storage),
    policyIsReference: reference === "llama",
  });
  const weights = await collect(engine.weights());
  engine.destroy();
  return { steps, weights };
}

/** The optimizer steps of a golden from the weights that the engine has. */
export async function trainSteps(
  engine: LlamaEngine,
  mode: LossMode,
  choices: CurveChoices & {
    readonly reference?: ReferenceLogps;
    readonly policyIsReference: boolean;
  },
): Promise<readonly StepResult[]> {
  const { settings, reference, policyIsReference, options, lossTypes, modifiers } = choices;
  const { dataset = pairRows } = choices;
  const modeOptions = { ...defaultOptions(mode.options), ...options };
  const run: TrainingRun = {
    settings: loopSettings(settings),
    mode,
    modeOptions,
    lossTypes,
    modifiers,
    engine,
    reference,
    policyIsReference,
    train: dataset,
    outputFolder: "",
    configId: "",
  };
  const steps: StepResult[] = [];
  let modeState: Json = mode.init(modeOptions), microStep = 0;
  for (let step = 0; step < settings.steps; step++) {
    const batches = Array.from(
      { length: settings.gradientAccumulation },
      (_, i) =>
        Uint32Array.from(
          { length: settings.batchSize },
          (_, j) => ((microStep + i) * settings.batchSize + j) % dataset.length,
        ),
    );
    const start = { step, microStep, totalSteps: settings.steps, modeState };
    const result = await optimizerStep(run, { epoch: 0, batches }, start);
    ({ modeState, microStep } = result);
    steps.push(result);
  }
  return steps;
}
