/**
 * Rows of the world with a gold reward: requests, answers of a mixed quality, pairs with labels drawn
 * from the true rewards, and the mixture the first model learns. Held-out requests are in no other set.
 */
import { Draws } from "../example/random.ts";
import { CLOSER, FILLERS, goldReward, OPENER, RUDE, THINGS, wordsOf } from "./reward.ts";

/** What may be chosen about the training pairs. */
export interface WorldOptions {
  /** Of the pairs; the held-out requests are always the same. */
  readonly seed: number;
  readonly pairs: number;
  /** Share of labels, 0 .. 1, that are swapped after they were drawn. */
  readonly flipped: number;
  /** Labels are drawn with probability sigmoid(certainty * utility difference); Infinity: no noise. */
  readonly certainty: number;
  /** Utility of each word beside the true reward, so that length goes with preference. */
  readonly length_bias: number;
}

export const defaultWorld: WorldOptions = {
  seed: 0,
  pairs: 1024,
  flipped: 0,
  certainty: 2,
  length_bias: 0,
};

/** A preference pair with the truth about it, which training does not read. */
export interface WorldPair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
  /** True rewards. */
  readonly reward_chosen: number;
  readonly reward_rejected: number;
  /** Whether the label was swapped after it was drawn. */
  readonly flipped: boolean;
}

export interface Request {
  readonly asked: readonly string[];
  readonly prompt: string;
}

/** `validation` chooses hyperparameters, `test` is reported. */
export type HeldOut = "validation" | "test";

/** The asked things of a prompt made by {@linkcode requests}. */
export function askedOf(prompt: string): string[] {
  return wordsOf(prompt).filter((word) => THINGS.includes(word));
}

/** Requests of a set, in an order of their own; each occurs once and in one set only. */
export function requests(set: "train" | HeldOut): Request[] {
  const split = new Draws(0, "world/split");
  const found: (Request & { readonly order: number })[] = [];
  for (const a of THINGS) {
    for (const b of THINGS) {
      for (const c of THINGS) {
        if (a === b || b === c || a === c) continue;
        // Both numbers whatever the set, or the sets would not be parts of one split.
        const [place, order] = [split.uniform(), split.uniform()];
        const its = place < 0.08 ? "test" : place < 0.16 ? "validation" : "train";
        if (its !== set) continue;
        found.push({ asked: [a, b, c], prompt: `bring ${a} ${b} ${c} :`, order });
      }
    }
  }
  return found.sort((x, y) => x.order - y.order);
}

/**
 * An answer as the first model has learned to give them: things asked for, swapped or left out, civil
 * or rude, with more or fewer fillers. True rewards spread by about 1.5 around about 1.
 */
export function drawAnswer({ asked }: Request, draws: Draws): string {
  const words: string[] = [];
  const wordiness = draws.uniform() * 0.6;
  const fill = () => {
    while (draws.chance(wordiness)) words.push(draws.pick(FILLERS));
  };
  const manner = draws.uniform();
  if (manner < 0.35) words.push(OPENER);
  else if (manner < 0.6) words.push(RUDE);
  fill();
  for (const thing of asked) {
    const fate = draws.uniform();
    if (fate < 0.6) words.push(thing);
    else if (fate < 0.85) words.push(draws.pick(THINGS));
    fill();
  }
  if (draws.chance(0.4)) words.push(CLOSER);
  return ` ${words.join(" ")}`;
}

function pairOf(request: Request, draws: Draws, options: WorldOptions): WorldPair {
  const first = drawAnswer(request, draws);
  let second = drawAnswer(request, draws);
  while (second === first) second = drawAnswer(request, draws);
  const reward = (text: string) => goldReward(request.asked, text);
  const utility = (text: string) => reward(text) + options.length_bias * wordsOf(text).length;
  const difference = utility(first) - utility(second);
  // Drawn whatever comes of it: other options change labels only, never texts.
  const [label, flip] = [draws.uniform(), draws.uniform()];
  const firstWins = options.certainty === Infinity
    ? difference > 0 || (difference === 0 && label < 0.5)
    : label < 1 / (1 + Math.exp(-options.certainty * difference));
  const flipped = flip < options.flipped;
  const [chosen, rejected] = firstWins !== flipped ? [first, second] : [second, first];
  return {
    prompt: request.prompt,
    chosen,
    rejected,
    reward_chosen: reward(chosen),
    reward_rejected: reward(rejected),
    flipped,
  };
}

/**
 * Training pairs. Pair i depends on the seed and its number: more pairs begin with fewer, and another
 * share of flipped labels flips the same pairs and more.
 */
export function trainingPairs(options: WorldOptions): WorldPair[] {
  const all = requests("train");
  return Array.from({ length: options.pairs }, (_, i) => {
    const draws = new Draws(options.seed, `world/pairs/${i}`);
    return pairOf(draws.pick(all), draws, options);
  });
}

/** Held-out pairs with the label that the true reward gives; pairs of equal worth are left out. */
export function heldOutPairs(set: HeldOut, count: number): WorldPair[] {
  const clean = { ...defaultWorld, certainty: Infinity };
  const pairs = requests(set).map((request, i) =>
    pairOf(request, new Draws(0, `world/${set}/${i}`), clean)
  );
  return pairs.filter((pair) => pair.reward_chosen > pair.reward_rejected).slice(0, count);
}

/** Rows of the first stage. */
export function firstStageRows(count: number): { prompt: string; completion: string }[] {
  const all = requests("train");
  return Array.from({ length: count }, (_, i) => {
    const draws = new Draws(0, `world/sft/${i}`);
    const request = draws.pick(all);
    return { prompt: request.prompt, completion: drawAnswer(request, draws) };
  });
}
