/** The groups of pairs that the microscope's page shows, each with what it means. */
import { type PairCourse, suspicions } from "../pair_margins.ts";

/** Texts of a pair. */
export interface PairTexts {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

/** A pair on the page; the texts are absent when the dataset is not there any more. */
export type PairCard = Partial<PairTexts> & {
  readonly row: number;
  readonly mean: number;
  readonly last: number;
  readonly seen: number;
  readonly flips: number;
  readonly dropped: number;
  readonly steps: readonly number[];
  readonly margins: readonly number[];
};

export interface PairGroup {
  readonly id: string;
  readonly title: string;
  readonly how: string;
  readonly pairs: readonly PairCard[];
}

export const PAIRS_HOW =
  "A margin is what the policy has gained over the reference in favour of the chosen answer. Pairs " +
  "that agree with most others are carried along and end far above 0. The pairs below went another " +
  "way. Read them before you drop them: besides swapped labels there are hard pairs, rare kinds of " +
  "prompts, and pairs with two equally good answers.";

/** The groups, each with its `top` first pairs. */
export function pairGroups(
  pairs: readonly PairCourse[],
  top: number,
  texts: (row: number) => PairTexts | undefined,
): PairGroup[] {
  const is = (what: ReturnType<typeof suspicions>[number]) =>
    pairs.filter((pair) => suspicions(pair).includes(what));
  const cards = (chosen: readonly PairCourse[]) =>
    chosen.slice(0, top).map((pair) => card(pair, texts(pair.row)));
  return [
    {
      id: "negative",
      title: "Most negative",
      how: "Lowest mean margin, and still negative at the last visit: the model learned the " +
        "opposite from the other pairs. The likeliest swapped labels.",
      pairs: cards(is("negative")),
    },
    {
      id: "flipping",
      title: "Most flipped",
      how:
        "The margin changed its sign at least twice: other pairs pull it back each time. Often " +
        "answers that hardly differ.",
      pairs: cards(is("flipping").sort((a, b) => b.flips - a.flips || a.mean - b.mean)),
    },
    {
      id: "never",
      title: "Never selected",
      how: "Seen at least twice, and each time the mode gave it no weight: its margin was always " +
        "far from the others'. Only modes that filter, such as beta_dpo, have such pairs.",
      pairs: cards(is("never_selected").sort((a, b) => b.dropped - a.dropped || a.mean - b.mean)),
    },
  ];
}

function card(pair: PairCourse, texts: PairTexts | undefined): PairCard {
  const { row, mean, last, flips, dropped } = pair;
  const short = (values: readonly number[]) => values.map((v) => Number(v.toPrecision(5)));
  return {
    row,
    mean,
    last,
    flips,
    dropped,
    seen: pair.steps.length,
    steps: pair.steps,
    margins: short(pair.margins),
    ...texts,
  };
}
