import { assertEquals } from "@std/assert";
import type { LossMode } from "../../losses/loss_mode.ts";
import alphaDpo from "../../modes/alpha_dpo.ts";
import bco from "../../modes/bco.ts";
import dpo from "../../modes/dpo.ts";
import type { TrainingRun } from "../../trainer/run.ts";
import { train } from "../../trainer/trainer.ts";
import { fakeRun, FILES_ALLOWED, folderDigest, settings, withFolder } from "./fake_run.ts";

const running = [{ type: "bco_pair", weight: 1, options: { running_mean: true } }];
const cases: [LossMode, Partial<TrainingRun>][] = [
  [alphaDpo as LossMode, {}],
  [bco as LossMode, {}],
  [dpo as LossMode, { lossTypes: running }],
];
for (const [mode, changes] of cases) {
  Deno.test({
    name: `${mode.name}${
      changes.lossTypes ? " with bco_pair's running mean" : ""
    }: resumed, same bytes (needs files)`,
    ignore: !FILES_ALLOWED,
    async fn() {
      const run = (folder: string, more: Partial<TrainingRun> = {}) =>
        fakeRun(mode, folder, {
          settings: { ...settings, saveSteps: 1, saveTotalLimit: 1 },
          options: {},
          ...changes,
          ...more,
        });
      let expected: Record<string, string> = {};
      await withFolder(async (folder) => {
        await train(run(folder));

        expected = await folderDigest(folder);
      });
      for (const stop of [1, 3, 5]) {
        await withFolder(async (folder) => {
          const controller = new AbortController();
          let steps = 0;
          await train(run(folder, {
            signal: controller.signal,
            events: {
              accept: (e) => e.type === "step" && ++steps === stop && controller.abort(),
            },
          }));
          await train(run(folder, { resume: "newest" }));
          assertEquals(await folderDigest(folder), expected);
        });
      }
    },
  });
}
