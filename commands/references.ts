/** The policy on the GPU, and the reference's log-probabilities and answers. */
import type { TokenizedDataset } from "../data/load.ts";
import type { Gpu } from "../gpu/device.ts";
import type { LlamaEngine, LlamaOptions } from "../model/llama.ts";
import type { Sink } from "../report/events.ts";
import { cachedReference, liveReference, type ReferenceLogps } from "../trainer/reference_cache.ts";
import { runSize } from "../trainer/plan.ts";
import { answerPrompts, samplePrompts, sampleTokens } from "./samples.ts";
import { largestSets, type Session } from "./session.ts";

export interface References {
  readonly train?: ReferenceLogps;
  readonly validation?: ReferenceLogps;
  /** Greedy answers to the sample prompts before training. */
  readonly answers: readonly string[];
}

/** The engine's options for a session: the chunk holds a whole decision set if memory allows. */
export function engineOptions(
  session: Session,
  { frozen, held = 0 }: { frozen: boolean; held?: number },
): LlamaOptions {
  const { settings, data, mode, modeOptions } = session;
  const { scope } = mode.needs(modeOptions);
  const { decisionSize } = runSize(settings, data.train.length, scope);
  const sizes = largestSets([data.train, data.validation], decisionSize, settings.sharePrompt);
  const samples = sampleTokens(session);
  return {
    // What another model holds on the GPU is not there for this one.
    budget: settings.memoryBudget - held,
    ...sizes,
    tokens: Math.max(sizes.tokens, samples),
    leastTokens: Math.max(sizes.leastTokens, samples),
    optimizer: frozen ? undefined : settings.optimizer.kind,
    sharePrompt: settings.sharePrompt,
  };
}

/** Folder of the reference caches: the user's cache folder, else one beside the runs. */
export function cacheFolder(): string {
  const env = (name: string) => Deno.env.get(name);
  const base = env("XDG_CACHE_HOME") ||
    (Deno.build.os === "windows"
      ? env("LOCALAPPDATA")
      : Deno.build.os === "darwin"
      ? env("HOME") && `${env("HOME")}/Library/Caches`
      : env("HOME") && `${env("HOME")}/.cache`);
  return base ? `${base}/dynamic-dpo/reference` : ".cache/reference";
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
  const { reference, mode, modeOptions } = session;
  const prompts = samplePrompts(session);
  if (!reference) return { answers: await answerPrompts(session, policy, prompts) };
  const same = reference === session.policy;
  const live = mode.needs(modeOptions).reference === "live";
  const engine = same && !live ? policy : await reference.load(
    gpu,
    engineOptions(session, { frozen: true, held: policy.plan.total }),
  );
  const answers = await answerPrompts(session, engine, prompts);
  if (live) {
    const logps = liveReference(engine);
    return { train: logps, validation: logps, answers };
  }
  const identity = reference.identity();
  const cached = (dataset: TokenizedDataset) =>
    cachedReference({
      folder,
      key: { model: identity, data: dataset.fingerprint, engine: engine.fingerprint },
      dataset,
      batchSize: session.settings.evalBatchSize,
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
