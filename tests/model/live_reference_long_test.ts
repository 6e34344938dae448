/** Runs with a reference on the GPU, stopped and resumed: the same bytes. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { LossMode } from "../../losses/loss_mode.ts";
import { defaultOptions } from "../../losses/options.ts";
import dpo from "../../modes/dpo.ts";
import epsilonDpo from "../../modes/epsilon_dpo.ts";
import trDpo from "../../modes/tr_dpo.ts";
import type { RunEvent } from "../../report/events.ts";
import { ConfigError } from "../../trainer/error.ts";
import type { Storage } from "../../gpu/storage.ts";
import type { Modifiers } from "../../trainer/needs.ts";
import { liveReference, movingReference } from "../../trainer/reference_cache.ts";
import type { TrainingRun } from "../../trainer/run.ts";
import { train } from "../../trainer/trainer.ts";
import {
  FILES_ALLOWED,
  folderDigest,
  readLines,
  settings,
  withFolder,
} from "../trainer/fake_run.ts";
import { engineOf, openForTests, randomModel, randomPairs, SMALL } from "./small_engine.ts";

const gpu = await openForTests();
const model = randomModel(SMALL, 1);
const rows = randomPairs(11, 16, SMALL.vocabSize);

interface Kind {
  readonly mode: LossMode;
  readonly options?: Record<string, number | string>;
  readonly modifiers?: Modifiers;
  /** Of both models on the GPU. */
  readonly storage?: Storage;
}

const kinds: Record<string, Kind> = {
  epsilon_dpo: { mode: epsilonDpo as LossMode, options: { epsilon: 0.1, beta: 0.1 } },
  tr_dpo: { mode: trDpo as LossMode, options: { sync_steps: 2, alpha: 0.3 } },
  "tr_dpo in f16": {
    mode: trDpo as LossMode,
    options: { sync_steps: 2, alpha: 0.3 },
    storage: "f16",
  },
  "dpo with sync_ref_model": {
    mode: dpo as LossMode,
    modifiers: { referenceSync: { steps: 2, alpha: 0.25 } },
  },
};

/** Trains in a folder with engines of its own, as a process of its own would. */
async function trained(
  { mode, options, modifiers, storage }: Kind,
  outputFolder: string,
  more: Partial<TrainingRun> = {},
): Promise<void> {
  const engine = await engineOf(gpu, model, { beside: SMALL, storage });
  const { tokens, scored } = engine.plan.capacity;
  const sizes = { tokens, scored };
  const frozen = await engineOf(gpu, model, { ...sizes, optimizer: undefined, storage });
  engine.attachReference(frozen);
  try {
    await train({
      settings: { ...settings, saveSteps: 1, saveTotalLimit: 1, learningRate: 0.01 },
      mode,
      modeOptions: { ...defaultOptions(mode.options), ...options },
      modifiers,
      engine,
      reference: liveReference(frozen, { moving: movingReference(frozen, engine) }),
      policyIsReference: true,
      train: { length: rows.length, get: (i) => rows[i] },
      validation: { length: 3, get: (i) => rows[i] },
      outputFolder,
      configId: "test",
      ...more,
    });
  } finally {
    engine.destroy();
    frozen.destroy();
  }
}

function stopAfter(step: number): Partial<TrainingRun> {
  const controller = new AbortController();
  let steps = 0;
  return {
    signal: controller.signal,
    events: { accept: (event) => event.type === "step" && ++steps === step && controller.abort() },
  };
}

for (const [name, kind] of Object.entries(kinds)) {
  Deno.test({
    name: `${name}: resumed, same bytes (needs files)`,
    ignore: !FILES_ALLOWED,
    async fn() {
      await withFolder(async (folder) => {
        await trained(kind, folder);
        const expected = await folderDigest(folder);
        const lines = readLines(`${folder}/metrics.jsonl`);
        if (kind.mode.name === "epsilon_dpo") {
          assert(lines.some((line) => line["kl/avg_steps"] !== 0), "no pair took a step");
        } else {
          const synced = lines.filter((line) => "reference/synced" in line);
          assertEquals(synced.map((line) => line["reference/synced"]), [0, 1, 0, 1]);
        }
        for (const stop of [1, 2, 3]) {
          await withFolder(async (other) => {
            await trained(kind, other, stopAfter(stop));
            await trained(kind, other, { resume: "newest" });
            assertEquals(await folderDigest(other), expected, `stopped after step ${stop}`);
          });
        }
      });
    },
  });
}

Deno.test({
  name: "a moving and a fixed reference refuse each other's checkpoints (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    await withFolder(async (folder) => {
      const fixed = { mode: dpo as LossMode };
      await trained(fixed, folder, stopAfter(1));
      const moving = { ...fixed, modifiers: { referenceSync: { steps: 1, alpha: 0.5 } } };
      await assertRejects(
        () => trained(moving, folder, { resume: "newest" }),
        ConfigError,
        "no reference weights",
      );
    });
    await withFolder(async (folder) => {
      const modifiers = { referenceSync: { steps: 1, alpha: 0.5 } };
      await trained({ mode: dpo as LossMode, modifiers }, folder, stopAfter(1));
      await assertRejects(
        () => trained({ mode: dpo as LossMode }, folder, { resume: "newest" }),
        ConfigError,
        "its reference has moved",
      );
    });
  },
});

Deno.test({
  name: "a run that goes on in another storage says so (needs files)",
  ignore: !FILES_ALLOWED,
  fn: () =>
    withFolder(async (folder) => {
      const kind = { mode: dpo as LossMode }, notices: string[] = [];
      await trained(kind, folder, stopAfter(1));
      const accept = (event: RunEvent) => event.type === "notice" && notices.push(event.text);
      await trained({ ...kind, storage: "f16" }, folder, { resume: "newest", events: { accept } });
      const [notice] = notices.filter((text) => text.includes("The checkpoint was made on"));
      assertStringIncludes(notice, 'f16 storage": results agree within tolerances');
    }),
});
