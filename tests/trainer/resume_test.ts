import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import type { LossMode } from "../../losses/loss_mode.ts";
import betaDpo from "../../modes/beta_dpo.ts";
import dpo from "../../modes/dpo.ts";
import risk from "../../modes/risk.ts";
import { ConfigError, NumbersError } from "../../trainer/error.ts";
import type { RunEvent } from "../../report/events.ts";
import type { TrainingRun } from "../../trainer/run.ts";
import { train } from "../../trainer/trainer.ts";
import {
  fakeRun,
  FILES_ALLOWED,
  folderDigest,
  readLines,
  settings,
  withFolder,
} from "./fake_run.ts";
import { faultyOperations } from "./faulty_operations.ts";

const STEPS = 6;

/** A run with a checkpoint every step of which the newest is kept. */
function shortRun(mode: LossMode, folder: string, changes: Partial<TrainingRun> = {}) {
  return fakeRun(mode, folder, {
    settings: { ...settings, saveSteps: 1, saveTotalLimit: 1 },
    options: mode === risk ? { beta_warmup: 3, alpha: 0.1 } : {},
    ...changes,
  });
}

async function undisturbed(mode: LossMode): Promise<Record<string, string>> {
  let digest: Record<string, string> = {};
  await withFolder(async (folder) => {
    await train(shortRun(mode, folder));
    digest = await folderDigest(folder);
  });
  assert("checkpoints/step-000006/optimizer.safetensors" in digest);
  return digest;
}

for (const mode of [betaDpo, risk] as LossMode[]) {
  Deno.test({
    name: `${mode.name}: stopped by a signal after any step and resumed, same bytes (needs files)`,
    ignore: !FILES_ALLOWED,
    async fn() {
      const expected = await undisturbed(mode);
      for (let stop = 1; stop < STEPS; stop++) {
        await withFolder(async (folder) => {
          const controller = new AbortController();
          let steps = 0;
          const { summary } = await train(shortRun(mode, folder, {
            signal: controller.signal,
            events: {
              accept: (event) => event.type === "step" && ++steps === stop && controller.abort(),
            },
          }));
          assertEquals([summary.stopped, summary.steps], [true, stop]);
          const resumed = await train(shortRun(mode, folder, { resume: "newest" }));
          assertEquals(resumed.summary.stopped, false);
          assertEquals(await folderDigest(folder), expected);
        });
      }
    },
  });

  Deno.test({
    name: `${mode.name}: killed anywhere in a step and resumed, same bytes (needs files)`,
    ignore: !FILES_ALLOWED,
    async fn() {
      const expected = await undisturbed(mode);
      // 3 calls a step: two scores and an update; every third step is followed by an evaluation.
      for (let kill = 1; kill <= 18; kill += mode === betaDpo ? 1 : 4) {
        await withFolder(async (folder) => {
          const run = shortRun(mode, folder);
          let calls = 0;
          const count = () => {
            if (++calls === kill) throw new Error("killed");
          };
          run.engine.onScore = count;
          run.engine.onGradient = count;
          await assertRejects(() => train(run), Error, "killed");
          // A killed process leaves half lines and files of steps that are not in a checkpoint.
          await appendTo(`${folder}/metrics.jsonl`, '{"step":9,"los');
          await appendTo(`${folder}/logs/margins/margins.jsonl`, '{"ep');
          await Deno.mkdir(`${folder}/logs/margins/epoch_007`, { recursive: true });
          await appendTo(`${folder}/logs/margins/epoch_007/step_00050.npy`, "half");
          await Deno.mkdir(`${folder}/checkpoints/.tmp-step-000009`, { recursive: true });
          await train(shortRun(mode, folder, { resume: "newest" }));
          await Deno.remove(`${folder}/logs/margins/epoch_007`);
          assertEquals(await folderDigest(folder), expected);
        });
      }
    },
  });
}

async function appendTo(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text, { append: true });
}

Deno.test({
  name: "killed at any file operation of any checkpoint and resumed, same bytes (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    const expected = await undisturbed(dpo);
    let completed = false;
    for (let n = 1; !completed; n += 7) {
      await withFolder(async (folder) => {
        const operations = faultyOperations(n, "kill").operations;
        await train(shortRun(dpo, folder, { operations })).then(
          () => completed = true,
          () => {},
        );
        await train(shortRun(dpo, folder, { resume: "newest" }));
        assertEquals(await folderDigest(folder), expected, `operation ${n}`);
      });
    }
  },
});

Deno.test({
  name:
    "a number that is not finite leaves no checkpoint of its step; the last one goes on (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    const expected = await undisturbed(dpo);
    await withFolder(async (folder) => {
      const run = shortRun(dpo, folder);
      // Poisoned behind the engine's back, between the update of step 2 and its checkpoint.
      const poison = (event: RunEvent) => {
        if (event.type === "step" && event.step === 2) run.engine.table[5] = NaN;
      };
      await assertRejects(
        () => train({ ...run, events: { accept: poison } }),
        NumbersError,
        'after step 2: tensor "bigram.weight" holds "NaN" at index 5',
      );
      const names = [...Deno.readDirSync(`${folder}/checkpoints`)].map(({ name }) => name);
      assertEquals(names, ["step-000001"]);
      await train(shortRun(dpo, folder, { resume: "newest" }));
      assertEquals(await folderDigest(folder), expected);
    });
  },
});

Deno.test({
  name: "a signal that arrives as an event is noticed although nothing waits (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    await withFolder(async (folder) => {
      const controller = new AbortController();
      // From within the first step, as a task of the event loop, which has to turn for it.
      const accept = (event: RunEvent) => {
        if (event.type === "step" && event.step === 1) setTimeout(() => controller.abort());
      };
      const plain = { settings, validation: undefined, signal: controller.signal };
      const { summary } = await train(shortRun(dpo, folder, { ...plain, events: { accept } }));
      assertEquals(summary.stopped, true);
      assertLessOrEqual(summary.steps, 2);
      const step = String(summary.steps).padStart(6, "0");
      assertEquals(summary.checkpoint, `${folder}/checkpoints/step-${step}`);
    });
  },
});

Deno.test({
  name: "what does not fit a checkpoint is refused, what may differ is told (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    await withFolder(async (folder) => {
      await train(shortRun(dpo, folder));
      const refused = (run: TrainingRun, text: string) =>
        assertRejects(() => train(run), ConfigError, text);
      await refused(shortRun(dpo, folder), "pass --resume");
      await refused(shortRun(risk, folder, { resume: "newest" }), 'it is of mode "dpo"');
      const newer = { ...dpo, version: 9 } as LossMode;
      await refused(shortRun(newer, folder, { resume: "newest" }), "this program has version 9");
      const wider = { ...settings, batchSize: 5 };
      await refused(
        shortRun(dpo, folder, { resume: "newest", settings: wider }),
        '"batchSize" 4, now it is 5',
      );
      const run = shortRun(dpo, folder, { resume: "newest", configId: "other" });
      const { summary } = await train(run);
      assertEquals(summary.steps, STEPS);
      assertEquals(
        run.seen.filter((event) => event.type === "notice").map((event) => event.text),
        [
          "Resuming after step 6",
          "The config differs from the one the checkpoint was made with: the new one counts",
        ],
      );
      assertEquals(readLines(`${folder}/metrics.jsonl`).length, STEPS + 1);
    });
  },
});

Deno.test({
  name: "more steps than before go on from the end; weights alone cannot be resumed (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    await withFolder(async (folder) => {
      await train(shortRun(dpo, folder));
      const longer = { ...settings, maxSteps: 8, saveOnlyModel: true };
      const { summary } = await train(
        shortRun(dpo, folder, { resume: "newest", settings: longer }),
      );
      assertEquals([summary.steps, summary.epochs], [8, 2 + 16 / 22]);
      assertEquals(
        readLines(`${folder}/metrics.jsonl`).map(({ step }) => step),
        [0, 1, 2, 3, 4, 5, 6, 7, 8],
      );
      await assertRejects(
        () => train(shortRun(dpo, folder, { resume: "newest", settings: longer })),
        ConfigError,
        "saved with save_only_model",
      );
    });
  },
});
