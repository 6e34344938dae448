/**
 * A copy of a model's matrices as f16, for the products that read them. Master weights stay f32: they are
 * what an optimizer moves, files hold and tokens are embedded by; whatever changes them refreshes the
 * copy. Norms and biases have none.
 */
import type { Gpu } from "../gpu/device.ts";
import type { InputTextures } from "../gpu/input_textures.ts";
import { kernel } from "../gpu/kernels/mod.ts";
import { WORKGROUP } from "../gpu/pipeline.ts";
import { groupsFor, Program, type View } from "../gpu/program.ts";
import { valueBytes } from "../gpu/storage.ts";
import { type Architecture, headWeight, isEmbedding } from "./architecture.ts";
import { PIECE_FLOATS } from "./optimizer.ts";
import { parameterList } from "./param_table.ts";
import { type Layout, layOut, type Part, type SlabSet } from "./slabs.ts";

/** Half of what the layout of the f32 values says. */
const halved = (bytes: number) => bytes / 4 * valueBytes("f16");

/** Where the copies lie, as if they were f32: cut into the same parts as the weights are. */
function copyLayout(gpu: Gpu, config: Architecture): Layout {
  const { bindingLimit, offsetAlignment } = gpu.capabilities;
  const matrices = parameterList(config).filter(({ name, shape }) =>
    // Embeddings are read by products where they are the head.
    shape.length === 2 && (name === headWeight(config) || !isEmbedding(config, name))
  );
  return layOut(matrices, bindingLimit, 2 * offsetAlignment);
}

/** Bytes of the copies of a model. */
export function halfWeightBytes(gpu: Gpu, config: Architecture): number {
  return halved(copyLayout(gpu, config).bytes);
}

export class HalfWeights {
  readonly #gpu: Gpu;
  readonly #buffers: readonly GPUBuffer[];
  readonly #views = new Map<Part, View>();
  readonly #refresh: Program;

  /**
   * Allocates the copies of `weights`; `refresh` fills them, through `textures` whose first slot holds a
   * piece of `PIECE_FLOATS`.
   */
  constructor(gpu: Gpu, config: Architecture, weights: SlabSet, textures?: InputTextures) {
    this.#gpu = gpu;
    const layout = copyLayout(gpu, config);
    this.#buffers = layout.slabs.map(({ bytes }, i) =>
      gpu.createBuffer(`f16 weights ${i}`, halved(bytes))
    );
    this.#refresh = new Program(gpu, textures);
    for (const [name, { parts }] of layout.parameters) {
      const masters = weights.layout.parameters.get(name)!.parts;
      for (const [i, { slab, offset, size }] of parts.entries()) {
        const place = { offset: halved(offset), size: halved(size) };
        const view: View = { buffer: this.#buffers[slab], ...place, storage: "f16" };
        this.#views.set(masters[i], view);
        this.#addCopy(weights.view(masters[i]), view);
      }
    }
  }

  #addCopy(from: View, to: View): void {
    const { textures } = this.#refresh, count = from.size / 4;
    const most = textures ? PIECE_FLOATS : count, bytes = valueBytes("f16");
    const copy = kernel(this.#gpu, "halve", "halve", textures !== undefined, ["y"]);
    for (let at = 0; at < count; at += most) {
      const floats = Math.min(most, count - at), count4 = floats / 4;
      const piece = { ...from, offset: from.offset + at * 4, size: floats * 4 };
      const target = { ...to, offset: to.offset + at * bytes, size: floats * bytes };
      this.#refresh.add(copy, [{ view: piece, floats: () => floats }, target], () => ({
        params: [count4],
        groups: groupsFor(count4, WORKGROUP),
        operations: count4 * 40,
      }));
    }
  }

  /** The copy of a part of the weights' layout. */
  view(part: Part): View {
    const view = this.#views.get(part);
    if (!view) throw new Error("No product reads this parameter");
    return view;
  }

  /** Copies the weights as they are now; queued, not awaited. */
  refresh(): void {
    this.#refresh.run({});
  }

  destroy(): void {
    this.#refresh.destroy();
    for (const buffer of this.#buffers) this.#gpu.destroyMemory(buffer);
  }
}
