/** Gradient norm, clipping and the parameter update, on the GPU. */
import type { Gpu } from "../gpu/device.ts";
import type { InputTextures } from "../gpu/input_textures.ts";
import { type Entry, kernel } from "../gpu/kernels/mod.ts";
import { type Kernel, WORKGROUP } from "../gpu/pipeline.ts";
import { f32Bits, groupsFor, type Input, Program, type View } from "../gpu/program.ts";
import type { OptimizerSettings } from "./engine.ts";
import { type Layout, SlabSet } from "./slabs.ts";

/** vec4 values one invocation squares (`PER_THREAD4` in the WGSL). */
const PER_THREAD4 = 16;
/** Floats of a slab that are updated at a time where kernels read textures: a multiple of a square's. */
export const PIECE_FLOATS = 1 << 21;
/** Partial sums one invocation of `fold` adds. */
const FOLD = 64;

const whole = (buffer: GPUBuffer): View => ({ buffer, offset: 0, size: 0 });

/** A piece of a slab that a kernel reads, and overwrites where it is `inPlace`. */
function inputOf(
  buffer: GPUBuffer,
  { offset, size }: { readonly offset: number; readonly size: number },
  inPlace = false,
): Input {
  return { view: { buffer, offset, size }, floats: () => size / 4, inPlace };
}

/** Bytes of the moments that an optimizer keeps for a layout, and of its partial sums of squares. */
export function momentBytes(layout: Layout, kind: OptimizerSettings["kind"]): number {
  const sums = layout.bytes / (4 * PER_THREAD4) * (1 + 1 / FOLD + 1 / FOLD ** 2);
  return layout.bytes * (kind === "adamw" ? 2 : 1) + Math.ceil(sums);
}

export class Optimizer {
  readonly #gpu: Gpu;
  readonly #weights: SlabSet;
  readonly #gradients: SlabSet;
  readonly #norm: Program;
  readonly #status: GPUBuffer;
  readonly #sums: GPUBuffer[];
  /** exp_avg (adamw only) and exp_avg_sq. */
  readonly expAvg: SlabSet | undefined;
  readonly expAvgSq: SlabSet;
  readonly #updates: Program;
  readonly kind: OptimizerSettings["kind"];
  readonly #textures: InputTextures | undefined;

  /** With `textures` the kernels read there, see `gpu/input_textures.ts`. */
  constructor(
    gpu: Gpu,
    weights: SlabSet,
    gradients: SlabSet,
    kind: OptimizerSettings["kind"],
    textures?: InputTextures,
  ) {
    this.#gpu = gpu;
    this.#textures = textures;
    this.kind = kind;
    this.#weights = weights;
    this.#gradients = gradients;
    const layout = weights.layout;
    this.expAvg = kind === "adamw" ? new SlabSet(gpu, layout, "exp_avg") : undefined;
    this.expAvgSq = new SlabSet(gpu, layout, "exp_avg_sq");
    this.#status = gpu.createBuffer("gradient norm", 16);
    const counts = layout.slabs.map((slab) => Math.ceil(slab.bytes / 16 / PER_THREAD4));
    const total = counts.reduce((a, b) => a + b, 0);
    this.#sums = [total, Math.ceil(total / FOLD), Math.ceil(total / FOLD / FOLD)]
      .map((n) => gpu.createBuffer("squares", Math.max(1, n) * 4));
    this.#norm = this.#normProgram(layout, counts, total);
    this.#updates = this.#updateProgram(layout);
  }

  #normProgram(layout: Layout, counts: readonly number[], total: number): Program {
    const program = new Program(this.#gpu, this.#textures);
    let offset = 0;
    for (const [i, slab] of layout.slabs.entries()) {
      for (const piece of this.#pieces(slab.bytes)) {
        const at = offset + piece.offset / 16 / PER_THREAD4;
        program.add(
          this.#kernel("squares"),
          [inputOf(this.#gradients.buffers[i], piece), whole(this.#sums[0])],
          () => ({
            params: [piece.size / 16, at],
            groups: groupsFor(Math.ceil(piece.size / 16 / PER_THREAD4), WORKGROUP),
            operations: piece.size / 2,
          }),
        );
      }
      offset += counts[i];
    }
    let left = total;
    for (let stage = 0; stage < 2; stage++) {
      const count = left;
      program.add(
        kernel(this.#gpu, "optimizer", "fold"),
        [whole(this.#sums[stage]), whole(this.#sums[stage + 1])],
        () => ({
          params: [count, 0],
          groups: groupsFor(Math.ceil(count / FOLD), WORKGROUP),
          operations: count,
        }),
      );
      left = Math.ceil(left / FOLD);
    }
    program.add(
      kernel(this.#gpu, "optimizer", "norm"),
      [whole(this.#sums[2]), whole(this.#status)],
      ({ maxNormBits }) => ({
        params: [left, 0, maxNormBits],
        groups: [1, 1, 1],
        operations: left,
      }),
    );
    return program;
  }

  #updateProgram(layout: Layout): Program {
    const program = new Program(this.#gpu, this.#textures);
    for (const [i, slab] of layout.slabs.entries()) {
      for (const piece of this.#pieces(slab.bytes)) {
        const views = [
          inputOf(this.#gradients.buffers[i], piece),
          whole(this.#status),
          inputOf(this.#weights.buffers[i], piece, true),
          ...(this.expAvg ? [inputOf(this.expAvg.buffers[i], piece, true)] : []),
          inputOf(this.expAvgSq.buffers[i], piece, true),
        ];
        program.add(this.#kernel(this.kind), views, (s) => ({
          params: [
            piece.size / 16,
            0,
            0,
            s.rate,
            s.rest1,
            s.rest2,
            s.eps,
            slab.decay ? s.decay : s.noDecay,
            s.correction,
          ],
          groups: groupsFor(piece.size / 16, WORKGROUP),
          operations: piece.size * 4,
        }));
      }
    }
    return program;
  }

  #kernel(entry: Entry<"optimizer">): Kernel {
    return kernel(this.#gpu, "optimizer", entry, this.#textures !== undefined);
  }

  /** Ranges of a slab, bytes: all of it, or what textures hold. */
  #pieces(bytes: number): { offset: number; size: number }[] {
    const most = this.#textures ? PIECE_FLOATS * 4 : bytes;
    const offsets = Array.from({ length: Math.ceil(bytes / most) }, (_, i) => i * most);
    return offsets.map((offset) => ({ offset, size: Math.min(most, bytes - offset) }));
  }

  /**
   * Clips by global norm, updates and clears the gradients; nothing changes when the norm is not
   * finite (the gradients stay then, for the search of the culprit).
   */
  async step(s: OptimizerSettings): Promise<{ gradNorm: number; finite: boolean }> {
    this.#norm.run({ maxNormBits: f32Bits(s.maxGradNorm) });
    this.#updates.run(this.#constants(s));
    const status = new Float32Array(await this.#gpu.read(this.#status, 16));
    const finite = status[2] === 1;
    if (finite) this.#gradients.clear();
    return { gradNorm: status[0], finite };
  }

  #constants(s: OptimizerSettings): Record<string, number> {
    const bits = (values: Record<string, number>) =>
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name, f32Bits(value)]));
    if (s.kind === "rmsprop") {
      // In PyTorch's RMSprop weight decay is added to the gradient.
      return bits({
        rate: s.learningRate,
        rest1: 0,
        rest2: 1 - s.alpha,
        eps: s.eps,
        decay: s.weightDecay,
        noDecay: 0,
        correction: 1,
      });
    }
    return bits({
      rate: s.learningRate / (1 - s.beta1 ** s.step),
      rest1: 1 - s.beta1,
      rest2: 1 - s.beta2,
      eps: s.eps,
      decay: 1 - s.learningRate * s.weightDecay,
      noDecay: 1,
      correction: Math.sqrt(1 - s.beta2 ** s.step),
    });
  }

  destroy(): void {
    this.#norm.destroy();
    this.#updates.destroy();
    for (const set of [this.expAvg, this.expAvgSq]) set?.destroy();
    for (const buffer of [this.#status, ...this.#sums]) this.#gpu.destroyMemory(buffer);
  }
}
