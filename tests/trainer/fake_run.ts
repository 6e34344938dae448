/** Small runs over the fake engine, and what the tests compare of them. */
import { createHash } from "node:crypto";
import { defaultOptions } from "../../losses/options.ts";
import type { LossMode, Options } from "../../losses/loss_mode.ts";
import type { TokenizedExample } from "../../model/engine.ts";
import type { RunEvent } from "../../report/events.ts";
import type { TrainingDataset } from "../../trainer/decision_set.ts";
import { liveReference } from "../../trainer/reference_cache.ts";
import type { LoopSettings, TrainingRun } from "../../trainer/run.ts";
import { FakeEngine } from "./fake_engine.ts";

export const VOCABULARY = 7;

/** True where the tests may use files; bare `deno test` may not. */
export const FILES_ALLOWED =
  (await Deno.permissions.query({ name: "write" })).state === "granted" &&
  (await Deno.permissions.query({ name: "read" })).state === "granted";

/** Weights that are no number by accident: spread, all different. */
export function startWeight(index: number): number {
  return Math.sin(1 + 3 * index);
}

/** Pairs over a vocabulary of 7 whose chosen answers go up and whose rejected ones go down. */
export function pairs(length: number, firstRow = 0): TrainingDataset {
  const examples = Array.from({ length }, (_, i): TokenizedExample => {
    const row = firstRow + i;
    const start = row % VOCABULARY;
    const answer = (step: number, tokens: number) => ({
      // The first id belongs to the prompt.
      ids: Uint32Array.from(
        { length: tokens + 1 },
        (_, t) => (start + step * (t + 1)) % VOCABULARY,
      ),
      scoredFrom: 1,
    });
    return {
      row,
      prompt: Uint32Array.of(start),
      answers: [answer(1, 2 + row % 3), answer(VOCABULARY - 2, 1 + row % 4)],
    };
  });
  return { length, get: (i) => examples[i] };
}

export const settings: LoopSettings = {
  epochs: 2,
  batchSize: 4,
  evalBatchSize: 3,
  gradientAccumulation: 2,
  learningRate: 0.05,
  lrScheduler: "linear",
  warmupSteps: 2,
  maxGradNorm: 1,
  optimizer: {
    kind: "adamw",
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: 0.01,
    alpha: 0.99,
  },
  evalSteps: 3,
  saveSteps: 0,
  evalAtStart: true,
  saveOnlyModel: false,
  bestModel: { loadAtEnd: false, threshold: 0 },
  seed: 3,
  dataSeed: 5,
};

export interface FakeRun extends TrainingRun {
  readonly engine: FakeEngine;
  readonly seen: RunEvent[];
}

/** A run of 22 pairs in batches of 4, 2 batches a step: 3 steps an epoch, the last one short. */
export function fakeRun(
  mode: LossMode,
  outputFolder: string,
  changes: Partial<TrainingRun> & { readonly options?: Options } = {},
): FakeRun {
  const seen: RunEvent[] = [];
  return {
    settings,
    mode,
    modeOptions: { ...defaultOptions(mode.options), ...changes.options },
    engine: new FakeEngine(VOCABULARY, startWeight),
    reference: liveReference(new FakeEngine(VOCABULARY, startWeight)),
    policyIsReference: true,
    train: pairs(22),
    validation: pairs(5, 100),
    outputFolder,
    marginLog: { folder: `${outputFolder}/logs/margins`, sampleSize: 3 },
    configId: "test",
    events: { accept: (event) => seen.push(event) },
    ...changes,
    seen,
  } as FakeRun;
}

/** Runs `use` with a new folder, which is removed afterwards. */
export async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** sha256 of every file below a folder, by relative path. */
export async function folderDigest(folder: string, below = ""): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  const entries = [...Deno.readDirSync(`${folder}/${below}`)];
  for (const { name, isDirectory } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below ? `${below}/${name}` : name;
    if (isDirectory) Object.assign(digests, await folderDigest(folder, path));
    else {
      const bytes = await Deno.readFile(`${folder}/${path}`);
      digests[path] = createHash("sha256").update(bytes).digest("hex");
    }
  }
  return digests;
}

/** The records of a JSON lines file. */
export function readLines(path: string): Record<string, unknown>[] {
  return Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));
}
