/** The best evaluation, early stopping, and ending with the best weights. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import dpo from "../../modes/dpo.ts";
import { type BestModelSettings, isExhausted, nextBest } from "../../trainer/best_model.ts";
import { checkpointNames } from "../../trainer/checkpoint.ts";
import { ConfigError } from "../../trainer/error.ts";
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

const asked = (changes: Partial<BestModelSettings>): BestModelSettings => ({
  loadAtEnd: true,
  threshold: 0,
  ...changes,
});

Deno.test("losses are best when small, everything else when great; a tie is no better", () => {
  const after = (by: BestModelSettings, values: readonly number[], name: string) =>
    values.reduce(
      (best, value, i) => nextBest(by, best, { eval_other: 0, [name]: value }, i + 1),
      null as ReturnType<typeof nextBest> | null,
    )!;
  const values = [0.7, 0.5, 0.6, 0.5];
  assertEquals(
    after(asked({}), values, "eval_loss"),
    { metric: "eval_loss", value: 0.5, step: 2, since: 2 },
  );
  const margins = "eval_rewards/margins";
  assertEquals(
    after(asked({ metric: "rewards/margins" }), values, margins),
    { metric: margins, value: 0.7, step: 1, since: 3 },
  );
  assertEquals(after(asked({ greaterIsBetter: true }), values, "eval_loss").step, 1);
  assertEquals(after(asked({ threshold: 0.15 }), [0.7, 0.6, 0.5], "eval_loss").step, 3);
  assertEquals(after(asked({ threshold: 0.25 }), [0.7, 0.6, 0.5], "eval_loss").step, 1);
});

Deno.test("a loss at the configured beta is taken before one at a moving beta", () => {
  const metrics = { eval_loss: 0.1, eval_loss_beta0: 0.6 };
  assertEquals(nextBest(asked({}), null, metrics, 4).metric, "eval_loss_beta0");
  // The best of another metric does not count.
  const before = { metric: "eval_loss", value: 0.01, step: 2, since: 0 };
  assertEquals(nextBest(asked({}), before, metrics, 4).step, 4);
});

Deno.test("a metric that there is not is refused with the one that was meant", () => {
  const refused = () => nextBest(asked({ metric: "eval_los" }), null, { eval_loss: 1 }, 1);
  assertThrows(refused, ConfigError, 'did you mean "eval_loss"?');
});

Deno.test("patience counts evaluations without a better one", () => {
  const best = (since: number) => ({ metric: "eval_loss", value: 1, step: 1, since });
  const found = [0, 1, 2, 3].map((since) => isExhausted(asked({ patience: 2 }), best(since)));
  assertEquals(found, [false, false, true, true]);
  assertEquals(isExhausted(asked({}), best(99)), false);
  assertEquals(isExhausted(asked({ patience: 1 }), null), false);
});

/**
 * A run of 6 steps with an evaluation each. Where a smaller rewards margin counts as better, the first
 * evaluation is the best one: training makes margins grow.
 */
function growing(
  folder: string,
  best: Partial<BestModelSettings>,
  changes: Partial<TrainingRun> = {},
) {
  const bestModel = asked({ metric: "rewards/margins", greaterIsBetter: false, ...best });
  return fakeRun(dpo, folder, {
    settings: { ...settings, evalSteps: 1, saveSteps: 2, saveTotalLimit: 2, bestModel },
    ...changes,
  });
}

Deno.test({
  name: "the best checkpoint outlives the limit, and the run ends with its weights (needs files)",
  ignore: !FILES_ALLOWED,
  fn: () =>
    withFolder(async (folder) => {
      const run = growing(folder, {});
      await train(run);
      const margins = readLines(`${folder}/metrics.jsonl`).slice(1)
        .map((line) => line["eval_rewards/margins"] as number);
      assert(margins.every((margin, i) => i === 0 || margin > margins[i - 1]), String(margins));
      assertEquals(await checkpointNames(`${folder}/checkpoints`), ["step-000001", "step-000006"]);
      const saved = await folderDigest(`${folder}/checkpoints/step-000001`);
      // A run of one step has the same weights: the schedule's first step is the same.
      const other = growing(folder, {}, { resume: "newest" });
      await train(other);
      assertEquals(await folderDigest(`${folder}/checkpoints/step-000001`), saved);
      assertEquals(await weightsOf(other), await weightsOf(run));
      const last = growing(folder, { loadAtEnd: false }, { resume: "newest" });
      await train(last);
      assert(JSON.stringify(await weightsOf(last)) !== JSON.stringify(await weightsOf(run)));
    }),
});

Deno.test({
  name: "a run ends when patience does, as finished, and stays so when resumed (needs files)",
  ignore: !FILES_ALLOWED,
  fn: () =>
    withFolder(async (folder) => {
      const run = growing(folder, { patience: 3, loadAtEnd: false });
      const { summary } = await train(run);
      // Best after step 1, then 3 evaluations that are no better.
      assertEquals([summary.steps, summary.stopped], [4, false]);
      assert(
        run.seen.some((event) => event.type === "notice" && /early after step 4/.test(event.text)),
      );
      const again = await train(
        growing(folder, { patience: 3, loadAtEnd: false }, { resume: "newest" }),
      );
      assertEquals([again.summary.steps, again.summary.stopped], [4, false]);
      const on = await train(growing(folder, { loadAtEnd: false }, { resume: "newest" }));
      assertEquals(on.summary.steps, 6);
    }),
});

Deno.test({
  name: "patience and the best are the same after a stop and a resume (needs files)",
  ignore: !FILES_ALLOWED,
  async fn() {
    let expected: Record<string, string> = {};
    await withFolder(async (folder) => {
      await train(growing(folder, { patience: 4 }));
      expected = await folderDigest(folder);
    });
    for (let stop = 1; stop < 5; stop++) {
      await withFolder(async (folder) => {
        const controller = new AbortController();
        let steps = 0;
        const events = {
          accept: (event: { type: string }) =>
            event.type === "step" && ++steps === stop && controller.abort(),
        };
        await train(growing(folder, { patience: 4 }, { signal: controller.signal, events }));
        await train(growing(folder, { patience: 4 }, { resume: "newest" }));
        // Where the stop fell, a checkpoint more may have been made; the last files are the same.
        const found = await folderDigest(folder);
        assertEquals(found["metrics.jsonl"], expected["metrics.jsonl"]);
        for (const [name, digest] of Object.entries(expected)) {
          assertEquals(found[name], digest, name);
        }
      });
    }
  },
});

Deno.test("without rows to evaluate the best model cannot be asked for", async () => {
  const run = growing("unused", { patience: 1 }, { validation: undefined });
  await assertRejects(() => train(run), ConfigError, "no rows are held out");
});

async function weightsOf({ engine }: TrainingRun): Promise<unknown[]> {
  const tensors: unknown[] = [];
  for await (const { name, data } of engine.weights()) tensors.push([name, [...data]]);
  return tensors;
}
