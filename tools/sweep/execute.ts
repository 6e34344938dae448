/**
 * One run of a sweep, from its settings to its result, on a device that all runs of a process share. A
 * run that was killed goes on from its checkpoint; one whose result is there is not touched.
 */
import { cacheFolder } from "../../commands/references.ts";
import { closeSession, openSession } from "../../commands/session.ts";
import { runSession } from "../../commands/train_run.ts";
import { FINAL } from "../../commands/run_folder.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { RunEvent, Sink } from "../../report/events.ts";
import { ConfigError } from "../../trainer/error.ts";
import { CHECKPOINTS_FOLDER, METRICS_FILE } from "../../trainer/run.ts";
import { jsonLines } from "../example/datasets.ts";
import { defaultWorld, trainingPairs, type WorldOptions } from "../world/datasets.ts";
import { WorldMeter } from "./measure_run.ts";
import { flaggedNoise, usedBetas } from "./microscope.ts";
import { summarizeMetrics } from "./metrics_file.ts";
import type { SweepRun } from "./plan.ts";
import { readResult, type RunResult, writeResult, writeText } from "./results.ts";
import type { SweepFile } from "./sweep_file.ts";

/** What the runs of a process share. */
export interface Shared {
  readonly gpu: Gpu;
  readonly file: SweepFile;
  /** Path of the base config. */
  readonly config: string;
  /** Folder of the sweep. */
  readonly out: string;
  /** Opened by the first run that needs it; all runs of a sweep compare with one reference. */
  meter?: Promise<WorldMeter>;
}

const PAIRS_FILE = "pairs.jsonl";

/** Held while a run is in progress. */
const LOCK_FILE = ".lock";

/**
 * Trains, measures and writes `result.json`, the mark of a run that is done. A process that still works in
 * the folder, perhaps one whose parent was killed a moment ago, is waited for.
 */
export async function executeRun(shared: Shared, run: SweepRun): Promise<RunResult> {
  const folder = `${shared.out}/${run.name}`;
  await Deno.mkdir(folder, { recursive: true });
  using lock = await Deno.open(`${folder}/${LOCK_FILE}`, { create: true, write: true });
  await lock.lock(true);
  const result = readResult(shared.out, run) ?? await produceResult(shared, run, folder);
  await lock.unlock();
  return result;
}

async function produceResult(shared: Shared, run: SweepRun, folder: string): Promise<RunResult> {
  // Left by a run that was killed after training and before its result.
  await removeIfThere(`${folder}/${FINAL}`);
  const overrides = Object.entries(run.settings).map(([key, value]) =>
    `${key}=${JSON.stringify(value)}`
  );
  const pairs = run.example && trainingPairs(worldOptions(run.example, shared.file.head));
  if (pairs) {
    const path = `${folder}/${PAIRS_FILE}`;
    await writeText(path, jsonLines(pairs));
    overrides.push(`dataset.dataset_name=${JSON.stringify(path)}`);
  }
  const reference = await train(shared, folder, overrides);
  const metrics: Record<string, number> = {
    ...summarizeMetrics(`${folder}/${METRICS_FILE}`),
    ...usedBetas(folder),
  };
  if (pairs) {
    shared.meter ??= WorldMeter.open(shared.gpu, reference, shared.file.measure);
    Object.assign(metrics, await (await shared.meter).measure(`${folder}/${FINAL}`));
    Object.assign(metrics, flaggedNoise(folder, pairs));
  }
  const result = { name: run.name, id: run.id, axes: run.axes, metrics };
  await writeResult(folder, result);
  if (shared.file.keep === "results") {
    for (const name of [FINAL, CHECKPOINTS_FOLDER, PAIRS_FILE, "logs"]) {
      await removeIfThere(`${folder}/${name}`);
    }
  }
  return result;
}

/** Trains in `folder`; returns the name of the reference. */
async function train(
  { gpu, config }: Shared,
  folder: string,
  overrides: readonly string[],
): Promise<string> {
  const events = noticesOf();
  const session = await openSession({ config, overrides, events });
  try {
    await runSession(session, {
      outputFolder: folder,
      cacheFolder: cacheFolder(),
      resume: "newest",
      events,
      signal: new AbortController().signal,
      gpu,
    });
    return session.parsed.config.ref_name;
  } finally {
    closeSession(session);
  }
}

/** A run among hundreds prints nothing; its metrics are in its folder. */
function noticesOf(): Sink {
  return { accept(_event: RunEvent) {} };
}

/** @throws ConfigError when a key or value is none of the world's */
export function worldOptions(example: SweepRun["example"], head: string): WorldOptions {
  const options: Record<string, number> = { ...defaultWorld };
  for (const [key, value] of Object.entries(example ?? {})) {
    if (!Object.hasOwn(defaultWorld, key)) {
      const known = Object.keys(defaultWorld).join(", ");
      throw new ConfigError(`${head}: "example.${key}" is unknown; the world has ${known}`);
    }
    if (typeof value !== "number" || Number.isNaN(value)) {
      throw new ConfigError(
        `${head}: "example.${key}" must be a number, got ${JSON.stringify(value)}`,
      );
    }
    options[key] = value;
  }
  const { pairs, flipped, seed } = options;
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (!whole(pairs) || pairs === 0 || !whole(seed) || flipped < 0 || flipped > 1) {
    throw new ConfigError(
      `${head}: the world's pairs need "pairs" of at least 1, a "seed" of at least 0 and a share ` +
        `"flipped" from 0 to 1`,
    );
  }
  return options as unknown as WorldOptions;
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
