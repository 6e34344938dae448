/** How long a run is, and the plan printed before its first step. */
import type { DataReport } from "../data/load.ts";
import type { LossMode, Options } from "../losses/loss_mode.ts";
import { type Level, levelCounts, LEVELS } from "../model/recompute.ts";
import { bytesText } from "../report/summary.ts";
import type { LoopSettings } from "./run.ts";

/** Counts of a run; a decision set is what the mode decides on at once. */
export interface RunSize {
  /** Training calls an epoch, the short last one included. */
  readonly batchesPerEpoch: number;
  /** Optimizer steps an epoch; the last may have fewer training calls. */
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  /** Rows of a full decision set. */
  readonly decisionSize: number;
  /** Decision sets of the whole run. */
  readonly decisions: number;
}

/**
 * Counts of a run over `rows` rows. Windows of accumulation end with the epoch, so the last one may
 * be short. `maxSteps` wins over `epochs`, in both directions.
 */
export function runSize(
  settings: Pick<LoopSettings, "epochs" | "maxSteps" | "batchSize" | "gradientAccumulation">,
  rows: number,
  scope: "pair" | "micro" | "step",
): RunSize {
  const { epochs, maxSteps, batchSize, gradientAccumulation } = settings;
  const batchesPerEpoch = Math.ceil(rows / batchSize);
  const stepsPerEpoch = Math.ceil(batchesPerEpoch / gradientAccumulation);
  const totalSteps = maxSteps ?? epochs * stepsPerEpoch;
  const wholeEpochs = Math.floor(totalSteps / stepsPerEpoch);
  const rest = (totalSteps - wholeEpochs * stepsPerEpoch) * gradientAccumulation;
  const whole = scope === "step";
  const full = batchSize * (whole ? gradientAccumulation : 1);
  return {
    batchesPerEpoch,
    stepsPerEpoch,
    totalSteps,
    decisionSize: Math.min(full, rows),
    decisions: whole ? totalSteps : wholeEpochs * batchesPerEpoch + rest,
  };
}

export interface MemoryFacts {
  /** Bytes the plan needs on the GPU. */
  readonly needed: number;
  /** `memory_budget`. */
  readonly budget: number;
  /** Largest single binding needed, and the adapter's limit. */
  readonly largestBinding?: number;
  readonly bindingLimit?: number;
  /** What each layer's backward pass computes again. */
  readonly levels?: readonly Level[];
}

export interface PlanFacts {
  readonly settings: LoopSettings;
  readonly mode: LossMode;
  readonly modeOptions: Options;
  readonly shadows?: readonly { readonly name: string }[];
  readonly train: DataReport;
  readonly validation?: DataReport;
  readonly memory?: MemoryFacts;
}

/** The plan of a run, one fact a line. */
export function planLines(facts: PlanFacts): string[] {
  const { settings, mode, modeOptions, train, validation, memory } = facts;
  const { scope } = mode.needs(modeOptions);
  const size = runSize(settings, train.kept, scope);
  const { batchSize, gradientAccumulation, warmupSteps } = settings;
  const lines = dataLines("Training data", train);
  if (validation) lines.push(...dataLines("Validation data", validation));
  lines.push(
    `Steps: ${size.totalSteps} of ${batchSize} x ${gradientAccumulation} rows, ` +
      `${size.stepsPerEpoch} an epoch, warm-up ${warmupSteps}`,
  );
  lines.push(
    `Mode: ${mode.name}, ${size.decisions} decisions on ${size.decisionSize} rows each` +
      (scope === "step" && gradientAccumulation > 1 ? " (a whole optimizer step)" : ""),
  );
  if (facts.shadows?.length) {
    lines.push(`Shadows, which only look on: ${facts.shadows.map(({ name }) => name).join(", ")}`);
  }
  if (memory) lines.push(memoryLine(memory));
  if (memory?.levels) lines.push(recomputeLine(memory.levels));
  const remarks = mode.remarks?.(modeOptions, {
    decisionSize: size.decisionSize,
    decisions: size.decisions,
  });
  for (const remark of remarks ?? []) lines.push(`Note: ${remark}`);
  if (warmupSteps >= size.totalSteps) {
    lines.push(
      `Note: the warm-up of ${warmupSteps} steps is not over at the end of the run: the learning ` +
        'rate never reaches "learning_rate"',
    );
  }
  return lines;
}

function dataLines(title: string, data: DataReport): string[] {
  const lines = [
    `${title}: ${data.kept} of ${data.rows} rows kept, ${data.tokens} tokens, ` +
    `${data.scoredTokens} of them scored, longest sequence ${data.maxSequence}`,
  ];
  if (data.desirable !== undefined) {
    lines.push(`  single answers: ${data.desirable} desirable, ${data.undesirable} undesirable`);
  }
  const drops = Object.entries(data.dropped).sort(([, a], [, b]) => b - a);
  for (const [reason, rows] of drops) {
    lines.push(`  dropped ${rows}: ${reason} (first at ${data.droppedAt[reason]})`);
  }
  if (data.truncated > 0) lines.push(`  cut to the length limits: ${data.truncated} rows`);
  if (data.equal > 0) {
    lines.push(`  teach nothing, both answers being the same tokens: ${data.equal} rows`);
  }
  return lines;
}

function memoryLine(memory: MemoryFacts): string {
  const binding = memory.largestBinding === undefined || memory.bindingLimit === undefined
    ? ""
    : `; largest binding ${bytesText(memory.largestBinding)} of ${bytesText(memory.bindingLimit)}`;
  return `GPU memory: ${bytesText(memory.needed)} of the budget of ${
    bytesText(memory.budget)
  }${binding}`;
}

const RECOMPUTED: Readonly<Record<Level, string>> = {
  nothing: "nothing",
  elementwise: "norms and gated activations",
  products: "all but attention",
  attention: "everything",
};

function recomputeLine(levels: readonly Level[]): string {
  const counts = levelCounts(levels);
  const recomputed = levels.length - counts.nothing;
  const parts = LEVELS.filter((level) => level !== "nothing" && counts[level] > 0)
    .map((level) => `${counts[level]}: ${RECOMPUTED[level]}`);
  return recomputed === 0
    ? "Gradient checkpointing: off, all activations are kept for the backward pass"
    : `Gradient checkpointing: ${recomputed} of ${levels.length} layers compute activations again ` +
      `in the backward pass (${parts.join("; ")})`;
}
