/**
 * What the doctor finds in a dataset: duplicates, ties, lengths, borders between prompt and answer,
 * special tokens, truncation. Counts only; what they mean is said on the page (`doctor_page.ts`).
 */
import { createHash } from "node:crypto";
import type { TokenizedDataset } from "../data/load.ts";
import {
  type Encoder,
  type TokenizedExample,
  tokenizeExample,
  wholePrompt,
} from "../data/tokenize.ts";

/** What is asked of a tokenizer. */
export interface DoctorTokenizer extends Encoder {
  readonly bosId?: number;
}

/** Rows that repeat earlier ones; every repetition counts, the first occurrence does not. */
export interface Duplicates {
  /** The same prompt and the same answers, as tokens. */
  readonly rows: number;
  /** The same prompt, whatever the answers. */
  readonly prompts: number;
  /** The same prompt and answers, but the rejected one was chosen before. */
  readonly reversed: number;
}

/** Lengths of the answers of pairs, in scored tokens. */
export interface LengthBias {
  readonly pairs: number;
  readonly chosenLonger: number;
  readonly sameLength: number;
  readonly meanChosen: number;
  readonly meanRejected: number;
}

/** Tokens that the length limits took. */
export interface Truncation {
  /** Rows in which a sequence was cut. */
  readonly rows: number;
  readonly sequences: number;
  /** Of all cut sequences together, and of the one cut most. */
  readonly tokens: number;
  readonly most: number;
  /** Answers that lost their end-of-text token: the model is not taught to stop there. */
  readonly endsLost: number;
}

export interface Findings {
  readonly duplicates: Duplicates;
  /** Pairs whose two answers are the same tokens: they teach nothing. */
  readonly identical: number;
  /** Absent where rows have one answer. */
  readonly lengths?: LengthBias;
  /** Rows in which the prompt's last token merges with the beginning of an answer. */
  readonly mergedBorders: number;
  /** Number of the first of these rows. */
  readonly firstMergedRow?: number;
  /** Rows that begin with more than one BOS, and rows without BOS where the tokenizer has one. */
  readonly bosTwice: number;
  readonly bosMissing: number;
  /** Answers with an end-of-text token before their end. */
  readonly eosInside: number;
  readonly truncation: Truncation;
}

type Counts = { -readonly [K in keyof Truncation]: number };

/** Looks at every row. `onProgress` is told rows done. */
export function examine(
  dataset: Pick<TokenizedDataset, "length" | "get" | "text">,
  tokenizer: DoctorTokenizer,
  onProgress?: (done: number) => void,
): Findings {
  const duplicates = new DuplicateCounter();
  const lengths = { pairs: 0, chosenLonger: 0, sameLength: 0, meanChosen: 0, meanRejected: 0 };
  const cut: Counts = { rows: 0, sequences: 0, tokens: 0, most: 0, endsLost: 0 };
  let identical = 0, mergedBorders = 0, bosTwice = 0, bosMissing = 0, eosInside = 0;
  let firstMergedRow: number | undefined;
  for (let i = 0; i < dataset.length; i++) {
    if (i % 512 === 511) onProgress?.(i);
    const kept = dataset.get(i);
    const text = dataset.text(i);
    // Without limits no row is dropped for its length.
    const result = tokenizeExample(text, tokenizer);
    const whole = "drop" in result ? kept : result.example;
    duplicates.add(whole);
    if (addLengths(lengths, whole)) identical++;
    addTruncation(cut, kept, whole, tokenizer.eosId);
    const prompt = wholePrompt(whole);
    if (prompt.length < tokenizer.encode(text.prompt).length) {
      mergedBorders++;
      firstMergedRow ??= text.row;
    }
    const { bosId, eosId } = tokenizer;
    const start = prompt.length > 0 ? prompt : whole.answers[0].ids;
    if (bosId !== undefined && start[0] !== bosId) bosMissing++;
    if (bosId !== undefined && bosId !== eosId && start[0] === bosId && start[1] === bosId) {
      bosTwice++;
    }
    for (const { ids, scoredFrom } of whole.answers) {
      if (ids.subarray(scoredFrom, -1).includes(eosId)) eosInside++;
    }
  }
  onProgress?.(dataset.length);
  return {
    duplicates: duplicates.finish(),
    identical,
    ...lengths.pairs > 0 && { lengths: meansOf(lengths) },
    mergedBorders,
    firstMergedRow,
    bosTwice,
    bosMissing,
    eosInside,
    truncation: cut,
  };
}

/** Adds a pair's lengths; true when both answers are the same tokens. */
function addLengths(sum: { -readonly [K in keyof LengthBias]: number }, whole: TokenizedExample) {
  if (whole.answers.length !== 2) return false;
  const [chosen, rejected] = whole.answers.map(({ ids, scoredFrom }) => ids.subarray(scoredFrom));
  sum.pairs++;
  sum.meanChosen += chosen.length;
  sum.meanRejected += rejected.length;
  if (chosen.length > rejected.length) sum.chosenLonger++;
  if (chosen.length === rejected.length) sum.sameLength++;
  return chosen.length === rejected.length && chosen.every((id, i) => id === rejected[i]);
}

function meansOf(sum: LengthBias): LengthBias {
  const { pairs, meanChosen, meanRejected } = sum;
  return { ...sum, meanChosen: meanChosen / pairs, meanRejected: meanRejected / pairs };
}

function addTruncation(
  cut: Counts,
  kept: TokenizedExample,
  whole: TokenizedExample,
  eosId: number,
) {
  let any = false;
  // A dataset may hold answers beside those of its rows, which are not looked at.
  whole.answers.forEach(({ ids }, a) => {
    const left = kept.answers[a].ids;
    const lost = whole.prompt.length + ids.length - kept.prompt.length - left.length;
    if (lost === 0) return;
    any = true;
    cut.sequences++;
    cut.tokens += lost;
    cut.most = Math.max(cut.most, lost);
    if (left.at(-1) !== eosId) cut.endsLost++;
  });
  if (any) cut.rows++;
}

class DuplicateCounter {
  #rows = new Set<string>();
  #prompts = new Set<string>();
  #counts = { rows: 0, prompts: 0, reversed: 0 };

  add(example: TokenizedExample): void {
    const { answers, label } = example;
    const prompt = keyOf([wholePrompt(example)]);
    const texts = answers.map(({ ids, scoredFrom }) => ids.subarray(scoredFrom));
    const row = `${prompt} ${label ?? ""} ${keyOf(texts)}`;
    const reversed = `${prompt} ${label ?? ""} ${keyOf(texts.toReversed())}`;
    if (this.#prompts.has(prompt)) this.#counts.prompts++;
    if (this.#rows.has(row)) this.#counts.rows++;
    else if (this.#rows.has(reversed)) this.#counts.reversed++;
    this.#prompts.add(prompt);
    this.#rows.add(row);
  }

  finish(): Duplicates {
    return this.#counts;
  }
}

/** Sixteen bytes that stand for lists of ids. */
function keyOf(lists: readonly Uint32Array[]): string {
  const hash = createHash("sha256");
  for (const ids of lists) {
    hash.update(`${ids.length}:`);
    hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  return hash.digest("base64").slice(0, 22);
}
