/**
 * The example's three data sets, as rows and as JSON lines: preference pairs for training, held-out
 * pairs, and the mixture of good and poor answers that the first model is trained on.
 */
import { answer, type Manner, poorManner } from "./answers.ts";
import { drawPrompt, type Prompt } from "./prompts.ts";
import { Draws } from "./random.ts";

/** Two full transcripts with the same prompt. */
export interface PairRow {
  readonly chosen: string;
  readonly rejected: string;
}

export interface SftRow {
  readonly prompt: string;
  readonly completion: string;
}

export interface ExampleOptions {
  /** A non-negative safe integer. */
  readonly seed: number;
  readonly pairs: number;
  readonly heldout: number;
  readonly sft: number;
  /** Share of training pairs, 0 .. 1, whose chosen and rejected texts change places. */
  readonly flipped: number;
}

export interface ExampleData {
  readonly pairs: readonly PairRow[];
  readonly heldout: readonly PairRow[];
  readonly sft: readonly SftRow[];
}

/** Share of good answers among the rows of the first stage. */
export const goodShare = 0.5;

/** How often a prompt is drawn again because it was seen before, until the world counts as used up. */
const maxRedraws = 1000;

/**
 * Draws prompt `index` of a set; redraws while `taken` has it, and adds it there.
 *
 * Throws a `RangeError` when every draw is taken.
 */
export function freshPrompt(set: string, index: number, seed: number, taken: Set<string>): Prompt {
  const draws = new Draws(seed, `prompt/${set}/${index}`);
  for (let attempt = 0; attempt < maxRedraws; attempt++) {
    const drawn = drawPrompt(draws);
    if (!taken.has(drawn.text)) {
      taken.add(drawn.text);
      return drawn;
    }
  }
  throw new RangeError(
    `Making row ${index} of "${set}": no new prompt in ${maxRedraws} draws; ask for fewer rows`,
  );
}

function pairRow(set: string, index: number, flipped: number, seed: number, taken: Set<string>) {
  const drawn = freshPrompt(set, index, seed, taken);
  const draws = new Draws(seed, `answers/${set}/${index}`);
  const good = `${drawn.text} ${answer(drawn, "good", draws)}`;
  const poor = `${drawn.text} ${answer(drawn, poorManner(drawn, draws), draws)}`;
  // A stream of its own: a larger share flips the same rows and more, and changes no text.
  const flip = new Draws(seed, `flip/${set}/${index}`).uniform() < flipped;
  return flip ? { chosen: poor, rejected: good } : { chosen: good, rejected: poor };
}

function sftRow(index: number, seed: number, taken: Set<string>): SftRow {
  const drawn = freshPrompt("sft", index, seed, taken);
  const draws = new Draws(seed, `answers/sft/${index}`);
  const manner: Manner = draws.chance(goodShare) ? "good" : poorManner(drawn, draws);
  return { prompt: drawn.text, completion: ` ${answer(drawn, manner, draws)}` };
}

function range<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/**
 * Makes all rows. Within a set no prompt comes twice, and no held-out prompt is in another set; pairs
 * and first-stage rows may share prompts. Row i depends on the seed and the rows before it only, so a
 * larger set begins with the smaller one. Labels of held-out pairs are never flipped.
 *
 * Throws a `RangeError` when so many rows are asked for that no new prompt is found.
 */
export function makeExample(options: ExampleOptions): ExampleData {
  const { seed, flipped } = options;
  const heldoutPrompts = new Set<string>();
  const heldout = range(options.heldout, (i) => pairRow("heldout", i, 0, seed, heldoutPrompts));
  const takenByPairs = new Set(heldoutPrompts);
  const pairs = range(options.pairs, (i) => pairRow("pairs", i, flipped, seed, takenByPairs));
  const takenBySft = new Set(heldoutPrompts);
  const sft = range(options.sft, (i) => sftRow(i, seed, takenBySft));
  return { pairs, heldout, sft };
}

/** One JSON object a line, each line ended by a newline. */
export function jsonLines(rows: readonly object[]): string {
  return rows.map((row) => JSON.stringify(row) + "\n").join("");
}
