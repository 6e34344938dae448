/**
 * A training run to be killed, in a process of its own:
 *
 *     deno run -A tests/crash/run.ts MODE FOLDER RESUME [naive]
 *
 * 40 steps over the fake engine, a checkpoint of 36 MiB every third one. Says "open" when training
 * begins and "done" at its end. `naive` saves checkpoints as a careless program does: in place, under
 * their final names.
 */
import type { TokenizedExample } from "../../model/engine.ts";
import { loadMode } from "../../modes/mod.ts";
import {
  diskOperations,
  type FileOperations,
  TEMPORARY_PREFIX,
} from "../../trainer/atomic_write.ts";
import { liveReference } from "../../trainer/reference_cache.ts";
import { train } from "../../trainer/trainer.ts";
import { defaultOptions } from "../../losses/options.ts";
import type { Needs } from "../../losses/loss_mode.ts";
import type { TrainingDataset } from "../../trainer/decision_set.ts";
import { fakeRun, pairs, settings, startWeight, VOCABULARY } from "../trainer/fake_run.ts";
import { PaddedEngine } from "./padded_engine.ts";

export const STEPS = 40;
/** MiB of weights, and of both moments: 36 in all. */
const PADDING = 12;

/** Rows as the mode wants them: pairs, or single answers with a label, with another's answer behind. */
function rowsFor(needs: Needs, data: TrainingDataset): TrainingDataset {
  if (needs.rows === "pairs") return data;
  const get = (i: number): TokenizedExample => {
    const example = data.get(i) as TokenizedExample;
    const [own, other] = example.answers;
    const answers = needs.extra === "mismatched" ? [own, other] : [own];
    return needs.rows === "single"
      ? { ...example, answers }
      : { ...example, answers, label: i % 3 === 0 ? 0 : 1 };
  };
  return { length: data.length, get };
}

const naive: FileOperations = {
  ...diskOperations,
  mkdir: (path) => diskOperations.mkdir(path.replace(TEMPORARY_PREFIX, "")),
  create: (path) => diskOperations.create(path.replace(TEMPORARY_PREFIX, "")),
  syncFolder: () => Promise.resolve(),
  rename: (from, to) =>
    from.includes(TEMPORARY_PREFIX) ? Promise.resolve() : diskOperations.rename(from, to),
};

const [name, folder, resume, writer] = Deno.args;
const mode = await loadMode(name);
const needs = mode.needs(defaultOptions(mode.options));
const engine = new PaddedEngine(VOCABULARY, startWeight, PADDING);
const moving = new PaddedEngine(VOCABULARY, startWeight, 0);
engine.mixed = moving;
moving.followed = engine;
const run = fakeRun(mode, folder, {
  settings: {
    ...settings,
    maxSteps: STEPS,
    evalSteps: 10,
    evalAtStart: false,
    saveSteps: 3,
    saveTotalLimit: 2,
  },
  // Beta moves within the run, and no warm-up is longer than it.
  options: name === "risk" ? { beta_warmup: 9, alpha: 0.1 } : {},
  engine,
  reference: liveReference(moving, { moving: needs.referenceSync ? moving : undefined }),
  train: rowsFor(needs, pairs(22)),
  validation: rowsFor(needs, pairs(5, 100)),
  marginLog: needs.rows === "pairs"
    ? { folder: `${folder}/logs/margins`, sampleSize: 3 }
    : undefined,
  resume: resume as "no" | "newest",
  operations: writer === "naive" ? naive : undefined,
  onOpened: () => console.log("open"),
});
await train(run);
console.log("done");
