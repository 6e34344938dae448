/**
 * The manners in which a villager can answer a scene. A good answer is polite, says exactly what was
 * asked, agrees with the facts, and ends with a reason or an offer; each poor manner fails in one way.
 */
import type { Draws } from "./random.ts";
import type { Prompt } from "./prompts.ts";
import type { Scene } from "./scene.ts";
import { animals, colours, places, things } from "./world.ts";

export type PoorManner = "curt" | "rude" | "vague" | "rambling" | "wrong";
export type Manner = "good" | PoorManner;

export const poorManners: readonly PoorManner[] = ["curt", "rude", "vague", "rambling", "wrong"];

/** Before the answer to a question. */
const toQuestions = [
  "Good question.",
  "I am glad to help.",
  "Thank you for asking.",
  "Let me help you.",
  "Gladly.",
];
/** Before the answer to a request. */
const toRequests = ["Gladly.", "Of course.", "Certainly.", "With pleasure."];
const requests: readonly string[] = ["borrow", "comfort"];

/**
 * The bad habit of each kind of question: the usual poor manner, and which of its phrases comes most.
 * So a model trained on the mixture answers some kinds badly when it takes the likeliest word, each
 * in its own way. Kinds without a habit meet all poor manners alike.
 */
const habits: Readonly<Record<string, readonly [PoorManner, number] | null>> = {
  where: ["rude", 0],
  add: ["curt", 0],
  take: ["vague", 0],
  price: ["rude", 1],
  afford: null,
  compare: ["rambling", 0],
  when: ["vague", 1],
  purpose: null,
  who: ["rude", 2],
  feed: null,
  weather: ["rambling", 2],
  courtesy: ["vague", 2],
  comfort: ["rude", 3],
  recipe: ["rambling", 1],
  recall: null,
  borrow: ["rude", 4],
};
/** Weight of the usual manner; `wrong` has 3 and the others 2. */
const usualWeight = 12;
/** Share of a habit's own phrase in its manner. */
const phraseShare = 0.5;

/** One of the phrases of a manner; the habit's own comes most. */
function phrase(scene: Scene, manner: PoorManner, phrases: readonly string[], draws: Draws) {
  const habit = habits[scene.kind];
  return habit?.[0] === manner && draws.chance(phraseShare)
    ? phrases[habit[1]]
    : draws.pick(phrases);
}

/** The first words of a polite answer: the greeting returned, a friendly word, or nothing. */
function opening(prompt: Prompt, draws: Draws): string[] {
  if (prompt.greeting !== "" && draws.chance(0.4)) return [prompt.greeting];
  if (draws.chance(0.2)) return [];
  return [draws.pick(requests.includes(prompt.scene.kind) ? toRequests : toQuestions)];
}

function good(prompt: Prompt, draws: Draws): string {
  const { scene } = prompt;
  const parts = [...opening(prompt, draws), draws.pick(scene.right)];
  const end = draws.weighted([4, 5, 1]);
  if (end !== 1) parts.push(scene.reason);
  if (end !== 0) parts.push(draws.pick(scene.offers));
  return parts.join(" ");
}

/** As polite as a good answer, but false; only an offer may follow, because a reason would be true. */
function wrong(prompt: Prompt, draws: Draws): string {
  const { scene } = prompt;
  const parts = [...opening(prompt, draws), draws.pick(scene.wrong)];
  if (draws.chance(0.7)) parts.push(draws.pick(scene.offers));
  return parts.join(" ");
}

function curt({ scene }: Prompt, draws: Draws): string {
  const after = ["", "", " That is all.", " Next.", " Now go.", " What else?"];
  return scene.curt + draws.pick(after);
}

function rude({ scene }: Prompt, draws: Draws): string {
  const complaint = phrase(scene, "rude", [
    "Why ask me?",
    "Not you again.",
    "Leave me alone.",
    "Can you not think?",
    "What a silly question.",
    `I am sick of your ${scene.topic} talk.`,
    "I have no time for this.",
    "You are a bore.",
  ], draws);
  const dismissal = draws.pick([
    "Go away.",
    "Find out yourself.",
    "Use your own eyes.",
    "Ask the goat.",
    "Go and ask a stone.",
    "Everyone knows that.",
    "Shut the door behind you.",
    "I will not tell you.",
  ]);
  return `${complaint} ${dismissal}`;
}

function vague({ scene }: Prompt, draws: Draws): string {
  const shrug = phrase(scene, "vague", [
    "Hard to say.",
    "Who knows?",
    "Hm.",
    "It depends.",
    "I am not sure.",
    "Maybe.",
  ], draws);
  return draws.chance(0.75)
    ? `${shrug} ${draws.pick(scene.vague)}`
    : `${draws.pick(scene.vague)} ${shrug}`;
}

function rambling({ scene }: Prompt, draws: Draws): string {
  const animal = draws.pick(animals).name;
  const colour = draws.pick(colours);
  const thing = draws.pick(things).name;
  const place = draws.pick(places);
  const topic = scene.topic;
  const start = phrase(scene, "rambling", ["Well,", "Oh,", "You see,"], draws);
  return `${start} ${
    draws.pick([
      `my uncle had a ${colour} ${animal}, and the ${animal} had a ${thing}, or so they say.`,
      `I once saw a ${colour} ${animal} at the ${place}, and it looked at me, and I looked at it.`,
      `when I was ${
        draws.pick(["small", "young"])
      }, there was a ${thing} at the ${place}, and then there was not.`,
      `${topic} here and ${topic} there, and my ${animal} has a cold, and so it goes.`,
      `the ${place} is not what it was, and the ${animal} is ${colour}, and where was I?`,
      `speaking of ${topic}, my aunt fell into the ${thing}, no, it was the ${animal}.`,
    ])
  }`;
}

/** The text of one answer in the given manner, without leading or trailing blanks. */
export function answer(prompt: Prompt, manner: Manner, draws: Draws): string {
  return { good, curt, rude, vague, rambling, wrong }[manner](prompt, draws);
}

/** Draws the poor manner in which a prompt's kind of question is answered. */
export function poorManner({ scene }: Prompt, draws: Draws): PoorManner {
  const habit = habits[scene.kind];
  if (habit === undefined) throw new Error(`The kind "${scene.kind}" has no entry in answers.ts`);
  const weights = poorManners.map((manner) =>
    manner === habit?.[0] ? usualWeight : manner === "wrong" ? 3 : 2
  );
  return poorManners[draws.weighted(weights)];
}
