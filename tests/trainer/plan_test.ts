import { assertEquals } from "@std/assert";
import type { DataReport } from "../../data/load.ts";
import { defaultOptions } from "../../losses/options.ts";
import type { LossMode } from "../../losses/loss_mode.ts";
import type { Level } from "../../model/recompute.ts";
import risk from "../../modes/risk.ts";
import { planLines, runSize } from "../../trainer/plan.ts";
import { settings } from "./fake_run.ts";

Deno.test("a run's counts: short batches, short windows, max_steps", () => {
  const sizes = { epochs: 2, batchSize: 4, gradientAccumulation: 4 };
  // 22 rows: 6 batches, windows of 4 and 2.
  assertEquals(runSize(sizes, 22, "micro"), {
    batchesPerEpoch: 6,
    stepsPerEpoch: 2,
    totalSteps: 4,
    decisionSize: 4,
    decisions: 12,
  });
  const stepped = runSize(sizes, 22, "step");
  assertEquals([stepped.decisionSize, stepped.decisions], [16, 4]);
  const cut = runSize({ ...sizes, maxSteps: 3 }, 22, "micro");
  assertEquals([cut.totalSteps, cut.decisions], [3, 6 + 4]);
  const longer = runSize({ ...sizes, maxSteps: 6 }, 22, "micro");
  assertEquals([longer.totalSteps, longer.decisions], [6, 18]);
  assertEquals(runSize(sizes, 3, "step").decisionSize, 3);
});

const report: DataReport = {
  name: "pairs.jsonl",
  form: "hh",
  rows: 30,
  kept: 22,
  dropped: { "empty answer": 1, "unlike prompts": 7 },
  droppedAt: { "empty answer": "pairs.jsonl:9", "unlike prompts": "pairs.jsonl:3" },
  truncated: 2,
  equal: 0,
  tokens: 900,
  scoredTokens: 300,
  sharedTokens: 600,
  maxSequence: 64,
  maxPrompt: 40,
  maxAnswer: 30,
};

Deno.test("the plan says rows, drops by frequency, steps, decision size, memory and remarks", () => {
  const lines = planLines({
    settings: { ...settings, warmupSteps: 9 },
    mode: risk as LossMode,
    modeOptions: defaultOptions(risk.options),
    shadows: [{ name: "beta_dpo" }, { name: "ipo" }],
    train: report,
    memory: {
      needed: 3 * 2 ** 20,
      budget: 2 ** 31,
      largestBinding: 2 ** 20,
      bindingLimit: 2 ** 27,
    },
  });
  assertEquals(lines.slice(0, 8), [
    "Training data: 22 of 30 rows kept, 900 tokens, 300 of them scored, longest sequence 64",
    "  dropped 7: unlike prompts (first at pairs.jsonl:3)",
    "  dropped 1: empty answer (first at pairs.jsonl:9)",
    "  cut to the length limits: 2 rows",
    "Steps: 6 of 4 x 2 rows, 3 an epoch, warm-up 9",
    "Mode: risk, 12 decisions on 4 rows each",
    "Shadows, which only look on: beta_dpo, ipo",
    "GPU memory: 3.0 MiB of the budget of 2.00 GiB; largest binding 1.0 MiB of 128.0 MiB",
  ]);
  // risk's own two remarks (small decisions, all within its warm-up), then the loop's.
  assertEquals(lines.slice(8).map((line) => line.slice(0, 18)), [
    "Note: risk decides",
    "Note: risk makes 1",
    "Note: the warm-up ",
  ]);
});

Deno.test("the plan says which layers compute what again", () => {
  const mode = risk as LossMode, modeOptions = defaultOptions(risk.options);
  const line = (levels?: readonly Level[]) =>
    planLines({
      settings,
      mode,
      modeOptions,
      train: report,
      memory: { needed: 1, budget: 2, levels },
    }).find((text) => text.startsWith("Gradient checkpointing: "))?.slice(24);
  assertEquals(line(), undefined);
  assertEquals(
    line(["nothing", "nothing"]),
    "off, all activations are kept for the backward pass",
  );
  assertEquals(
    line(["nothing", "elementwise", "elementwise"]),
    "2 of 3 layers compute activations again in the backward pass (2: norms and gated activations)",
  );
  assertEquals(
    line(["products", "attention"]),
    "2 of 2 layers compute activations again in the backward pass (1: all but attention; " +
      "1: everything)",
  );
});

Deno.test("the plan counts labels where rows have them", () => {
  const mode = risk as unknown as LossMode;
  const labelled = { ...report, desirable: 9, undesirable: 13 };
  const lines = planLines({
    settings,
    mode,
    modeOptions: defaultOptions(mode.options),
    train: labelled,
  });
  assertEquals(lines[1], "  single answers: 9 desirable, 13 undesirable");
});
