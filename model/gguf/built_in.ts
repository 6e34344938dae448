/**
 * What readers of GGUF files know of an architecture without a key for it: which layers see only a
 * window or have no rotary embedding, and how attention is scaled. Names are those of
 * `general.architecture`.
 */

import type { ActivationKind } from "../architecture.ts";

/** Layers from one with full attention to the next, and from one without rotary embedding. */
const GEMMA2_PERIOD = 2, GEMMA3_PERIOD = 6, SMOLLM3_PERIOD = 4;

/** Gemma with 27 billion parameters scales attention by hidden size / heads; known by its depth. */
const LARGEST_GEMMA: Readonly<Record<string, number>> = { gemma2: 46, gemma3: 62 };

/** Whether layer `layer` sees everything before it; the others see a window where the file has one. */
export function hasFullAttention(name: string, layer: number): boolean {
  if (name === "phi3") return false;
  const period = name === "gemma2" ? GEMMA2_PERIOD : name === "gemma3" ? GEMMA3_PERIOD : 1;
  return (layer + 1) % period === 0;
}

/** Whether layer `layer` has a rotary embedding, in a model that has one. */
export function hasRotary(name: string, layer: number): boolean {
  return name !== "smollm3" || (layer + 1) % SMOLLM3_PERIOD !== 0;
}

/** How many values attention is scaled by: products are multiplied by its -0.5th power. */
export function attentionWidthOf(
  name: string,
  { numHiddenLayers, hiddenSize, numAttentionHeads, headDim }: {
    readonly numHiddenLayers: number;
    readonly hiddenSize: number;
    readonly numAttentionHeads: number;
    readonly headDim: number;
  },
): number {
  return numHiddenLayers === LARGEST_GEMMA[name] ? hiddenSize / numAttentionHeads : headDim;
}

/** The activations that models of an architecture may have. */
export function activationsOf(name: string): readonly ActivationKind[] {
  // Readers take the hyperbolic tangent for both, which differs by 1e-3 at most.
  if (name === "gptneox") return ["gelu", "gelu_tanh"];
  return name === "gpt2" || name.startsWith("gemma") ? ["gelu_tanh"] : ["silu"];
}
