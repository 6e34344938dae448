import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { StepEvent } from "../../report/events.ts";
import betaDpo from "../../modes/beta_dpo.ts";
import sft from "../../modes/sft.ts";
import { joined, pairRewards } from "../../trainer/distributions.ts";
import { train } from "../../trainer/trainer.ts";
import { fakeRun, FILES_ALLOWED, withFolder } from "./fake_run.ts";

Deno.test("rewards are beta times policy minus reference, with one beta or one for each pair", () => {
  const side = (policy: number[], reference: number[]) => ({
    policy: Float64Array.from(policy),
    reference: Float64Array.from(reference),
    length: Uint32Array.of(1, 1),
  });
  const batch = {
    size: 2,
    rows: Uint32Array.of(0, 1),
    chosen: side([-1, -2], [-3, -3]),
    rejected: side([-5, -4], [-1, -6]),
  };
  const each = pairRewards(batch, Float64Array.of(0.5, 3))!;
  assertEquals([[...each.chosen], [...each.rejected]], [[1, 3], [-2, 6]]);
  const one = pairRewards(batch, 0.5)!;
  const both = joined([one, each])!;
  assertEquals([...both["rewards/chosen"]], [1, 0.5, 1, 3]);
  assertEquals(pairRewards(batch, undefined), undefined);
  assertEquals(pairRewards({ ...batch, rejected: undefined }, 1), undefined);
});

Deno.test({
  name: "a step tells the margins and rewards of all its pairs, and their means are its metrics" +
    (FILES_ALLOWED ? "" : " (needs files)"),
  ignore: !FILES_ALLOWED,
  fn: () =>
    withFolder(async (folder) => {
      const run = fakeRun(betaDpo, folder);
      await train(run);
      const steps = run.seen.filter((event): event is StepEvent => event.type === "step");
      assertEquals(steps.length, 6);
      const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;
      for (const { pairs, margin, metrics, distributions } of steps) {
        assertEquals(Object.keys(distributions!).sort(), [
          "margins",
          "rewards/chosen",
          "rewards/rejected",
        ]);
        for (const values of Object.values(distributions!)) assertEquals(values.length, pairs);
        assertAlmostEquals(mean(distributions!.margins), margin!, 1e-12);
        for (const name of ["rewards/chosen", "rewards/rejected"]) {
          assertAlmostEquals(mean(distributions![name]), metrics[name], 1e-12);
        }
      }
      assert(mean(steps[5].distributions!.margins) !== 0);
      const supervised = fakeRun(sft, `${folder}/sft`);
      Deno.mkdirSync(`${folder}/sft`);
      await train(supervised);
      const step = supervised.seen.find((event) => event.type === "step") as StepEvent;
      assertEquals(step.distributions, undefined);
    }),
});
