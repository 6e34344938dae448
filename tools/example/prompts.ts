/**
 * From a scene to a transcript in Anthropic-HH form: `\n\nHuman: ...\n\nAssistant:`, one or two turns.
 */
import type { Draws } from "./random.ts";
import type { Scene, SceneMaker } from "./scene.ts";
import { add, afford, compare, price, purpose, take, when, where } from "./world_facts.ts";
import { borrow, comfort, courtesy, feed, recall, recipe, weather, who } from "./world_people.ts";

/** Every kind of scene, drawn with equal shares. */
export const makers: readonly SceneMaker[] = [
  where,
  add,
  take,
  price,
  afford,
  compare,
  when,
  purpose,
  who,
  feed,
  weather,
  courtesy,
  comfort,
  recipe,
  recall,
  borrow,
];

/** Share of prompts with an earlier human turn. */
const twoTurnShare = 0.2;

const greetings = ["Hello.", "Good morning.", "Good evening."];
const acknowledgements = ["I see.", "Yes, I know.", "Thank you for telling me.", "Is that so?"];

/** One human turn and the mark after which the assistant's answer begins. */
function turn(text: string): string {
  return `\n\nHuman: ${text}\n\nAssistant:`;
}

/** A prompt, and what it is about. */
export interface Prompt {
  readonly scene: Scene;
  /** The transcript so far; ends with `\n\nAssistant:`. */
  readonly text: string;
  /** The greeting in the last human turn, which a polite answer may return; empty when there is none. */
  readonly greeting: string;
}

/** Draws a scene and the prompt that asks about it. */
export function drawPrompt(draws: Draws): Prompt {
  const scene = draws.pick(makers)(draws);
  const greeting = draws.chance(0.35) ? draws.pick(greetings) : "";
  const opening = greeting === "" ? "" : `${greeting} `;
  if (draws.chance(twoTurnShare)) {
    const first = turn(opening + scene.facts);
    const text = `${first} ${draws.pick(acknowledgements)}${turn(scene.question)}`;
    return { scene, text, greeting: "" };
  }
  return { scene, text: turn(`${opening}${scene.facts} ${scene.question}`), greeting };
}
