/** Weights and gradients of a few named parameters, as the operations of a model expect them. */
import type { Gpu } from "../../gpu/device.ts";
import type { View } from "../../gpu/program.ts";
import type { ParameterStore } from "../../model/operations.ts";
import { layOut, SlabSet } from "../../model/slabs.ts";

export interface Values {
  readonly shape: readonly number[];
  readonly weight: Float32Array;
  /** What the gradient starts with; zeros if left out. */
  readonly gradient?: Float32Array;
}

export interface TestStore extends ParameterStore {
  readonly gradients: SlabSet;
  /** Where a parameter's gradient lies; for parameters in one part. */
  gradientView(name: string): View;
  destroy(): void;
}

/** Puts parameters on the GPU; `limit` bytes bound a slab, so that a small one splits parameters. */
export function makeStore(
  gpu: Gpu,
  values: Readonly<Record<string, Values>>,
  limit = 2 ** 24,
): TestStore {
  const specs = Object.entries(values)
    .map(([name, { shape }]) => ({ name, shape, decay: shape.length > 1 }));
  const layout = layOut(specs, limit, gpu.capabilities.offsetAlignment);
  const weights = new SlabSet(gpu, layout, "weights");
  const gradients = new SlabSet(gpu, layout, "gradients");
  for (const [name, { weight, gradient }] of Object.entries(values)) {
    weights.write(name, weight);
    if (gradient) gradients.write(name, gradient);
  }
  return {
    weights,
    gradients,
    gradientView(name) {
      const { slab, offset, size } = layout.parameters.get(name)!.parts[0];
      return { buffer: gradients.buffers[slab], offset, size };
    },
    destroy() {
      weights.destroy();
      gradients.destroy();
    },
  };
}
