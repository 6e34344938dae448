/**
 * What one prompt of the example is about: the facts stated, the question asked, and everything an
 * answer of any manner is put together from.
 */
import type { Draws } from "./random.ts";

export interface Scene {
  /** Name of the maker, e.g. `where`. */
  readonly kind: string;
  /** Sentences that come before the question. */
  readonly facts: string;
  readonly question: string;
  /** The noun the question turns on, without an article. */
  readonly topic: string;
  /** Whole sentences, each of which answers the question correctly. */
  readonly right: readonly string[];
  /** A sentence that says why the right answer is right. */
  readonly reason: string;
  /** Sentences that offer help and say nothing about the facts. */
  readonly offers: readonly string[];
  /** Whole sentences in the form of `right` that contradict the facts. */
  readonly wrong: readonly string[];
  /** The bare answer, correct but without a sentence around it. */
  readonly curt: string;
  /** Sentences that sound like an answer and say nothing. */
  readonly vague: readonly string[];
}

/** Draws one scene of a kind. */
export type SceneMaker = (draws: Draws) => Scene;

/** First letter in upper case. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
