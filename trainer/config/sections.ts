/**
 * The sections of a config: the user's own keys, and those that this program adds. Every key says
 * its meaning, unit and default here, once; the JSON Schema for editors is made from it.
 *
 * Sections that feed a mode's options (`risk_test`, `beta_update`, `beta_dpo`) hold no defaults:
 * those belong to the mode's own table, and it must see which keys were written.
 */
import { z } from "zod";
import { SOURCE_KEYS } from "./dataset_source.ts";
import {
  byDefault,
  flag,
  innerFolder,
  nullable,
  oneOf,
  optional,
  real,
  text,
  whole,
} from "./fields.ts";

const chatTemplate = z.union([flag(), text("a name or a file")], {
  error: "expected true, false, the name of a chat template or a .jinja file",
});

/** Where rows come from and how they become token sequences; lengths are in tokens. */
export const datasetSection = z.strictObject({
  ...SOURCE_KEYS,
  val_ratio: byDefault(
    real({ min: 0, below: 1 }),
    0.1,
    "Share of the rows held out for evaluation",
  ),
  validation_name: nullable(
    text("a file"),
    "File of held-out rows, used instead of val_ratio",
  ),
  seed: byDefault(
    whole({ min: 0, max: 2 ** 32 - 1 }),
    42,
    "Seed of the train/validation split and of shuffling",
  ),
  generated_data: byDefault(
    flag(),
    false,
    "true: rows are explicit {prompt, chosen, rejected}; false: decided by their form",
  ),
  chat_template: byDefault(
    chatTemplate,
    false,
    "Render conversations by a chat template: true for the model's own, a name (chatml, gemma, " +
      "llama3, mistral, qwen, zephyr, or one of the model's), or a .jinja file; false: as transcripts",
  ),
  max_len: optional(whole({ min: 2 }), "Older name of max_length, read when that is absent"),
  max_length: optional(
    whole({ min: 2 }),
    "Longest prompt and completion together. Without it max_len, else 1024",
  ),
  max_prompt_length: nullable(
    whole({ min: 1 }),
    "Longest prompt; its last tokens are kept. Without it the prompt has no bound of its own",
  ),
  max_completion_length: nullable(
    whole({ min: 1 }),
    "Longest completion; its first tokens are kept. Without it the completion has no bound of its own",
  ),
  truncation_mode: byDefault(
    oneOf(["keep_end", "keep_start"]),
    "keep_end",
    "Which end of a sequence beyond max_length stays",
  ),
});

/** The keys `dpo_training` and `sft_training` share; steps are optimizer steps. */
function trainingKeys(learningRate: number) {
  return {
    epochs: byDefault(whole({ min: 1, max: 1_000_000 }), 1, "Passes over the training rows"),
    batch_size: byDefault(whole({ min: 1, max: 1_000_000 }), 8, "Rows in one training call"),
    eval_batch_size: optional(
      whole({ min: 1, max: 1_000_000 }),
      "Rows in one evaluation call. Without it batch_size",
    ),
    learning_rate: byDefault(real({ above: 0 }), learningRate, "Peak learning rate"),
    log_steps: byDefault(
      whole({ min: 1 }),
      10,
      "Steps between lines on the terminal, each an average; metrics.jsonl has every step",
    ),
    eval_steps: byDefault(
      whole({ min: 0 }),
      500,
      "Steps between evaluations; 0 is only at the end",
    ),
    save_steps: byDefault(
      whole({ min: 0 }),
      500,
      "Steps between checkpoints; 0 is only at the end",
    ),
    gradient_accumulation: byDefault(
      whole({ min: 1, max: 1_000_000 }),
      1,
      "Training calls in one optimizer step",
    ),
    max_grad_norm: byDefault(
      real({ min: 0 }),
      1,
      "Gradients are scaled down to this global norm; 0 switches it off",
    ),
    warmup_steps: byDefault(
      whole({ min: 0 }),
      0,
      "Steps over which the learning rate rises from 0",
    ),
    wandb_project: nullable(text(), "Project at Weights & Biases, where there is a key"),
    run_name: nullable(text(), "Name of the run where metrics are shown"),
    save_dir: nullable(
      innerFolder(),
      "Folder of the run below runs/. Without it the config's own name",
    ),
    hub_model_id: nullable(text(), "Repository at Hugging Face the user keeps the model in"),
  };
}

/** Training on preferences: every mode but `sft`. */
export const dpoTrainingSection = z.strictObject({
  ...trainingKeys(1e-6),
  report: nullable(text(), "Another name of wandb_project"),
  save_dpo_dir: nullable(innerFolder(), "Read as save_dir when that is absent"),
});

/** Supervised fine-tuning: the mode `sft`. */
export const sftTrainingSection = z.strictObject({
  ...trainingKeys(2e-5),
  max_length: optional(whole({ min: 2 }), "Longest sequence. Without it the dataset's"),
  save_only_model: byDefault(flag(), false, "Checkpoints without optimizer state; not resumable"),
  push_to_hub: byDefault(flag(), false, "Upload the result. Not done by this program"),
});

/** Options of the mode `risk`: the test. */
export const riskTestSection = z.strictObject({
  delta: optional(
    real({ above: 0, below: 1 }),
    "Share of margins above the threshold aimed at. Default: 0.1",
  ),
  lambda: optional(
    real({ min: 0, max: 1 }),
    "Weight of the newest quantile in the threshold. Default: 0.1",
  ),
  beta_warmup: optional(whole({ min: 0 }), "Training calls before beta may move. Default: 120"),
});

/** Options of the mode `risk`: how beta answers. */
export const betaUpdateSection = z.strictObject({
  beta_0: optional(real({ above: 0 }), "Beta at the start. Default: 0.1"),
  gamma: optional(real({ min: 0 }), "Slope of the squashed test statistic. Default: 2"),
  alpha: optional(
    real({ min: 0 }),
    "Size of one update of log beta; 0 keeps beta fixed. Default: 0.005",
  ),
  beta_max: optional(real({ above: 0 }), "Largest beta. Default: 2"),
  beta_min: optional(real({ min: 0 }), "Smallest beta. Default: 0.001"),
});

/** Files with the margin of every pair. */
export const marginLogSection = z.strictObject({
  log_margins: byDefault(flag(), true, "Write the margins of every optimizer step"),
  jsonl_sample_size: byDefault(
    whole({ min: 0 }),
    64,
    "Margins of a step written out in margins.jsonl; 0 writes all",
  ),
  save_per_rank: byDefault(
    flag(),
    false,
    "A folder for each process; this program has one process",
  ),
  log_dir: byDefault(innerFolder(), "logs/margins", "Folder in the output folder, mode risk"),
  dpo_log_dir: byDefault(innerFolder(), "logs/dpo_margins", "The same for fixed beta, mode dpo"),
});

/** Options of the mode `beta_dpo`, and the switch between it and `risk`. */
export const betaDpoSection = z.strictObject({
  mode_loss: nullable(
    z.string({ error: `expected "risk" or "beta_dpo"` }).regex(/^(risk|beta_dpo)$/i, {
      error: `expected "risk" or "beta_dpo"`,
    }).transform((name) => name.toLowerCase()),
    "Which dynamic beta: risk or beta_dpo, in any case. The same switch as mode",
  ),
  bdpo_m: optional(
    real({ min: 0, max: 1 }),
    "Momentum of the running mean and deviation. Default: 0.9",
  ),
  m: optional(real({ min: 0, max: 1 }), "Another name of bdpo_m"),
  rho: optional(real({ above: 0, max: 1 }), "Share of the pairs kept. Default: 0.8"),
  alpha: optional(real({ min: 0 }), "How strongly beta follows the margin. Default: 0.5"),
  min_beta: optional(real({ above: 0 }), "Smallest beta. Default: 0.001"),
  max_beta: optional(real({ min: 0 }), "Largest beta; 0 is no bound. Default: 0"),
  eps: optional(real({ above: 0 }), "Smallest standard deviation. Default: 0.000001"),
  beta_0: optional(real({ above: 0 }), "Beta when the margin is at its running mean. Default: 0.1"),
  scope: optional(
    oneOf(["micro", "step"]),
    "Decide on each training call, or once on all pairs of an optimizer step. Default: micro",
  ),
  variant: optional(text(), "Details as in one of the published codes. Default: seed"),
  log_margins: optional(flag(), "Write the margins of every optimizer step. Default: true"),
  log_dir: optional(innerFolder(), "Folder in the output folder. Default: logs/beta_dpo_margins"),
});

/** Keys in a mode's own section that are read by someone else, not by the mode's option table. */
export const KEYS_BESIDE_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  beta_dpo: ["mode_loss", "log_margins", "log_dir"],
};

/** The optimizer; names and defaults as in PyTorch. */
export const optimizerSection = z.strictObject({
  name: byDefault(oneOf(["adamw", "rmsprop"]), "adamw", "Update rule"),
  beta1: byDefault(real({ min: 0, below: 1 }), 0.9, "AdamW: decay of the first moment"),
  beta2: byDefault(real({ min: 0, below: 1 }), 0.999, "AdamW: decay of the second moment"),
  eps: byDefault(real({ above: 0 }), 1e-8, "Added to the denominator"),
  weight_decay: byDefault(real({ min: 0 }), 0, "Decoupled weight decay"),
  alpha: byDefault(real({ min: 0, below: 1 }), 0.99, "RMSprop: smoothing of squared gradients"),
});

/** Adapters in place of the weights themselves; names as in PEFT. */
export const loraSection = z.strictObject({
  r: byDefault(whole({ min: 1, max: 4096 }), 16, "Rank of the adapters"),
  lora_alpha: byDefault(real({ above: 0 }), 32, "Adapters are scaled by lora_alpha / r"),
  target_modules: byDefault(
    z.union([
      z.literal("all-linear"),
      z.array(text("the name of a module"), { error: "expected names of modules" })
        .min(1, { error: "expected at least one module" }),
    ], { error: 'expected "all-linear" or a list of names such as [q_proj, v_proj]' }),
    "all-linear",
    "Which modules get an adapter: all linear ones but the head, or those of these names",
  ),
  use_rslora: byDefault(flag(), false, "Scale by lora_alpha / sqrt(r) instead"),
  lora_dropout: byDefault(real({ min: 0, max: 0 }), 0, "Only 0: runs are the same each time"),
  adapter_name_or_path: nullable(
    text("an adapter folder"),
    "Go on from this adapter, with its rank, alpha and modules. Without it a new one",
  ),
});

/** Held-out prompts that reference and policy answer after each evaluation and at the end. */
export const samplesSection = z.strictObject({
  prompts: byDefault(whole({ min: 0, max: 1000 }), 4, "Number of prompts; 0 shows none"),
  max_new_tokens: byDefault(whole({ min: 1, max: 65536 }), 48, "Longest answer shown, in tokens"),
});
