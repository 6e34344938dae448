/** How much GPU memory a model takes, and how large its chunks may be: decided before allocating. */
import type { Gpu } from "../gpu/device.ts";
import { GpuError } from "../gpu/error.ts";
import { BLOCK_ROWS } from "../gpu/kernels/mod.ts";
import {
  bytesPerScored,
  bytesPerToken,
  type Capacity,
  MIX_BYTES,
  vocabularyChunk,
  widestRow,
} from "./activations.ts";
import type { OptimizerSettings } from "./engine.ts";
import type { LlamaConfig } from "./llama_config.ts";
import { momentBytes } from "./optimizer.ts";
import { parameterList } from "./param_table.ts";
import { type Layout, layOut } from "./slabs.ts";

export interface MemoryRequest {
  /** Bytes everything together may take. */
  readonly budget: number;
  /** The most tokens, and scored tokens, of a chunk that would ever be used. */
  readonly tokens: number;
  readonly scored: number;
  /** The most a single example needs. */
  readonly leastTokens: number;
  readonly leastScored: number;
  /** Absent for a frozen model. */
  readonly optimizer?: OptimizerSettings["kind"];
  /** A frozen model that runs the same chunks beside this one: what it takes counts too. */
  readonly beside?: LlamaConfig;
}

export interface MemoryPlan {
  readonly capacity: Capacity;
  /** Bytes by purpose. */
  readonly weights: number;
  readonly gradients: number;
  readonly moments: number;
  readonly activations: number;
  /** Weights and activations of the model beside. */
  readonly beside: number;
  readonly total: number;
  /** The largest buffer that is bound at once, bytes. */
  readonly largestBinding: number;
}

/** Integer inputs a token, and a scored token, cost: see `ChunkInputs`. Bytes. */
const INPUT_BYTES = 56, SCORED_INPUT_BYTES = 28;

/** Bytes a token, and a scored token, cost in all: activations, inputs, rotary table, partial sums. */
function chunkBytes(config: LlamaConfig, vocabularyChunk: number, trainable: boolean) {
  const sums = trainable ? 4 * widestRow(config) / BLOCK_ROWS : 0;
  const rotary = 4 * config.headDim;
  return {
    perToken: bytesPerToken(config, trainable) + INPUT_BYTES + rotary + sums,
    perScored: bytesPerScored(config, vocabularyChunk) + SCORED_INPUT_BYTES + sums,
  };
}

/**
 * The largest chunk that the budget and the binding limit allow, at most what is asked for. Throws
 * `GpuError` with the sum when not even one example fits.
 */
export function planMemory(
  gpu: Gpu,
  config: LlamaConfig,
  layout: Layout,
  request: MemoryRequest,
): MemoryPlan {
  const trainable = request.optimizer !== undefined;
  const weights = layout.bytes;
  const gradients = trainable ? weights : 0;
  const moments = request.optimizer ? momentBytes(layout, request.optimizer) : 0;
  const chunk = vocabularyChunk(config.vocabSize);
  const { perToken, perScored } = chunkBytes(config, chunk, trainable);
  const { bindingLimit, offsetAlignment } = gpu.capabilities;
  const other = request.beside && {
    ...chunkBytes(request.beside, chunk, false),
    weights: layOut(parameterList(request.beside), bindingLimit, offsetAlignment).bytes,
  };
  // Both models bind their own buffers of the same chunk.
  const models = request.beside ? [config, request.beside] : [config];
  const widest = Math.max(...models.map(widestRow));
  const widestScored = Math.max(chunk, ...models.map(({ hiddenSize }) => hiddenSize));
  const most = {
    tokens: Math.min(request.tokens, Math.floor(bindingLimit / 4 / widest)),
    scored: Math.min(request.scored, Math.floor(bindingLimit / 4 / widestScored)),
  };
  const { leastTokens, leastScored } = request;
  if (leastTokens > most.tokens || leastScored > most.scored) {
    throw new GpuError(
      `Cannot run a row of ${leastTokens} tokens (${leastScored} scored): GPU ` +
        `"${gpu.adapterName}" binds ${bindingLimit} bytes, which holds ${most.tokens} tokens ` +
        `(${most.scored} scored); lower "dataset.max_length"`,
    );
  }
  const otherBytes = (tokens: number, scored: number) =>
    other ? Math.ceil(tokens * other.perToken + scored * (other.perScored + MIX_BYTES)) : 0;
  const ownBytes = (tokens: number, scored: number) =>
    Math.ceil(tokens * perToken + scored * perScored);
  const bytes = (tokens: number, scored: number) =>
    ownBytes(tokens, scored) + otherBytes(tokens, scored);
  const least = bytes(leastTokens, leastScored);
  const needed = weights + gradients + moments + (other?.weights ?? 0) + least;
  if (needed > request.budget) {
    throw new GpuError(
      `Cannot fit the model: weights ${weights} + gradients ${gradients} + moments ${moments} + ` +
        (other ? `weights of the reference ${other.weights} + ` : "") +
        `activations of one row ${least} = ${needed} bytes, memory_budget is ` +
        `${request.budget}; raise "memory_budget" or lower "dataset.max_length"`,
    );
  }
  // From one row on, both grow in proportion to what is asked for, as far as the budget goes.
  const wanted = bytes(most.tokens, most.scored);
  const share = wanted === least ? 1 : Math.min(1, (request.budget - needed) / (wanted - least));
  const tokens = leastTokens + Math.floor((most.tokens - leastTokens) * share);
  const scored = leastScored + Math.floor((most.scored - leastScored) * share);
  const activations = ownBytes(tokens, scored);
  const beside = other ? other.weights + otherBytes(tokens, scored) : 0;
  const total = weights + gradients + moments + activations + beside;
  return {
    capacity: { tokens, scored, vocabularyChunk: chunk },
    weights,
    gradients,
    moments,
    activations,
    beside,
    total,
    largestBinding: Math.max(
      ...layout.slabs.map((slab) => slab.bytes),
      tokens * widest * 4,
      scored * widestScored * 4,
    ),
  };
}
