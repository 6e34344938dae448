/**
 * Between tokens on the GPU and numbers in a mode: log-probabilities are summed per answer in float64
 * on the way up, the seeds of answers are spread over their tokens on the way down.
 */
import type { Needs } from "../losses/loss_mode.ts";
import { ConfigError, NumbersError } from "./error.ts";
import type { TokenizedAnswer, TokenizedExample, TokenLogps } from "../model/engine.ts";

/** Rows of pairs or single answers, by index in 0 .. length - 1. */
export interface TrainingDataset {
  readonly length: number;
  /** Changes with any token, boundary or row number: resuming on other data is refused. */
  readonly fingerprint?: string;
  get(index: number): TokenizedExample | Promise<TokenizedExample>;
}

/**
 * Sum of the scored tokens of each answer, [answers], in nats.
 *
 * @param weights factor of each scored token; absent: 1
 */
export function answerSums(
  { logps, offsets }: Pick<TokenLogps, "logps" | "offsets">,
  weights?: Float32Array,
): Float64Array {
  const sums = new Float64Array(offsets.length - 1);
  for (let a = 0; a < sums.length; a++) {
    let sum = 0;
    for (let t = offsets[a]; t < offsets[a + 1]; t++) {
      sum += weights ? weights[t] * logps[t] : logps[t];
    }
    sums[a] = sum;
  }
  return sums;
}

/** Scored tokens of each answer, [answers]. */
export function answerLengths({ offsets }: Pick<TokenLogps, "offsets">): Uint32Array {
  return Uint32Array.from({ length: offsets.length - 1 }, (_, a) => offsets[a + 1] - offsets[a]);
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
    if (rows === "unpaired" && example.label === undefined) {
      throw new ConfigError(`Row ${example.row} has no label, which the mode needs of every row`);
    }
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

/** Rounding of huge logits puts a log-probability this far above 0 at most; more is a wrong number. */
const LARGEST_LOGP = 0.1;

/**
 * Checks that every log-probability is finite, and one of a probability.
 *
 * @throws NumbersError naming the row and the answer of the first that is not
 */
export function checkLogps(
  examples: readonly TokenizedExample[],
  scores: TokenLogps,
  place: ScorePlace,
): void {
  const bad = scores.logps.findIndex((value) => !(Number.isFinite(value) && value <= LARGEST_LOGP));
  if (bad < 0) return;
  const wrong = Number.isFinite(scores.logps[bad]) ? "above 0" : "not finite";
  let answer = 0;
  while (scores.offsets[answer + 1] <= bad) answer++;
  for (const example of examples) {
    if (answer >= example.answers.length) {
      answer -= example.answers.length;
      continue;
    }
    const which = example.answers.length === 1 ? "only" : answer === 0 ? "chosen" : "rejected";
    throw new NumbersError(
      `Numbers are ${wrong} in ${place.when}: the ${place.model}'s log-probability of the ` +
        `${which} answer of row ${example.row} is "${scores.logps[bad]}"; lower the learning ` +
        "rate or check the weights, then resume from the last checkpoint",
    );
  }
}
