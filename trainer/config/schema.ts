/** The whole config as one strict schema, and the lists of names derived from it. */
import { z } from "zod";
import { byDefault, byteSize, flag, nullable, oneOf, real, text, whole } from "./fields.ts";
import {
  betaDpoSection,
  betaUpdateSection,
  datasetSection,
  dpoTrainingSection,
  loraSection,
  marginLogSection,
  optimizerSection,
  riskTestSection,
  samplesSection,
  sftTrainingSection,
} from "./sections.ts";

/** Modes whose sections are always known names, selected or not. */
export const BUILT_IN_MODES: readonly string[] = [
  "dpo",
  "risk",
  "beta_dpo",
  "sft",
  "alpha_dpo",
  "bco",
  "cpo",
  "dpop",
  "epsilon_dpo",
  "kto",
  "margin",
  "orpo",
  "simpo",
  "slic_hf",
  "tr_dpo",
];
/** Sections of the user's files that other tools read. */
export const FOREIGN_SECTIONS: readonly string[] = ["rollout", "debug"];
/** Sinks for metrics; `jsonl` is the one that is always there. */
export const SINKS = ["jsonl", "tensorboard", "wandb", "html"] as const;

const lossName = text("the name of a pair loss").regex(/^[a-z][a-z0-9_]*$/, {
  error: `expected the name of a pair loss such as "sigmoid"`,
});

const shadowName = text("the name of a mode or pair loss").regex(/^[a-z][a-z0-9_]*$/, {
  error: `expected the name of a mode or pair loss such as "risk"`,
});

function oneOrMore<T extends z.ZodType>(item: T, error: string) {
  return z.union([item, z.array(item, { error }).min(1, { error })], { error });
}

/** Top-level keys, in the order in which a config is written out. */
export const configSchema = z.strictObject({
  mode: nullable(
    text("the name of a mode"),
    "What decides beta: dpo, risk, beta_dpo, sft, or the name of a file in modes/. " +
      "Without it beta_dpo.mode_loss, else risk",
  ),
  policy_name: text("a model folder or name").describe("Model to train: a folder, or a name"),
  ref_name: nullable(
    text("a model folder or name"),
    "Reference model, never changed. Without it policy_name",
  ),
  init: byDefault(
    oneOf(["pretrained", "random"]),
    "pretrained",
    "Start from the policy's weights, or from random ones of its shape (seed: dataset.seed)",
  ),
  precision: byDefault(
    oneOf(["bf16", "fp16", "f32"]),
    "f32",
    "Storage type of the finished model; arithmetic and checkpoints are f32",
  ),
  max_shard_size: byteSize().prefault("50GB").describe(
    "Largest file of weights of the finished model; a larger model is several files with an index. " +
      'Default: "50GB"',
  ),
  dataset: datasetSection.describe("Rows and token sequences"),
  dpo_training: dpoTrainingSection.optional().describe(
    "Training on preferences (all modes but sft)",
  ),
  sft_training: sftTrainingSection.optional().describe("Supervised fine-tuning (mode sft)"),
  loss_type: byDefault(
    oneOrMore(lossName, "expected the name of a pair loss, or a list of them"),
    "sigmoid",
    "Pair loss, in TRL's names; a list is mixed by loss_weights",
  ),
  loss_weights: oneOrMore(real({ min: 0 }), "expected a number, or a list of numbers of at least 0")
    .optional().describe("Weight of each loss_type. Without it 1 each"),
  label_smoothing: byDefault(
    real({ min: 0, below: 0.5 }),
    0,
    "Assumed share of flipped preference labels",
  ),
  f_divergence_type: nullable(
    oneOf(["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"]),
    "Divergence from the reference in the pair loss. Without it reverse_kl",
  ),
  f_alpha_divergence_coef: byDefault(
    real({ min: 0, below: 1 }),
    0.5,
    "alpha of f_divergence_type alpha_divergence",
  ),
  discopop_tau: byDefault(real({ above: 0 }), 0.05, "Temperature of loss_type discopop"),
  ipo_reduction: nullable(
    oneOf(["mean", "sum"]),
    "Log-ratios of loss_type ipo: token averages or sums. Without it mean",
  ),
  ld_alpha: nullable(
    real({ min: 0, max: 1 }),
    "LD-DPO: factor of the tokens of the longer answer beyond the shorter one's length. Without it 1",
  ),
  use_weighting: byDefault(
    flag(),
    false,
    "WPO: weight pairs by how likely both answers are under the policy",
  ),
  sync_ref_model: byDefault(
    flag(),
    false,
    "TR-DPO: move the reference towards the policy now and then; its weights stay on the GPU",
  ),
  ref_model_mixup_alpha: byDefault(
    real({ above: 0, max: 1 }),
    0.6,
    "Share of the way that sync_ref_model moves the reference; 1 copies the policy",
  ),
  ref_model_sync_steps: byDefault(
    whole({ min: 1 }),
    512,
    "Optimizer steps between two moves of sync_ref_model",
  ),
  bco_running_mean: nullable(
    flag(),
    "Shift the rewards of loss_type bco_pair by their running mean. Without it false",
  ),
  shadow: nullable(
    oneOrMore(shadowName, "expected names of modes and pair losses").refine(
      (names) => new Set([names].flat()).size === [names].flat().length,
      { error: "expected each name once" },
    ),
    "Modes and pair losses that look on and log what they would have done. Without it none",
  ),
  optimizer: optimizerSection.prefault({}).describe("Update rule and its constants"),
  lr_scheduler: byDefault(
    oneOf(["linear", "cosine", "constant"]),
    "linear",
    "Course of the learning rate after the warm-up; linear and cosine end at 0",
  ),
  max_steps: nullable(
    whole({ min: 1 }),
    "Stop after this many optimizer steps. Without it epochs decide",
  ),
  seed: nullable(
    whole({ min: 0, max: 2 ** 32 - 1 }),
    "Seed of a mode's random numbers. Without it dataset.seed",
  ),
  memory_budget: byteSize().prefault("2GiB").describe(
    'GPU memory a run may plan with: bytes, or a size like "2GiB". Default: "2GiB"',
  ),
  kernel_tuning: byDefault(
    oneOf(["auto", "measure", "off"]),
    "auto",
    "Measure kernels at first use and keep the fastest: auto where they are not known already",
  ),
  gradient_checkpointing: byDefault(
    z.union([z.boolean(), z.literal("auto")], { error: 'expected true, false or "auto"' }),
    "auto",
    "Compute activations again in the backward pass instead of keeping them: true in every layer, " +
      "false in none, auto in as many layers as memory_budget asks for",
  ),
  storage_dtype: byDefault(
    oneOf(["float32", "float16"]),
    "float32",
    "How activations, and the weights that products read, lie in GPU memory: float16 halves them, rounds " +
      "them, and keeps arithmetic, gradients and master weights f32",
  ),
  share_prompt: byDefault(flag(), true, "Run the prompt of a pair once for both answers"),
  eval_at_start: byDefault(flag(), false, "Evaluate before the first step as well"),
  save_total_limit: byDefault(
    whole({ min: 1 }).nullable(),
    2,
    "Newest checkpoints kept; null keeps all",
  ),
  load_best_model_at_end: byDefault(
    flag(),
    false,
    "Keep the checkpoint of the best evaluation, and end with its weights",
  ),
  metric_for_best_model: nullable(
    text("the name of a metric of the evaluation"),
    "What the best evaluation is best in. Without it eval_loss_beta0 where the mode has it, else " +
      "eval_loss",
  ),
  greater_is_better: nullable(
    flag(),
    "Whether more of metric_for_best_model is better. Without it: unless it is a loss",
  ),
  early_stopping_patience: nullable(
    whole({ min: 1 }),
    "End the run after so many evaluations in a row without a better one. Without it no end",
  ),
  early_stopping_threshold: byDefault(
    real({ min: 0 }),
    0,
    "An evaluation is better when it is better by more than this",
  ),
  mode_time_limit: byDefault(
    real({ above: 0, max: 86400 }),
    60,
    "Seconds that one call of a mode's function may take; a longer one ends the run",
  ),
  report_to: nullable(
    oneOrMore(oneOf(SINKS), `expected names out of ${SINKS.join(", ")}`),
    "Where metrics go beside the terminal and metrics.jsonl. Without it wandb where the training " +
      "section names a project for it and the environment has WANDB_API_KEY, else nowhere",
  ),
  samples: samplesSection.prefault({}).describe(
    "Held-out prompts answered after each evaluation and at the end",
  ),
  lora: loraSection.optional().describe(
    "Train adapters over frozen weights; the reference is the model without them",
  ),
  risk_test: riskTestSection.optional().describe("Mode risk: the test"),
  beta_update: betaUpdateSection.optional().describe("Mode risk: how beta answers"),
  margin_log: marginLogSection.optional().describe("Files with the margin of every pair"),
  beta_dpo: betaDpoSection.optional().describe("Mode beta_dpo, and the switch mode_loss"),
});

type DeepReadonly<T> = T extends readonly (infer U)[] ? readonly DeepReadonly<U>[]
  : T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
  : T;

/**
 * A checked config with its defaults filled in, frozen. `mode` and `ref_name` are resolved. A section
 * named like a mode is there as it was written: the mode's own option table checks it.
 */
export type Config =
  & DeepReadonly<z.output<typeof configSchema>>
  & { readonly mode: string; readonly ref_name: string }
  & { readonly [section: string]: unknown };

const SECTIONS: Readonly<Record<string, z.ZodObject>> = {
  dataset: datasetSection,
  dpo_training: dpoTrainingSection,
  sft_training: sftTrainingSection,
  risk_test: riskTestSection,
  beta_update: betaUpdateSection,
  margin_log: marginLogSection,
  beta_dpo: betaDpoSection,
  optimizer: optimizerSection,
  samples: samplesSection,
  lora: loraSection,
};

/** Names known at each place: `""` is the top level, the others are sections. */
export const KNOWN_KEYS: ReadonlyMap<string, readonly string[]> = new Map([
  ["", [
    ...Object.keys(configSchema.shape),
    ...BUILT_IN_MODES.filter((name) => name !== "beta_dpo"),
    ...FOREIGN_SECTIONS,
  ]],
  ...Object.entries(SECTIONS).map(([name, section]): [string, string[]] => [
    name,
    Object.keys(section.shape),
  ]),
]);

/**
 * The JSON Schema that editors complete from. Unlike the program, which knows the modes, it lets any
 * unknown top-level section pass: it may be a new mode's.
 */
export function configJsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(configSchema, { io: "input" });
  const foreign = Object.fromEntries(
    FOREIGN_SECTIONS.map((name) => [name, { description: "Read by another tool" }]),
  );
  return {
    $schema,
    title: "Configuration of dynamic-dpo",
    ...rest,
    properties: { ...rest.properties, ...foreign },
    additionalProperties: { type: "object", description: "Options of the mode of this name" },
  };
}
