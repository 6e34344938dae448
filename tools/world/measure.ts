/**
 * What training did, measured by the truth of the world: answers sampled from policy and reference on
 * held-out requests, their true rewards, how often the policy's is the better one, and the KL divergence
 * between the two models' answers.
 */
import type { TextTokenizer } from "../../data/tokenizer.ts";
import type { TokenizedExample } from "../../model/engine.ts";
import { type PickToken, sampler } from "../../model/generate.ts";
import { type HeldOut, requests } from "./datasets.ts";
import { goldReward, wordsOf } from "./reward.ts";

/** What is sampled. */
export interface MeasureSettings {
  /** `validation` where hyperparameters are chosen, `test` for what is reported. */
  readonly set: HeldOut;
  /** Held-out requests. */
  readonly prompts: number;
  /** Answers sampled to each, at temperature 1. */
  readonly samples: number;
  readonly max_new_tokens: number;
}

/** What measuring needs of an engine. */
export interface AnsweringEngine {
  generate(
    prompts: readonly Uint32Array[],
    options: { maxNewTokens: number; stop: readonly number[]; pick: PickToken },
  ): Promise<Uint32Array[]>;
  score(examples: readonly TokenizedExample[]): Promise<
    { readonly logps: Float32Array; readonly offsets: Uint32Array }
  >;
}

/** Answers of a model to the requests of a set: sample s of request r at r * samples + s. */
export interface Answers {
  readonly prompts: readonly Uint32Array[];
  readonly ids: readonly Uint32Array[];
  readonly rewards: readonly number[];
  readonly words: readonly number[];
}

/** Policy and reference draw from streams of their own: they are compared as two answerers. */
export const SAMPLING_SEEDS = { policy: 1, reference: 2 } as const;

/** Samples answers at temperature 1, the distribution that training works on. */
export async function sampleAnswers(
  engine: AnsweringEngine,
  tokenizer: TextTokenizer,
  settings: MeasureSettings,
  seed: number,
): Promise<Answers> {
  const asked = requests(settings.set).slice(0, settings.prompts)
    .flatMap((request) => Array.from({ length: settings.samples }, () => request));
  const prompts = asked.map(({ prompt }) => tokenizer.encode(prompt));
  const ids = await engine.generate(prompts, {
    maxNewTokens: settings.max_new_tokens,
    stop: [tokenizer.eosId],
    pick: sampler(seed),
  });
  const texts = ids.map((answer) => tokenizer.decode(answer));
  return {
    prompts,
    ids,
    rewards: texts.map((text, i) => goldReward(asked[i].asked, text)),
    words: texts.map((text) => wordsOf(text).length),
  };
}

/** Sums of log-probabilities of answers, the end of each included where it was reached. */
export async function answerLogps(
  engine: AnsweringEngine,
  { prompts, ids }: Pick<Answers, "prompts" | "ids">,
  { eosId, maxNewTokens }: { readonly eosId: number; readonly maxNewTokens: number },
): Promise<number[]> {
  const sums: number[] = [];
  const rows = ids.map((answer, row): TokenizedExample => ({
    row,
    prompt: prompts[row],
    answers: [{
      // An answer that was cut off has no end token: that it goes on is no choice of the model's.
      ids: answer.length < maxNewTokens ? Uint32Array.from([...answer, eosId]) : answer,
      scoredFrom: 0,
    }],
  }));
  const { logps, offsets } = await engine.score(rows);
  for (let i = 0; i < rows.length; i++) {
    sums.push(logps.subarray(offsets[i], offsets[i + 1]).reduce((sum, logp) => sum + logp, 0));
  }
  return sums;
}

/**
 * Share of the comparisons that the policy wins, ties counting half: every answer of the policy against
 * every answer of the reference to the same request.
 */
export function winRate(
  policy: readonly number[],
  reference: readonly number[],
  samples: number,
): number {
  let won = 0;
  for (let begin = 0; begin < policy.length; begin += samples) {
    for (let i = 0; i < samples; i++) {
      for (let j = 0; j < samples; j++) {
        const difference = policy[begin + i] - reference[begin + j];
        // Sums of the same parts in another order differ by rounding only.
        won += Math.abs(difference) < 1e-9 ? 0.5 : difference > 0 ? 1 : 0;
      }
    }
  }
  return won / (policy.length * samples);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * True win rate, reward, length in words and KL(policy || reference), in nats an answer: the mean of
 * log policy - log reference over the policy's own samples.
 */
export function describeAnswers(
  policy: Answers,
  reference: Answers,
  logps: { readonly policy: readonly number[]; readonly reference: readonly number[] },
  samples: number,
): Record<string, number> {
  return {
    win_rate: winRate(policy.rewards, reference.rewards, samples),
    reward: mean(policy.rewards),
    reward_reference: mean(reference.rewards),
    kl: mean(logps.policy.map((logp, i) => logp - logps.reference[i])),
    words: mean(policy.words),
    words_reference: mean(reference.words),
  };
}
