/**
 * Between tokens on the GPU and numbers in a mode: log-probabilities are summed per answer in float64
 * on the way up, the seeds of answers are spread over their tokens on the way down.
 */
import type { Needs, ScoreBatch } from "../losses/loss_mode.ts";
import { NumbersError } from "./error.ts";
import type { TokenizedAnswer, TokenizedExample, TokenLogps } from "../model/engine.ts";

/** Rows of pairs or single answers, by index in 0 .. length - 1. */
export interface TrainingDataset {
  readonly length: number;
  /** Changes with any token, boundary or row number: resuming on other data is refused. */
  readonly fingerprint?: string;
  get(index: number): TokenizedExample | Promise<TokenizedExample>;
}

/** Sum of the scored tokens of each answer, [answers], in nats. */
export function answerSums(scores: TokenLogps): Float64Array {
  const { logps, offsets } = scores;
  const sums = new Float64Array(offsets.length - 1);
  for (let a = 0; a < sums.length; a++) {
    let sum = 0;
    for (let t = offsets[a]; t < offsets[a + 1]; t++) sum += logps[t];
    sums[a] = sum;
  }
  return sums;
}

/** Scored tokens of an answer, EOS included. */
export function scoredTokens(answer: TokenizedAnswer): number {
  return answer.ids.length - answer.scoredFrom;
}

/** Tokens of all sequences, each with its prompt, as transformers counts `num_tokens`. */
export function sequenceTokens(examples: readonly TokenizedExample[]): number {
  let tokens = 0;
  for (const { prompt, answers } of examples) {
    for (const answer of answers) tokens += prompt.length + answer.ids.length;
  }
  return tokens;
}

/**
 * The examples at `indices`, with the answers the mode looks at: a mode of single rows sees the
 * preferred answer only, so the other one is not even run.
 */
export async function readExamples(
  dataset: TrainingDataset,
  indices: ArrayLike<number> & Iterable<number>,
  rows: Needs["rows"],
): Promise<TokenizedExample[]> {
  const examples: TokenizedExample[] = [];
  for (const index of indices) {
    const example = await dataset.get(index);
    examples.push(rows === "single" ? { ...example, answers: [example.answers[0]] } : example);
  }
  return examples;
}

/** Where numbers come from, for messages. */
export interface ScorePlace {
  /** E.g. `step 12` or `evaluation at step 12`. */
  readonly when: string;
  readonly model: "policy" | "reference";
}

/**
 * Checks that every log-probability is finite.
 *
 * @throws NumbersError naming the row and the answer of the first that is not
 */
export function checkLogps(
  examples: readonly TokenizedExample[],
  scores: TokenLogps,
  place: ScorePlace,
): void {
  const bad = scores.logps.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  let answer = 0;
  while (scores.offsets[answer + 1] <= bad) answer++;
  for (const example of examples) {
    if (answer >= example.answers.length) {
      answer -= example.answers.length;
      continue;
    }
    const which = example.answers.length === 1 ? "only" : answer === 0 ? "chosen" : "rejected";
    throw new NumbersError(
      `Numbers are not finite in ${place.when}: the ${place.model}'s log-probability of the ` +
        `${which} answer of row ${example.row} is "${scores.logps[bad]}"; lower the learning ` +
        "rate or check the weights, then resume from the last checkpoint",
    );
  }
}

/**
 * What a mode sees of the examples.
 *
 * @param policy sum of each answer under the policy, [answers of all examples]
 * @param reference the same under the reference
 */
export function scoreBatch(
  examples: readonly TokenizedExample[],
  policy: Float64Array,
  reference: Float64Array | undefined,
): ScoreBatch {
  const size = examples.length;
  const answers = examples[0].answers.length;
  const side = (a: number) => ({
    policy: Float64Array.from({ length: size }, (_, i) => policy[i * answers + a]),
    reference: reference &&
      Float64Array.from({ length: size }, (_, i) => reference[i * answers + a]),
    length: Uint32Array.from(examples, (example) => scoredTokens(example.answers[a])),
  });
  return {
    size,
    rows: Uint32Array.from(examples, (example) => example.row),
    chosen: side(0),
    rejected: answers > 1 ? side(1) : undefined,
  };
}

/**
 * Seeds of tokens from seeds of answers: the sum of log-probabilities has derivative 1 for each
 * token, so each token gets its answer's seed, times `scale`.
 *
 * @param offsets [answers + 1], as in TokenLogps
 * @returns d loss / d logp of each scored token, [offsets[answers]]
 */
export function tokenSeeds(
  seeds: { readonly chosen: Float64Array; readonly rejected?: Float64Array },
  offsets: Uint32Array,
  scale: number,
): Float32Array {
  const tokens = new Float32Array(offsets[offsets.length - 1]);
  const answers = seeds.rejected ? 2 : 1;
  for (let i = 0; i < seeds.chosen.length; i++) {
    for (let a = 0; a < answers; a++) {
      const seed = (a === 0 ? seeds.chosen : seeds.rejected!)[i] * scale;
      tokens.fill(seed, offsets[i * answers + a], offsets[i * answers + a + 1]);
    }
  }
  return tokens;
}
