/**
 * The world with a gold reward: a prompt asks for three things, an answer names things and is civil or
 * not. The reward below is the truth of this world: it is defined on every text, and nothing that
 * trains ever sees it, only labels drawn from it.
 */

/** Things that can be asked for. */
export const THINGS: readonly string[] = [
  "cup",
  "key",
  "hat",
  "map",
  "pan",
  "jar",
  "box",
  "bag",
  "rug",
  "pen",
  "net",
  "axe",
  "saw",
  "pot",
  "fan",
  "bow",
  "oar",
  "wax",
  "fig",
  "nut",
];

/** A civil first word, and a civil last one. */
export const OPENER = "gladly";
export const CLOSER = "friend";
/** An uncivil word. */
export const RUDE = "bah";
/** Words that say nothing: they make answers long. */
export const FILLERS: readonly string[] = ["so", "and", "then", "well", "here", "also"];

/** What each part of an answer is worth; the sizes of all true differences follow from these. */
export const WORTH = {
  /** A thing asked for, at its first mention. */
  asked: 1,
  /** A thing not asked for, or named again. */
  other: -0.7,
  opener: 0.6,
  closer: 0.4,
  rude: -0.8,
  filler: -0.05,
  /** A word that this world does not have. */
  unknown: -0.5,
} as const;

/** No answer is worth less, however long its nonsense. */
export const LEAST = -5;
/** Worth of an answer without fault. */
export const BEST = 3 * WORTH.asked + WORTH.opener + WORTH.closer;

/** The words of a text; any text has some, or none. */
export function wordsOf(text: string): string[] {
  return text.split(/\s+/u).filter((word) => word !== "");
}

/**
 * The true reward of `text` as the answer to a request for `asked`, from {@linkcode LEAST} to
 * {@linkcode BEST}. An empty text is worth 0.
 */
export function goldReward(asked: readonly string[], text: string): number {
  const words = wordsOf(text);
  const left = new Set(asked);
  let reward = 0;
  words.forEach((word, i) => {
    if (left.delete(word)) reward += WORTH.asked;
    else if (THINGS.includes(word)) reward += WORTH.other;
    else if (word === RUDE) reward += WORTH.rude;
    else if (word === OPENER) reward += i === 0 ? WORTH.opener : WORTH.filler;
    else if (word === CLOSER) reward += i === words.length - 1 ? WORTH.closer : WORTH.filler;
    else if (FILLERS.includes(word)) reward += WORTH.filler;
    else reward += WORTH.unknown;
  });
  return Math.max(LEAST, reward);
}
