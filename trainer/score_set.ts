/**
 * Scores a decision set: log-probabilities of its answers under policy and reference, and what else the
 * run's mode needs of them, as the mode sees it; and back, from seeds of answers to seeds of tokens.
 */
import { wholePrompt } from "../data/tokenize.ts";
import type { AnswerScores, Needs, ScoreBatch, Seeds } from "../losses/loss_mode.ts";
import { pairTokenWeights, policyWeight } from "../losses/token_weights.ts";
import type { ScoringEngine, TokenizedExample, TokenLogps } from "../model/engine.ts";
import { answerLengths, answerSums, checkLogps, scoredTokens } from "./decision_set.ts";
import type { Modifiers } from "./needs.ts";
import type { ReferenceLogps } from "./reference_cache.ts";

export interface Scorer {
  readonly engine: Pick<ScoringEngine, "score">;
  /** Needed unless `needs.reference` is `none`. */
  readonly reference?: ReferenceLogps;
  readonly needs: Needs;
  readonly modifiers?: Modifiers;
}

/** A decision set as scored. */
export interface ScoredSet {
  readonly batch: ScoreBatch;
  /** The examples that the engine scored, to learn from. */
  readonly asked: readonly TokenizedExample[];
  readonly scores: TokenLogps;
  /** Factor of each scored token; absent: 1. */
  readonly weights?: Float32Array;
}

/** The prompt of an example as an answer after its own first token. */
function promptExample(example: TokenizedExample): TokenizedExample {
  const whole = wholePrompt(example);
  return {
    row: example.row,
    prompt: whole.subarray(0, 1),
    answers: [{ ids: whole.subarray(1), scoredFrom: 0 }],
  };
}

/**
 * What an engine is asked to score for some examples: themselves, and where prompts count too, all
 * their prompts behind them.
 */
export function askedExamples(
  examples: readonly TokenizedExample[],
  needs: Pick<Needs, "tokens">,
): readonly TokenizedExample[] {
  return needs.tokens?.includes("promptLogp")
    ? [...examples, ...examples.map(promptExample)]
    : examples;
}

/**
 * Scores a decision set.
 *
 * @param when for messages, e.g. `step 12`
 * @throws NumbersError when a log-probability is not finite
 */
export async function scoreSet(
  { engine, reference, needs, modifiers }: Scorer,
  examples: readonly TokenizedExample[],
  when: string,
): Promise<ScoredSet> {
  const asked = askedExamples(examples, needs);
  const scores = await engine.score(asked, {
    logSumP2: needs.tokens?.includes("logSumP2"),
    epsilon: needs.tokens?.includes("epsilonMix") ? needs.epsilon : undefined,
  });
  checkLogps(asked, scores, { when, model: "policy" });
  const weights = pairTokenWeights(answerLengths(scores), modifiers?.ldAlpha, 2 * examples.length);
  const { offsets, mix } = scores;
  if (mix) checkLogps(asked, { logps: mix.reference, offsets }, { when, model: "reference" });
  const sums = needs.reference === "none"
    ? undefined
    : mix
    ? answerSums({ logps: mix.reference, offsets }, weights)
    : await reference!.sums(examples);
  const batch = scoreBatch(examples, scores, sums, { needs, modifiers, weights });
  return { batch, asked, scores, weights };
}

/** What a mode sees of the examples; `reference` has a sum for each of their answers. */
function scoreBatch(
  examples: readonly TokenizedExample[],
  scores: TokenLogps,
  reference: Float64Array | undefined,
  { needs, modifiers, weights }: Pick<Scorer, "needs" | "modifiers"> & Pick<ScoredSet, "weights">,
): ScoreBatch {
  const size = examples.length, answers = examples[0].answers.length;
  const { offsets, logSumP2, mix } = scores;
  const sums = (logps: Float32Array) => answerSums({ logps, offsets }, weights);
  const policy = sums(scores.logps);
  const plus = mix && sums(mix.plus), minus = mix && sums(mix.minus);
  const squares = logSumP2 && answerSums({ logps: logSumP2, offsets });
  const pick = (values: Float64Array, a: number) =>
    Float64Array.from({ length: size }, (_, i) => values[i * answers + a]);
  const side = (a: number): AnswerScores => ({
    policy: pick(policy, a),
    reference: reference && pick(reference, a),
    length: Uint32Array.from(examples, (example) => scoredTokens(example.answers[a])),
    ...plus && { epsilonMix: { plus: pick(plus, a), minus: pick(minus!, a) } },
    ...squares && { logSumP2: pick(squares, a) },
  });
  const second = answers > 1 ? side(1) : undefined;
  const mismatched = needs.extra === "mismatched";
  return {
    size,
    rows: Uint32Array.from(examples, (example) => example.row),
    chosen: side(0),
    rejected: mismatched ? undefined : second,
    ...mismatched && { mismatched: second },
    ...needs.rows === "unpaired" && {
      label: Uint8Array.from(examples, (example) => example.label!),
    },
    ...needs.tokens?.includes("promptLogp") && {
      prompt: {
        policy: policy.slice(size * answers),
        length: answerLengths(scores).slice(size * answers),
      },
    },
    ...modifiers?.useWeighting && { pairWeights: pairWeights(scores, size) },
  };
}

/** WPO's weight of each pair, [B]: the product of those of its two answers. */
function pairWeights({ logps, logSumP2, offsets }: TokenLogps, size: number): Float64Array {
  const answer = (a: number) =>
    policyWeight(
      logps.subarray(offsets[a], offsets[a + 1]),
      logSumP2!.subarray(offsets[a], offsets[a + 1]),
    );
  return Float64Array.from({ length: size }, (_, i) => answer(2 * i) * answer(2 * i + 1));
}

/**
 * Seeds of tokens from seeds of answers: the sum of weighted log-probabilities has the weight as its
 * derivative for each token, so each token gets its answer's seed times its weight, times `scale`.
 * Answers without a seed, such as mismatched ones, get 0.
 *
 * @returns d loss / d logp of each scored token, in the order of the scores
 */
export function tokenSeeds(
  { batch, asked, scores, weights }: ScoredSet,
  seeds: Seeds,
  scale: number,
): Float32Array {
  const { offsets } = scores;
  const tokens = new Float32Array(offsets[offsets.length - 1]);
  const answers = asked[0].answers.length;
  const fill = (a: number, seed: number) => tokens.fill(seed * scale, offsets[a], offsets[a + 1]);
  for (let i = 0; i < batch.size; i++) {
    fill(i * answers, seeds.chosen[i]);
    if (answers > 1 && seeds.rejected) fill(i * answers + 1, seeds.rejected[i]);
    if (seeds.prompt) fill(batch.size * answers + i, seeds.prompt[i]);
  }
  return weights ? tokens.map((seed, t) => seed * weights[t]) : tokens;
}
