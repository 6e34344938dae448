/** One set of training settings, whichever section of the config they come from. */
import type { z } from "zod";
import type { BestModelSettings } from "../best_model.ts";
import type { Modifiers } from "../needs.ts";
import type { Config } from "./schema.ts";
import { dpoTrainingSection, sftTrainingSection } from "./sections.ts";

/** Settings of a run, resolved. Steps are optimizer steps, lengths tokens. */
export interface TrainingSettings {
  readonly mode: string;
  readonly epochs: number;
  readonly maxSteps?: number;
  /** Rows of a training call; an optimizer step has `batchSize * gradientAccumulation`. */
  readonly batchSize: number;
  readonly evalBatchSize: number;
  readonly gradientAccumulation: number;
  readonly learningRate: number;
  readonly lrScheduler: "linear" | "cosine" | "constant";
  readonly warmupSteps: number;
  /** 0 switches clipping off. */
  readonly maxGradNorm: number;
  readonly optimizer: {
    readonly kind: "adamw" | "rmsprop";
    readonly beta1: number;
    readonly beta2: number;
    readonly eps: number;
    readonly weightDecay: number;
    readonly alpha: number;
  };
  readonly lossTypes: readonly string[];
  readonly lossWeights: readonly number[];
  readonly labelSmoothing: number;
  readonly modifiers: Modifiers;
  readonly logSteps: number;
  /** 0: only at the end. */
  readonly evalSteps: number;
  /** 0: only at the end. */
  readonly saveSteps: number;
  readonly evalAtStart: boolean;
  /** Absent: all checkpoints are kept. */
  readonly saveTotalLimit?: number;
  /** Seconds that one call of a mode's function may take. */
  readonly modeTimeLimit: number;
  readonly saveOnlyModel: boolean;
  /** Absent: the weights themselves are trained. */
  readonly lora?: {
    readonly rank: number;
    readonly alpha: number;
    readonly targetModules: "all-linear" | readonly string[];
    readonly rankStabilized: boolean;
    /** An adapter to go on from. */
    readonly from?: string;
  };
  readonly bestModel: BestModelSettings;
  readonly saveDir?: string;
  readonly runName?: string;
  readonly wandbProject?: string;
  /** Sinks asked for; a named W&B project asks for that where `report_to` says nothing. */
  readonly reportTo: readonly string[];
  readonly maxLength: number;
  readonly maxPromptLength?: number;
  readonly maxCompletionLength?: number;
  readonly truncationMode: "keep_end" | "keep_start";
  /** Seed of a mode's random numbers. */
  readonly seed: number;
  /** Seed of split, shuffling and random weights. */
  readonly dataSeed: number;
  readonly memoryBudget: number;
  readonly kernelTuning: "auto" | "measure" | "off";
  /** Which layers compute activations again; "auto": as many as the budget asks for. */
  readonly gradientCheckpointing: boolean | "auto";
  /** How activations and the weights of products are stored on the GPU. */
  readonly storageDtype: "float32" | "float16";
  readonly sharePrompt: boolean;
  readonly samples: { readonly prompts: number; readonly maxNewTokens: number };
  readonly marginLog: {
    readonly enabled: boolean;
    /** Relative to the output folder. */
    readonly dir: string;
    /** 0 writes all margins of a step into the JSON lines. */
    readonly sampleSize: number;
  };
}

/**
 * The settings for a mode: `sft` reads `sft_training`, every other mode `dpo_training`; a missing
 * section means its defaults.
 */
export function trainingSettings(config: Config, mode: string): TrainingSettings {
  const { dataset, optimizer } = config;
  const sft = mode === "sft" ? config.sft_training ?? sftTrainingSection.parse({}) : undefined;
  const dpo = sft ? undefined : config.dpo_training ?? dpoTrainingSection.parse({});
  const common: z.output<typeof dpoTrainingSection> | z.output<typeof sftTrainingSection> = sft ??
    dpo!;
  const lossTypes = [config.loss_type].flat() as string[];
  const wandbProject = common.wandb_project ?? dpo?.report;
  return {
    mode,
    epochs: common.epochs,
    maxSteps: config.max_steps,
    batchSize: common.batch_size,
    evalBatchSize: common.eval_batch_size ?? common.batch_size,
    gradientAccumulation: common.gradient_accumulation,
    learningRate: common.learning_rate,
    lrScheduler: config.lr_scheduler,
    warmupSteps: common.warmup_steps,
    maxGradNorm: common.max_grad_norm,
    optimizer: {
      kind: optimizer.name,
      beta1: optimizer.beta1,
      beta2: optimizer.beta2,
      eps: optimizer.eps,
      weightDecay: optimizer.weight_decay,
      alpha: optimizer.alpha,
    },
    lossTypes,
    lossWeights: config.loss_weights === undefined
      ? lossTypes.map(() => 1)
      : [config.loss_weights].flat() as number[],
    labelSmoothing: config.label_smoothing,
    modifiers: {
      ldAlpha: config.ld_alpha ?? undefined,
      useWeighting: config.use_weighting,
      referenceSync: config.sync_ref_model
        ? { steps: config.ref_model_sync_steps, alpha: config.ref_model_mixup_alpha }
        : undefined,
    },
    logSteps: common.log_steps,
    evalSteps: common.eval_steps,
    saveSteps: common.save_steps,
    evalAtStart: config.eval_at_start,
    saveTotalLimit: config.save_total_limit ?? undefined,
    modeTimeLimit: config.mode_time_limit,
    saveOnlyModel: sft?.save_only_model ?? false,
    lora: config.lora && {
      rank: config.lora.r,
      alpha: config.lora.lora_alpha,
      targetModules: config.lora.target_modules,
      rankStabilized: config.lora.use_rslora,
      from: config.lora.adapter_name_or_path ?? undefined,
    },
    bestModel: {
      metric: config.metric_for_best_model ?? undefined,
      greaterIsBetter: config.greater_is_better ?? undefined,
      loadAtEnd: config.load_best_model_at_end,
      patience: config.early_stopping_patience ?? undefined,
      threshold: config.early_stopping_threshold,
    },
    saveDir: common.save_dir ?? dpo?.save_dpo_dir,
    runName: common.run_name,
    wandbProject,
    reportTo: [config.report_to ?? (wandbProject ? ["jsonl", "wandb"] : "jsonl")]
      .flat() as string[],
    maxLength: sft?.max_length ?? dataset.max_length ?? dataset.max_len ?? 1024,
    maxPromptLength: dataset.max_prompt_length,
    maxCompletionLength: dataset.max_completion_length,
    truncationMode: dataset.truncation_mode,
    seed: config.seed ?? dataset.seed,
    dataSeed: dataset.seed,
    memoryBudget: config.memory_budget,
    kernelTuning: config.kernel_tuning,
    gradientCheckpointing: config.gradient_checkpointing,
    storageDtype: config.storage_dtype,
    sharePrompt: config.share_prompt,
    samples: { prompts: config.samples.prompts, maxNewTokens: config.samples.max_new_tokens },
    marginLog: marginLog(config, mode),
  };
}

function marginLog(config: Config, mode: string): TrainingSettings["marginLog"] {
  const log = config.margin_log;
  const sampleSize = log?.jsonl_sample_size ?? 64;
  if (mode === "beta_dpo") {
    return {
      enabled: config.beta_dpo?.log_margins ?? log?.log_margins ?? true,
      dir: config.beta_dpo?.log_dir ?? "logs/beta_dpo_margins",
      sampleSize,
    };
  }
  const dir = mode === "risk"
    ? log?.log_dir ?? "logs/margins"
    : mode === "dpo"
    ? log?.dpo_log_dir ?? "logs/dpo_margins"
    : `logs/${mode}_margins`;
  // Supervised rows have one answer, and so no margin.
  return { enabled: mode !== "sft" && (log?.log_margins ?? true), dir, sampleSize };
}
