/**
 * An example as token ids.
 *
 * Prompt and answer are encoded as one text, because enc(a + b) is not enc(a) + enc(b): a token that
 * straddles the boundary belongs to the answer. The boundary is the longest common beginning of
 * enc(prompt) and enc(prompt + answer).
 */
import type { Example } from "./formats.ts";

/** One answer: `ids` follow the example's prompt; the first `scoredFrom` ids still belong to it. */
export interface TokenizedAnswer {
  readonly ids: Uint32Array;
  readonly scoredFrom: number;
}

/**
 * A row as token ids. Sequence a is `prompt` followed by `answers[a].ids`; `prompt` is the part common
 * to all answers (it may be empty), the scored tokens of answer a are `answers[a].ids[scoredFrom..]`,
 * the end-of-text token included. A sequence's first token is never scored: nothing predicts it.
 */
export interface TokenizedExample {
  readonly row: number;
  readonly prompt: Uint32Array;
  readonly answers: readonly TokenizedAnswer[];
  /** 1 desirable, 0 undesirable; rows of single answers with a label only. */
  readonly label?: 0 | 1;
}

/** Limits in tokens, applied in this order; an absent one does not cut. */
export interface TokenLimits {
  /** The prompt keeps its last tokens (a front token such as BOS is the first to go). */
  readonly maxPromptLength?: number;
  /** An answer keeps its first tokens; its end-of-text token is lost when it is longer. */
  readonly maxCompletionLength?: number;
  /** Then a whole sequence is cut to this length by `truncationMode`. */
  readonly maxLength?: number;
  /** `keep_end` (default) keeps the last tokens of the whole, `keep_start` the first. */
  readonly truncationMode?: "keep_end" | "keep_start";
  /** A sequence that is still longer than the model's context is dropped. */
  readonly contextLength?: number;
}

/** What tokenizing needs of a tokenizer. */
export interface Encoder {
  readonly eosId: number;
  encode(text: string): Uint32Array;
}

/** A row as token ids and whether a limit cut it, or why it is dropped. */
export type TokenizeResult =
  | { readonly example: TokenizedExample; readonly truncated: boolean }
  | { readonly drop: string };

/** A whole sequence; tokens from `boundary` on are the answer. */
interface Sequence {
  readonly ids: Uint32Array;
  readonly boundary: number;
}

/**
 * Tokenizes an example.
 *
 * Each sequence is cut by its own length. A sequence that has lost its whole prompt starts with answer
 * tokens: the first of them is context, not scored. A row is dropped when no scored token is left in
 * one of its answers.
 */
export function tokenizeExample(
  example: Example,
  encoder: Encoder,
  limits: TokenLimits = {},
): TokenizeResult {
  const promptIds = encoder.encode(example.prompt);
  const sequences: Sequence[] = [];
  let truncated = false;
  for (const answer of example.answers) {
    const whole = withEos(encoder.encode(example.prompt + answer), encoder.eosId);
    const boundary = commonLength(promptIds, whole);
    const cut = truncate({ ids: whole, boundary }, limits);
    truncated ||= cut.ids.length < whole.length;
    if (limits.contextLength !== undefined && cut.ids.length > limits.contextLength) {
      return { drop: "longer than the model's context" };
    }
    if (cut.ids.length <= Math.max(cut.boundary, 1)) {
      return { drop: "no answer token left after truncation" };
    }
    sequences.push(cut);
  }
  return { example: sharePrompt(example, sequences), truncated };
}

/**
 * A whole prompt, the part included that stands in the ids of the first answer. It may share memory
 * with the example.
 */
export function wholePrompt({ prompt, answers }: TokenizedExample): Uint32Array {
  const [{ ids, scoredFrom }] = answers;
  if (scoredFrom === 0) return prompt;
  const whole = new Uint32Array(prompt.length + scoredFrom);
  whole.set(prompt);
  whole.set(ids.subarray(0, scoredFrom), prompt.length);
  return whole;
}

/** Appends the end-of-text token unless it is there. */
function withEos(ids: Uint32Array, eosId: number): Uint32Array {
  if (ids.at(-1) === eosId) return ids;
  const whole = new Uint32Array(ids.length + 1);
  whole.set(ids);
  whole[ids.length] = eosId;
  return whole;
}

function truncate(sequence: Sequence, limits: TokenLimits): Sequence {
  const { ids, boundary } = sequence;
  const { maxPromptLength = Infinity, maxCompletionLength = Infinity, maxLength = Infinity } =
    limits;
  let from = Math.max(0, boundary - maxPromptLength);
  let to = Math.min(ids.length, boundary + maxCompletionLength);
  if (to - from > maxLength) {
    if (limits.truncationMode === "keep_start") to = from + maxLength;
    else from = to - maxLength;
  }
  return { ids: ids.slice(from, to), boundary: Math.min(Math.max(boundary - from, 0), to - from) };
}

/**
 * Takes out the common beginning of all sequences. It ends where the first scored token of any answer
 * stands, so that every scored token is in an answer's own ids.
 */
function sharePrompt(
  { row, label }: Example,
  sequences: readonly Sequence[],
): TokenizedExample {
  const scored = sequences.map(({ boundary }) => Math.max(boundary, 1));
  let shared = Math.min(...scored);
  for (const { ids } of sequences) shared = Math.min(shared, commonLength(sequences[0].ids, ids));
  return {
    row,
    prompt: sequences[0].ids.slice(0, shared),
    answers: sequences.map(({ ids }, a) => ({
      ids: ids.slice(shared),
      scoredFrom: scored[a] - shared,
    })),
    ...label !== undefined && { label },
  };
}

function commonLength(a: Uint32Array, b: Uint32Array): number {
  const end = Math.min(a.length, b.length);
  let length = 0;
  while (length < end && a[length] === b[length]) length++;
  return length;
}
