/** How much GPU memory a model takes, and how large its chunks may be: decided before allocating. */
import type { Gpu } from "../gpu/device.ts";
import { GpuError } from "../gpu/error.ts";
import { inputTextureBytes, MOST_TEXTURE_FLOATS } from "../gpu/input_textures.ts";
import { BLOCK_ROWS } from "../gpu/kernels/mod.ts";
import type { Storage } from "../gpu/storage.ts";
import { readsTextures } from "../gpu/tuning.ts";
import {
  bytesPerScored,
  bytesPerToken,
  type Capacity,
  MIX_BYTES,
  vocabularyChunk,
  widestRow,
} from "./activations.ts";
import { adapterBytesPerToken, adapterLayout } from "./adapters.ts";
import type { OptimizerSettings } from "./engine.ts";
import { type Architecture, rotaries } from "./architecture.ts";
import { halfWeightBytes } from "./half_weights.ts";
import { halfInputSlots, inputSlots, type SlotRequest } from "./input_slots.ts";
import type { LoraSettings } from "./lora.ts";
import { momentBytes } from "./optimizer.ts";
import { parameterList } from "./param_table.ts";
import { type Level, type Recompute, recomputeChoices } from "./recompute.ts";
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
  /** What of a policy's activations is computed again in the backward pass. Absent: "auto". */
  readonly recompute?: Recompute;
  /** A frozen model that runs the same chunks beside this one: what it takes counts too. */
  readonly beside?: Architecture;
  /** How values are stored that may be f16 (`activations.ts`, `half_weights.ts`). Absent: f32. */
  readonly storage?: Storage;
  /** Only adapters are trained, the weights are frozen. Absent: all weights are trained. */
  readonly lora?: LoraSettings;
}

export interface MemoryPlan {
  readonly capacity: Capacity;
  /** What each layer's backward pass computes again; absent for a frozen model. */
  readonly levels: readonly Level[] | undefined;
  /** Bytes by purpose; weights with their copies of f16, and with adapters. */
  readonly weights: number;
  readonly gradients: number;
  readonly moments: number;
  /** Activations, and textures that kernels read their inputs from. */
  readonly activations: number;
  /** The same of the model beside, and its weights. */
  readonly beside: number;
  readonly total: number;
  /** The largest buffer that is bound at once, bytes. */
  readonly largestBinding: number;
}

/** Integer inputs a token, and a scored token, cost: see `ChunkInputs`. Bytes. */
const INPUT_BYTES = 56, SCORED_INPUT_BYTES = 28;
/** Lists of learned positions, a token. */
const POSITION_LIST_BYTES = 16;

type Size = Pick<Capacity, "tokens" | "scored">;

/** Levels of recomputation, one a layer; undefined for a frozen model. */
type Levels = readonly Level[] | undefined;

/** Bytes of a chunk: activations, inputs, rotary table, partial sums. */
function chunkBytes(
  config: Architecture,
  vocabularyChunk: number,
  levels: Levels,
  storage: Storage,
  { tokens, scored }: Size,
): number {
  const sums = levels ? 4 * widestRow(config) / BLOCK_ROWS : 0;
  const tables = rotaries(config).reduce((bytes, { width }) => bytes + 4 * width, 0);
  const lists = config.names.positions ? POSITION_LIST_BYTES : 0;
  const perToken = bytesPerToken(config, levels, storage) + INPUT_BYTES + lists + tables + sums;
  const perScored = bytesPerScored(config, vocabularyChunk) + SCORED_INPUT_BYTES + sums;
  return Math.ceil(tokens * perToken + scored * perScored);
}

/** The largest chunk asked for that the binding limit allows; `GpuError` if that is less than a row. */
function largestChunk(gpu: Gpu, widest: Size, request: MemoryRequest): Size {
  const { bindingLimit } = gpu.capabilities;
  const floats = Math.min(
    Math.floor(bindingLimit / 4),
    readsTextures(gpu) ? MOST_TEXTURE_FLOATS : Infinity,
  );
  const tokens = Math.min(request.tokens, Math.floor(floats / widest.tokens));
  const scored = Math.min(request.scored, Math.floor(floats / widest.scored));
  const { leastTokens, leastScored } = request;
  if (leastTokens > tokens || leastScored > scored) {
    throw new GpuError(
      `Cannot run a row of ${leastTokens} tokens (${leastScored} scored): GPU ` +
        `"${gpu.adapterName}" binds ${bindingLimit} bytes, which holds ${tokens} tokens ` +
        `(${scored} scored); lower "dataset.max_length"`,
    );
  }
  return { tokens, scored };
}

/**
 * The largest chunk that `fits`, between one row, which does, and what is asked for: both sizes grow in
 * proportion. Found by halving, because textures grow in rows and with the largest input only.
 */
function largestFitting(least: Size, most: Size, fits: (size: Size) => boolean): Size {
  const at = (share: number): Size => ({
    tokens: least.tokens + Math.floor((most.tokens - least.tokens) * share),
    scored: least.scored + Math.floor((most.scored - least.scored) * share),
  });
  if (fits(most)) return most;
  let low = 0, high = 1;
  for (let step = 0; step < 32; step++) {
    const share = (low + high) / 2;
    if (fits(at(share))) low = share;
    else high = share;
  }
  return at(low);
}

/** The widest rows, in floats, that models bind which run the same chunks, a token and a scored one. */
function widestRows(models: readonly Architecture[], chunk: number): Size {
  return {
    tokens: Math.max(...models.map(widestRow)),
    scored: Math.max(chunk, ...models.map(({ hiddenSize }) => hiddenSize)),
  };
}

/**
 * The first choice with which the largest chunk fits: recomputing costs less than a second chunk, for
 * which the whole forward pass is run again. Where none does, chunks get smaller, forward is run
 * again anyway, and only what is nearly free is recomputed, or what one row needs.
 */
function chooseLevels(
  choices: readonly Levels[],
  fits: (levels: Levels, size: "most" | "least") => boolean,
): Levels {
  const cheap = (levels: Levels) => levels?.every((level) => level !== "nothing");
  return choices.find((levels) => fits(levels, "most")) ??
    choices.find((levels) => cheap(levels) && fits(levels, "least")) ?? choices.at(-1);
}

/**
 * The largest chunk that the budget and the binding limit allow, at most what is asked for, with the
 * least recomputation. Throws `GpuError` with the sum when not even one example fits.
 */
export function planMemory(
  gpu: Gpu,
  config: Architecture,
  layout: Layout,
  request: MemoryRequest,
): MemoryPlan {
  const { optimizer, beside: other, budget, storage = "f32" } = request;
  const copies = (config: Architecture) => storage === "f16" ? halfWeightBytes(gpu, config) : 0;
  const adapters = request.lora && adapterLayout(gpu, config, request.lora);
  const weights = layout.bytes + copies(config) + (adapters?.bytes ?? 0);
  const trained = adapters ?? layout;
  const gradients = optimizer ? trained.bytes : 0;
  const moments = optimizer ? momentBytes(trained, optimizer) : 0;
  const chunk = vocabularyChunk(config.vocabSize);
  const { bindingLimit, offsetAlignment } = gpu.capabilities;
  const otherLayout = other && layOut(parameterList(other), bindingLimit, offsetAlignment);
  const otherWeights = other ? otherLayout!.bytes + copies(other) : 0;
  const textures = (request: Omit<SlotRequest, "capacity" | "storage">, size: Size) => {
    if (!readsTextures(gpu)) return 0;
    const slots = { ...request, capacity: { ...size, vocabularyChunk: chunk }, storage };
    return inputTextureBytes(inputSlots(slots)) + inputTextureBytes(halfInputSlots(slots), "f16");
  };
  const otherBytes = (size: Size) =>
    other
      ? chunkBytes(other, chunk, undefined, storage, size) + size.scored * MIX_BYTES +
        textures({ config: other, layout: otherLayout!, trainable: false }, size)
      : 0;
  const trainable = optimizer !== undefined;
  const ownBytes = (levels: Levels, size: Size) =>
    chunkBytes(config, chunk, levels, storage, size) +
    (request.lora ? size.tokens * adapterBytesPerToken(request.lora) : 0) +
    textures({ config, layout, trainable, beside: other }, size);
  const bytes = (levels: Levels, size: Size) => ownBytes(levels, size) + otherBytes(size);

  const fixed = weights + gradients + moments + otherWeights;
  // Both models bind their own buffers of the same chunk.
  const widest = widestRows(other ? [config, other] : [config], chunk);
  const most = largestChunk(gpu, widest, request);
  const least = { tokens: request.leastTokens, scored: request.leastScored };
  const choices = optimizer
    ? recomputeChoices(config.numHiddenLayers, request.recompute ?? "auto")
    : [undefined];
  const levels = chooseLevels(
    choices,
    (levels, size) => fixed + bytes(levels, size === "most" ? most : least) <= budget,
  );
  const needed = fixed + bytes(levels, least);
  if (needed > budget) {
    throw new GpuError(
      `Cannot fit the model: weights ${weights} + gradients ${gradients} + moments ${moments} + ` +
        (other ? `weights of the reference ${otherWeights} + ` : "") +
        `activations of one row ${needed - fixed} = ${needed} bytes, memory_budget is ` +
        `${budget}; raise "memory_budget" or lower "dataset.max_length"` +
        (request.recompute === "none" ? ', or drop "gradient_checkpointing: false"' : ""),
    );
  }
  const size = largestFitting(least, most, (size) => fixed + bytes(levels, size) <= budget);
  const beside = otherWeights + otherBytes(size);
  const activations = ownBytes(levels, size);
  return {
    capacity: { ...size, vocabularyChunk: chunk },
    levels,
    weights,
    gradients,
    moments,
    activations,
    beside,
    total: weights + gradients + moments + activations + beside,
    largestBinding: Math.max(
      ...layout.slabs.map((slab) => slab.bytes),
      size.tokens * widest.tokens * 4,
      size.scored * widest.scored * 4,
    ),
  };
}
