/**
 * Each prompt with another prompt's answer, from which KTO estimates how far the policy is from the
 * reference (arXiv 2402.01306). TRL rotates the answers of a batch by one; here the partner depends on
 * the dataset only, so that batches, shuffling and resuming change nothing and references can be cached.
 */
import { type TokenizedAnswer, type TokenizedExample, wholePrompt } from "./tokenize.ts";

/** Rows of one answer each, by index in 0 .. length - 1. */
export interface SingleAnswerDataset {
  readonly length: number;
  /** Changes with any token, boundary, label or row number. */
  readonly fingerprint: string;
  get(i: number): TokenizedExample;
}

/**
 * A view of a dataset in which each row has a second answer: this row's own prompt, then the answer of
 * the nearest earlier row whose prompt is another one. Before the first row comes the last. Where all
 * prompts are equal it is the row before, in a dataset of one row the row itself.
 *
 * Prompts are compared as token ids, in full. Row number and label are those of the row itself.
 *
 * @param maxLength tokens of prompt and second answer together; what is longer is cut at the end, but
 * one scored token is always left.
 * @throws RangeError when `maxLength` is no positive number, or later when a row has not one answer.
 */
export function withMismatched(
  dataset: SingleAnswerDataset,
  maxLength: number,
): SingleAnswerDataset {
  if (!(maxLength >= 1)) {
    throw new RangeError(`The length of mismatched sequences must be positive, got "${maxLength}"`);
  }
  const partners = new Partners(dataset);
  return {
    length: dataset.length,
    fingerprint: `${dataset.fingerprint}-mismatched-${maxLength}`,
    get: (i) => {
      const example = dataset.get(i);
      const own = onlyAnswer(example);
      const other = onlyAnswer(dataset.get(partners.of(i, example)));
      return { ...example, answers: [own, mismatch(example.prompt, own, other, maxLength)] };
    },
  };
}

/** The other answer after the own prompt, of which `own` may hold the last tokens. */
function mismatch(
  prompt: Uint32Array,
  own: TokenizedAnswer,
  other: TokenizedAnswer,
  maxLength: number,
): TokenizedAnswer {
  const { scoredFrom } = own;
  const room = Math.max(1, maxLength - prompt.length - scoredFrom);
  const scored = other.ids.subarray(other.scoredFrom, other.scoredFrom + room);
  const ids = new Uint32Array(scoredFrom + scored.length);
  ids.set(own.ids.subarray(0, scoredFrom));
  ids.set(scored, scoredFrom);
  return { ids, scoredFrom };
}

/**
 * Finds partners when they are first asked for, and remembers them: rows beyond the memory budget are
 * tokenized again at each look, so that nothing is read ahead. All rows of one run of equal prompts have
 * the same partner, so a whole dataset takes a number of comparisons in proportion to its length.
 */
class Partners {
  #dataset: SingleAnswerDataset;
  /** Index of each row's partner; -1 where it is not known yet. */
  #known: Int32Array;

  constructor(dataset: SingleAnswerDataset) {
    this.#dataset = dataset;
    this.#known = new Int32Array(dataset.length).fill(-1);
  }

  of(i: number, example: TokenizedExample): number {
    const known = this.#known;
    if (known[i] >= 0) return known[i];
    const before = (j: number) => (j === 0 ? this.#dataset.length : j) - 1;
    const prompt = promptIds(example);
    const run = [i];
    let partner = before(i);
    while (partner !== i && equalIds(prompt, promptIds(this.#dataset.get(partner)))) {
      if (known[partner] >= 0) {
        partner = known[partner];
        break;
      }
      run.push(partner);
      partner = before(partner);
    }
    // Back at the start: there is no other prompt.
    const alone = partner === i;
    for (const j of run) known[j] = alone ? before(j) : partner;
    return known[i];
  }
}

/** The whole prompt of a row; throws RangeError when it has not one answer. */
function promptIds(example: TokenizedExample): Uint32Array {
  onlyAnswer(example);
  return wholePrompt(example);
}

function equalIds(a: Uint32Array, b: Uint32Array): boolean {
  return a.length === b.length && a.every((id, k) => id === b[k]);
}

function onlyAnswer({ row, answers }: TokenizedExample): TokenizedAnswer {
  if (answers.length !== 1) {
    throw new RangeError(
      `Mismatched sequences need rows of one answer, row ${row} has ${answers.length}`,
    );
  }
  return answers[0];
}
