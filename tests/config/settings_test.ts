import { assertEquals, assertStringIncludes } from "@std/assert";
import { trainingSettings } from "../../trainer/config.ts";
import { messageOf, parseWith } from "./minimal.ts";

function settingsOf(lines = "", overrides: readonly string[] = []) {
  const { config, mode } = parseWith(lines, overrides);
  return trainingSettings(config, mode);
}

Deno.test("defaults of preference training", () => {
  assertEquals(settingsOf("mode: dpo\n"), {
    mode: "dpo",
    epochs: 1,
    maxSteps: undefined,
    batchSize: 8,
    evalBatchSize: 8,
    gradientAccumulation: 1,
    learningRate: 1e-6,
    lrScheduler: "linear",
    warmupSteps: 0,
    maxGradNorm: 1,
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, alpha: 0.99 },
    lossTypes: ["sigmoid"],
    lossWeights: [1],
    labelSmoothing: 0,
    modifiers: { ldAlpha: undefined, useWeighting: false, referenceSync: undefined },
    logSteps: 10,
    evalSteps: 500,
    saveSteps: 500,
    evalAtStart: false,
    saveTotalLimit: 2,
    modeTimeLimit: 60,
    saveOnlyModel: false,
    lora: undefined,
    bestModel: {
      metric: undefined,
      greaterIsBetter: undefined,
      loadAtEnd: false,
      patience: undefined,
      threshold: 0,
    },
    saveDir: undefined,
    runName: undefined,
    wandbProject: undefined,
    reportTo: ["jsonl"],
    maxLength: 1024,
    maxPromptLength: undefined,
    maxCompletionLength: undefined,
    truncationMode: "keep_end",
    seed: 42,
    dataSeed: 42,
    memoryBudget: 2 ** 31,
    kernelTuning: "auto",
    gradientCheckpointing: "auto",
    storageDtype: "float32",
    sharePrompt: true,
    samples: { prompts: 4, maxNewTokens: 48 },
    marginLog: { enabled: true, dir: "logs/dpo_margins", sampleSize: 64 },
  });
});

const BOTH = `  max_len: 300
dpo_training:
  learning_rate: 5e-7
  batch_size: 16
  gradient_accumulation: 4
  report: p
  save_dpo_dir: d
sft_training:
  learning_rate: 5e-6
  eval_batch_size: 3
  wandb_project: q
  max_length: 200
  save_dir: s
  save_only_model: true
`;

Deno.test("each mode reads its own training section", () => {
  const dpo = settingsOf(BOTH);
  const sft = settingsOf(BOTH + "mode: sft\n");
  const seen = (s: typeof dpo) => [
    s.learningRate,
    s.batchSize,
    s.evalBatchSize,
    s.gradientAccumulation,
    s.wandbProject,
    s.maxLength,
    s.saveDir,
    s.saveOnlyModel,
    s.marginLog.enabled,
  ];
  assertEquals(seen(dpo), [5e-7, 16, 16, 4, "p", 300, "d", false, true]);
  assertEquals(seen(sft), [5e-6, 8, 3, 1, "q", 200, "s", true, false]);
  assertEquals(settingsOf("mode: sft\n").learningRate, 2e-5);
});

Deno.test("the newer or more exact of two names holds", () => {
  const s = settingsOf(
    "  max_len: 300\n  max_length: 400\n  seed: 5\ndpo_training:\n  report: p\n  wandb_project: w\n" +
      "  save_dir: a\n  save_dpo_dir: b\nseed: 9\n",
  );
  assertEquals([s.maxLength, s.wandbProject, s.saveDir, s.seed, s.dataSeed], [400, "w", "a", 9, 5]);
});

Deno.test("each mode's margin log", () => {
  const lines =
    "margin_log:\n  log_margins: false\n  jsonl_sample_size: 3\n  log_dir: r\n  dpo_log_dir: f\n";
  const log = (more: string) => settingsOf(lines + more).marginLog;
  assertEquals(log("mode: risk\n"), { enabled: false, dir: "r", sampleSize: 3 });
  assertEquals(log("mode: dpo\n"), { enabled: false, dir: "f", sampleSize: 3 });
  assertEquals(log("beta_dpo:\n  mode_loss: beta_dpo\n  log_margins: true\n  log_dir: b\n"), {
    enabled: true,
    dir: "b",
    sampleSize: 3,
  });
  assertEquals(log("mode: simpo\n").dir, "logs/simpo_margins");
});

Deno.test("--set wins over the file, and later ones over earlier", () => {
  const s = settingsOf(BOTH, [
    "dpo_training.learning_rate=1e-5",
    "dpo_training.learning_rate=2e-5",
    "max_steps=3",
    "loss_type=[sigmoid, sft]",
    "loss_weights=[0.8, 1]",
    "optimizer.name=rmsprop",
    "dpo_training.run_name=a=b",
    "save_total_limit=null",
  ]);
  assertEquals(
    [s.learningRate, s.maxSteps, s.lossTypes, s.lossWeights, s.optimizer.kind, s.runName],
    [2e-5, 3, ["sigmoid", "sft"], [0.8, 1], "rmsprop", "a=b"],
  );
  assertEquals(s.saveTotalLimit, undefined);
});

Deno.test("gradient_checkpointing is true, false or auto", () => {
  const read = (value: string) => settingsOf(`gradient_checkpointing: ${value}\n`);
  const values = ["true", "false", "auto"].map((value) => read(value).gradientCheckpointing);
  assertEquals(values, [true, false, "auto"]);
  for (const wrong of ["none", "1", "null"]) {
    assertStringIncludes(messageOf(() => read(wrong)), 'expected true, false or "auto"');
  }
});

Deno.test("storage_dtype is float32 or float16", () => {
  const read = (value: string) => settingsOf(`storage_dtype: ${value}\n`).storageDtype;
  assertEquals(["float32", "float16"].map(read), ["float32", "float16"]);
  assertStringIncludes(messageOf(() => read("fp16")), "storage_dtype");
});
