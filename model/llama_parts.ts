/** What a decoder is made of on the GPU: its plan, its memory and its programs. */
import type { Gpu } from "../gpu/device.ts";
import { InputTextures } from "../gpu/input_textures.ts";
import { attentionVariant } from "../gpu/kernels/attention.ts";
import { readsTextures } from "../gpu/tuning.ts";
import { Activations } from "./activations.ts";
import { adapterLayout, Adapters } from "./adapters.ts";
import { ChunkInputs } from "./chunk_inputs.ts";
import { Decoder } from "./decoder.ts";
import { ModelError } from "./error.ts";
import { HalfWeights } from "./half_weights.ts";
import { halfInputSlots, inputSlots } from "./input_slots.ts";
import type { Architecture } from "./architecture.ts";
import { Logits } from "./logits.ts";
import { type MemoryPlan, type MemoryRequest, planMemory } from "./memory.ts";
import { Optimizer } from "./optimizer.ts";
import { parameterList } from "./param_table.ts";
import { Updates } from "./pending_update.ts";
import { layOut, SlabSet } from "./slabs.ts";

export interface EngineParts {
  readonly plan: MemoryPlan;
  readonly weights: SlabSet;
  readonly adapters: Adapters | undefined;
  /** What an optimizer moves and checkpoints hold: the weights, or the adapters'. */
  readonly trained: SlabSet;
  /** Where weights are stored as f16 for products: to be refreshed when they change. */
  readonly halves: HalfWeights | undefined;
  /** Absent for a frozen model, like the optimizer. */
  readonly gradients: SlabSet | undefined;
  readonly optimizer: Optimizer | undefined;
  readonly updates: Updates | undefined;
  readonly textures: InputTextures | undefined;
  readonly activations: Activations;
  readonly inputs: ChunkInputs;
  readonly decoder: Decoder;
  readonly logits: Logits;
}

/**
 * Plans and allocates a model.
 *
 * @throws GpuError when it does not fit; ModelError when the kernels cannot take its shape
 */
export function buildParts(gpu: Gpu, config: Architecture, request: MemoryRequest): EngineParts {
  const { headDim, numAttentionHeads, numKeyValueHeads } = config;
  if (headDim % 4 !== 0) {
    throw new ModelError(`Cannot run the model: its head size ${headDim} is no multiple of 4`);
  }
  const { bindingLimit, offsetAlignment } = gpu.capabilities;
  const layout = layOut(parameterList(config), bindingLimit, offsetAlignment);
  const plan = planMemory(gpu, config, layout, request);
  const { capacity, levels } = plan;
  const { optimizer: kind, beside, storage = "f32" } = request;
  const trainable = kind !== undefined;
  const weights = new SlabSet(gpu, layout, "weights");
  const { lora } = request;
  if (lora && storage === "f16") {
    throw new ModelError('Cannot train adapters with "storage_dtype: float16": use "float32"');
  }
  const adapters = lora &&
    new Adapters(gpu, adapterLayout(gpu, config, lora), lora, capacity.tokens);
  const trained = adapters?.weights ?? weights;
  const gradients = trainable ? new SlabSet(gpu, trained.layout, "gradients") : undefined;
  const slots = { config, layout, capacity, trainable, beside, storage };
  const textures = readsTextures(gpu)
    ? new InputTextures(gpu, inputSlots(slots), halfInputSlots(slots))
    : undefined;
  // A frozen model has no texture for pieces of weights, nor weights that change at every step.
  const halves = storage === "f16"
    ? new HalfWeights(gpu, config, weights, trainable ? textures : undefined)
    : undefined;
  const optimizer = trainable ? new Optimizer(gpu, trained, gradients!, kind, textures) : undefined;
  const updates = optimizer && new Updates(gpu, optimizer, gradients!);
  const mixes = beside !== undefined;
  const activations = new Activations(gpu, config, capacity, { levels, mixes, storage });
  const variant = attentionVariant(headDim, numAttentionHeads, numKeyValueHeads);
  const inputs = new ChunkInputs(gpu, config, capacity, variant);
  const store = { weights, halves, gradients, adapters, textures };
  const decoder = new Decoder(gpu, config, store, activations, inputs.views, capacity);
  // Its product reads whole parts of the vocabulary, for which there is no texture.
  const logits = new Logits(gpu, config, { weights, halves }, activations.last);
  const parts = {
    ...{ plan, weights, adapters, trained, halves },
    ...{ gradients, optimizer, updates, textures },
  };
  return { ...parts, activations, inputs, decoder, logits };
}

/** Frees everything; the GPU stays open. */
export function destroyParts(parts: EngineParts): void {
  parts.decoder.destroy();
  parts.logits.destroy();
  parts.inputs.destroy();
  parts.activations.destroy();
  parts.optimizer?.destroy();
  parts.gradients?.destroy();
  parts.halves?.destroy();
  parts.adapters?.destroy();
  parts.weights.destroy();
  parts.textures?.destroy();
}
