/** How large the textures are that a model's kernels read their inputs from, see `gpu/input_textures.ts`. */
import { type Capacity, widestRow } from "./activations.ts";
import { type Architecture, headWeight, isEmbedding } from "./architecture.ts";
import { PIECE_FLOATS } from "./optimizer.ts";
import type { Layout } from "./slabs.ts";
import type { Storage } from "../gpu/storage.ts";

/** What runs over the same textures. */
export interface SlotRequest {
  readonly config: Architecture;
  readonly layout: Layout;
  readonly capacity: Capacity;
  readonly trainable: boolean;
  /** A model whose head runs beside this one's, over the same chunks. */
  readonly beside?: Architecture;
  readonly storage: Storage;
}

/** Values of the largest inputs of some kinds. */
function largestInputs({ config, layout, capacity, beside }: SlotRequest) {
  const { tokens, scored, vocabularyChunk } = capacity;
  const hidden = Math.max(config.hiddenSize, beside?.hiddenSize ?? 0);
  return {
    /** Of a layer, of hidden states. */
    rows: Math.max(tokens * widestRow(config), scored * hidden),
    hidden: Math.max(tokens, scored) * hidden,
    keys: tokens * config.numKeyValueHeads * config.headDim,
    weights: Math.max(
      vocabularyChunk * hidden,
      ...[...layout.parameters].flatMap(([name, { parts }]) =>
        isEmbedding(config, name) || name === headWeight(config)
          ? []
          : parts.map(({ size }) => size / 4)
      ),
    ),
    logits: scored * vocabularyChunk,
  };
}

/**
 * Floats of the first, second, ... input of any kernel. First come activations and logits; second
 * weights (the vocabulary a chunk at a time) unless they are stored as f16; third what a product is added
 * to, gradients of weights among it; fourth what only backward passes and optimizers read.
 */
export function inputSlots(request: SlotRequest): number[] {
  const { layout, trainable, beside, storage } = request;
  const { rows, hidden, weights, logits } = largestInputs(request);
  const piece = trainable ? Math.min(PIECE_FLOATS, layout.bytes / 4) : 0;
  const { names, qkNorm } = request.config;
  // Among them gradients of queries, keys and values before a norm, or of what one matrix gives.
  const wide = qkNorm !== "none" || names.layer.queryKeyValue !== undefined;
  const second = storage === "f16" && !wide ? hidden : Math.max(rows, weights);
  return [
    Math.max(rows, logits, piece),
    Math.max(second, beside ? logits : 0, piece),
    Math.max(rows, trainable ? weights : 0, piece),
    trainable ? Math.max(rows, piece) : 0,
  ];
}

/**
 * Values of the first, second, ... input of any kernel that is stored as f16, counted among its other
 * inputs: activations, weights of products, the values of attention.
 */
export function halfInputSlots(request: SlotRequest): number[] {
  if (request.storage === "f32") return [];
  const { rows, weights, keys } = largestInputs(request);
  return [rows, Math.max(rows, weights), keys];
}
