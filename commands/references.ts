/** The policy on the GPU, and the reference's log-probabilities and answers. */
import type { TokenizedDataset } from "../data/load.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Storage } from "../gpu/storage.ts";
import type { LlamaEngine, LlamaOptions, LoraOptions } from "../model/llama.ts";
import type { Sink } from "../report/events.ts";
import {
  cachedReference,
  liveReference,
  movingReference,
  type ReferenceLogps,
} from "../trainer/reference_cache.ts";
import { runSize } from "../trainer/plan.ts";
import { answerPrompts, samplePrompts, sampleTokens } from "./samples.ts";
import { largestSets, type Session } from "./session.ts";

export interface References {
  readonly train?: ReferenceLogps;
  readonly validation?: ReferenceLogps;
  /** Greedy answers to the sample prompts before training. */
  readonly answers: readonly string[];
  /** Takes a reference that stayed on the GPU away from it. */
  readonly close?: () => void;
}

function storageOf({ storageDtype }: Session["settings"]): Storage {
  return storageDtype === "float16" ? "f16" : "f32";
}

/** The adapters to train: those of the adapter that they start from, else the config's. */
function loraOptions({ settings, adapter }: Session): LoraOptions | undefined {
  const lora = adapter?.settings ?? settings.lora;
  return lora && { ...lora, seed: settings.dataSeed };
}

/** The engine's options for a session: the chunk holds a whole decision set if memory allows. */
export function engineOptions(
  session: Session,
  { frozen, held = 0 }: { frozen: boolean; held?: number },
): LlamaOptions {
  const { settings, data, needs, reference } = session;
  const { sharePrompt, gradientCheckpointing: checkpointing } = settings;
  const { decisionSize } = runSize(settings, data.train.length, needs.scope);
  const sizes = largestSets([data.train, data.validation], decisionSize, { sharePrompt, needs });
  const samples = sampleTokens(session);
  return {
    // What another model holds on the GPU is not there for this one.
    budget: settings.memoryBudget - held,
    ...sizes,
    tokens: Math.max(sizes.tokens, samples),
    leastTokens: Math.max(sizes.leastTokens, samples),
    optimizer: frozen ? undefined : settings.optimizer.kind,
    lora: frozen ? undefined : loraOptions(session),
    recompute: checkpointing === "auto" ? "auto" : checkpointing ? "all" : "none",
    sharePrompt,
    storage: storageOf(settings),
    beside: needs.reference === "live" ? reference!.config : undefined,
  };
}

/** The reference beside a policy during training: it runs the policy's chunks, and its memory is planned. */
function besideOptions(policy: LlamaEngine, settings: Session["settings"]): LlamaOptions {
  const { tokens, scored } = policy.plan.capacity;
  return {
    budget: Infinity,
    tokens,
    scored,
    leastTokens: tokens,
    leastScored: scored,
    sharePrompt: settings.sharePrompt,
    storage: storageOf(settings),
  };
}

/** A reference that stays on the GPU, for mixtures and moves. */
async function openLive(
  gpu: Gpu,
  session: Session,
  policy: LlamaEngine,
  prompts: readonly string[],
): Promise<References> {
  const { settings, needs } = session;
  const engine = await session.reference!.load(gpu, besideOptions(policy, settings));
  if (needs.tokens?.includes("epsilonMix")) policy.attachReference(engine);
  const logps = liveReference(engine, {
    ldAlpha: settings.modifiers.ldAlpha,
    moving: movingReference(engine, policy),
  });
  const answers = await answerPrompts(session, engine, prompts);
  return { train: logps, validation: logps, answers, close: () => engine.destroy() };
}

/** Where what can be computed again is kept: the user's cache folder, else one beside the runs. */
export function cacheFolder(): string {
  const env = (name: string) => Deno.env.get(name);
  const base = env("XDG_CACHE_HOME") ||
    (Deno.build.os === "windows"
      ? env("LOCALAPPDATA")
      : Deno.build.os === "darwin"
      ? env("HOME") && `${env("HOME")}/Library/Caches`
      : env("HOME") && `${env("HOME")}/.cache`);
  return base ? `${base}/dynamic-dpo` : ".cache";
}

/**
 * Reference log-probabilities (cached on disk) and the answers before training. With a `signal` this
 * is for training: without, only the held-out rows are looked at. The reference's weights are on the
 * GPU only meanwhile; equal to the policy, they are not loaded again.
 */
export async function openReferences(
  gpu: Gpu,
  session: Session,
  policy: LlamaEngine,
  events: Sink,
  { signal, folder = cacheFolder() }: { signal?: AbortSignal; folder?: string } = {},
): Promise<References> {
  const { reference } = session;
  const prompts = samplePrompts(session);
  if (!reference) return { answers: await answerPrompts(session, policy, prompts) };
  if (session.needs.reference === "live") return await openLive(gpu, session, policy, prompts);
  const engine = reference === session.policy ? policy : await reference.load(
    gpu,
    engineOptions(session, { frozen: true, held: policy.plan.total }),
  );
  const answers = await answerPrompts(session, engine, prompts);
  const identity = reference.identity();
  const cached = (dataset: TokenizedDataset) =>
    cachedReference({
      folder: `${folder}/reference`,
      key: { model: identity, data: dataset.fingerprint, engine: engine.fingerprint },
      dataset,
      batchSize: session.settings.evalBatchSize,
      ldAlpha: session.settings.modifiers.ldAlpha,
      engine: () => engine,
      events,
      signal,
    });
  const references = {
    train: signal && await cached(session.data.train),
    validation: session.data.validation.length > 0
      ? await cached(session.data.validation)
      : undefined,
    answers,
  };
  if (engine !== policy) engine.destroy();
  return references;
}
