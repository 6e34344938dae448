/**
 * What a step has to compute and to move, counted from shapes: the numerators of all shares. Only what
 * the mathematics needs counts; work that is done twice to save memory does not, so a share falls when
 * activations or logits are computed again.
 */
import type { TokenizedExample } from "../model/engine.ts";
import type { Architecture } from "../model/architecture.ts";
import { packedLength, scoredLength } from "../model/pack.ts";

/** The sizes of a decision set. */
export interface Sizes {
  /** Tokens of the sequences trained on: the prompt counts once for each of its answers. */
  readonly tokens: number;
  /** Tokens run: with a shared prompt it counts once. */
  readonly run: number;
  readonly scored: number;
  /** (query, key) pairs inside the mask. */
  readonly pairs: number;
}

/** Queries and keys of a run of n tokens that sees `prefix` others and, causally, itself. */
function attended(n: number, prefix: number): number {
  return n * prefix + n * (n + 1) / 2;
}

export function sizesOf(examples: readonly TokenizedExample[], sharePrompt: boolean): Sizes {
  let tokens = 0, run = 0, scored = 0, pairs = 0;
  for (const example of examples) {
    const prompt = example.prompt.length;
    tokens += packedLength(example, false);
    run += packedLength(example, sharePrompt);
    scored += scoredLength(example);
    if (sharePrompt) pairs += attended(prompt, 0);
    for (const { ids } of example.answers) {
      pairs += sharePrompt ? attended(ids.length, prompt) : attended(prompt + ids.length, 0);
    }
  }
  return { tokens, run, scored, pairs };
}

/** Weights of a layer's products. */
export function layerWeights(c: Architecture): number {
  const queries = c.headDim * c.numAttentionHeads, keys = c.headDim * c.numKeyValueHeads;
  const { gate, gateUp } = c.names.layer, matrices = gate || gateUp ? 3 : 2;
  return 2 * c.hiddenSize * (queries + keys) + matrices * c.hiddenSize * c.intermediateSize;
}

/**
 * Floating-point operations of forward and backward, two for each multiply-add: three products with
 * every weight for each token (head: for each scored token), and six of a query with a key or a value
 * for each attended pair. Norms, rotary embedding, activations and the update do not count.
 */
export function stepOperations(c: Architecture, { run, scored, pairs }: Sizes): number {
  const products = run * layerWeights(c) * c.numHiddenLayers + scored * c.hiddenSize * c.vocabSize;
  const attention = pairs * c.numAttentionHeads * c.headDim * c.numHiddenLayers;
  return 6 * products + 12 * attention;
}
