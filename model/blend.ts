/** Moving one set of weights towards another on the GPU. */
import type { Gpu } from "../gpu/device.ts";
import { kernel } from "../gpu/kernels/mod.ts";
import { WORKGROUP } from "../gpu/pipeline.ts";
import { f32Bits, groupsFor, Program } from "../gpu/program.ts";
import type { SlabSet } from "./slabs.ts";

/** to = (1 - alpha) to + alpha from, for slabs of one layout; alpha 1 copies. Queued, not awaited. */
export function blendSlabs(gpu: Gpu, from: SlabSet, to: SlabSet, alpha: number): void {
  const program = new Program(gpu);
  to.buffers.forEach((buffer, i) => {
    const views = [from.buffers[i], buffer].map((buffer) => ({ buffer, offset: 0, size: 0 }));
    const count4 = buffer.size / 16;
    program.add(kernel(gpu, "blend", "blend"), views, () => ({
      params: [count4, f32Bits(alpha)],
      groups: groupsFor(count4, WORKGROUP),
      operations: count4 * 12,
    }));
  });
  program.run({});
  program.destroy();
}
