/**
 * Recomputation of activations (gradient checkpointing): what each layer keeps of its forward pass for
 * its backward pass. The rest lies in buffers that all layers share and is computed again just before
 * the layer's backward pass, by the same kernels from the same values: no bit of a gradient depends on
 * it. Not the bytes themselves (`activations.ts`), nor the choice by a budget (`memory.ts`).
 */
import type { LayerActivations } from "./activations.ts";

/** As the budget asks, no layer, or every layer as far as possible. */
export type Recompute = "auto" | "none" | "all";

export type ActivationName = keyof LayerActivations;

/** What follows from a layer's input and what attention gave. */
const PRODUCTS = [
  ...["inv1", "n1", "q", "k", "v", "qkv", "qIn", "invQ", "kIn", "invK", "attended"],
  ...["xMid", "inv2", "n2", "gate", "up", "gateUp", "h", "fed"],
] as ActivationName[];

/**
 * What is computed again, each level more than the one before, by what a byte costs: a norm or a gated
 * activation takes a few operations a value; every matrix product of a layer takes about C
 * multiply-adds a value, so that they stand together; attention takes 2 a key that is seen, so that it
 * grows with the length of sequences, and comes last.
 */
const SHARED = {
  nothing: [],
  elementwise: ["n1", "n2", "h"],
  products: [...PRODUCTS],
  // Only the layer's input is left, and what norms keep of their rows.
  attention: [...PRODUCTS, "o", "stats"],
} as const satisfies Readonly<Record<string, readonly ActivationName[]>>;

export type Level = keyof typeof SHARED;

/** From the least to the most. */
export const LEVELS = Object.keys(SHARED) as readonly Level[];

const sets = new Map(LEVELS.map((level) => [level, new Set<ActivationName>(SHARED[level])]));

/** The activations that a layer of this level does not keep. */
export function sharedValues(level: Level): ReadonlySet<ActivationName> {
  return sets.get(level)!;
}

/**
 * The choices for a model of `layers` layers, a level for each layer, from the least recomputation to
 * the most: one layer after the other goes one level up. The last layer goes first because it costs
 * nothing: its values are still in the shared buffers when the backward pass begins.
 */
export function recomputeChoices(layers: number, asked: Recompute): readonly (readonly Level[])[] {
  const all = (level: Level) => Array<Level>(layers).fill(level);
  if (asked === "none") return [all(LEVELS[0])];
  if (asked === "all") return [all(LEVELS.at(-1)!)];
  const choices = [all(LEVELS[0])];
  for (let level = 1; level < LEVELS.length; level++) {
    for (let count = 1; count <= layers; count++) {
      const lower = all(LEVELS[level - 1]).slice(count);
      choices.push([...lower, ...all(LEVELS[level]).slice(0, count)]);
    }
  }
  return choices;
}

/** Layers at each level. */
export function levelCounts(levels: readonly Level[]): Readonly<Record<Level, number>> {
  const counts = { nothing: 0, elementwise: 0, products: 0, attention: 0 };
  for (const level of levels) counts[level]++;
  return counts;
}
