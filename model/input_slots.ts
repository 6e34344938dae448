/** How large the textures are that a model's kernels read their inputs from, see `gpu/input_textures.ts`. */
import { type Capacity, widestRow } from "./activations.ts";
import type { LlamaConfig } from "./llama_config.ts";
import { PIECE_FLOATS } from "./optimizer.ts";
import type { Layout } from "./slabs.ts";
import type { Storage } from "../gpu/storage.ts";

/** What runs over the same textures. */
export interface SlotRequest {
  readonly config: LlamaConfig;
  readonly layout: Layout;
  readonly capacity: Capacity;
  readonly trainable: boolean;
  /** A model whose head runs beside this one's, over the same chunks. */
  readonly beside?: LlamaConfig;
  readonly storage: Storage;
}

/**
 * Floats of the first, second, ... input of any kernel. First come activations and logits; second
 * weights (the vocabulary a chunk at a time); third what a product is added to, gradients of weights
 * among it; fourth what only backward passes and optimizers read.
 */
export function inputSlots(request: SlotRequest): number[] {
  const { config, layout, capacity, trainable, beside } = request;
  const { tokens, scored, vocabularyChunk } = capacity;
  const hidden = Math.max(config.hiddenSize, beside?.hiddenSize ?? 0);
  const rows = Math.max(tokens * widestRow(config), scored * hidden);
  const weights = Math.max(
    vocabularyChunk * hidden,
    ...[...layout.parameters].flatMap(([name, { parts }]) =>
      /^(model\.embed_tokens|lm_head)\./.test(name) ? [] : parts.map(({ size }) => size / 4)
    ),
  );
  const logits = scored * vocabularyChunk;
  const piece = trainable ? Math.min(PIECE_FLOATS, layout.bytes / 4) : 0;
  return [
    Math.max(rows, logits, piece),
    Math.max(rows, weights, beside ? logits : 0, piece),
    Math.max(rows, trainable ? weights : 0, piece),
    trainable ? Math.max(rows, piece) : 0,
  ];
}

/**
 * Values of the first, second, ... input that is stored as f16: of a kernel's inputs the slot counts those
 * before it in either storage. None is a fourth one.
 */
export function halfInputSlots({ config, capacity, storage }: SlotRequest): number[] {
  if (storage === "f32") return [];
  return Array(3).fill(capacity.tokens * widestRow(config));
}
