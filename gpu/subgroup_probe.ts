/** Whether subgroups are laid out as the kernels that use them need it. */
import type { Gpu } from "./device.ts";

/** Do invocations map to subgroups in order, eight to a subgroup at least? Asked once, on the device. */
export async function subgroupsAreLinear(gpu: Gpu): Promise<boolean> {
  if (gpu.capabilities.subgroupSize < 8) return false;
  const code = `@group(0) @binding(0) var<storage, read_write> ok: array<u32>;
@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) i: u32, @builtin(subgroup_invocation_id) lane: u32) {
  ok[i] = u32(subgroupShuffle(i, (lane & ~7u) + 3u) == (i & ~7u) + 3u);
}`;
  try {
    return await gpu.guarded("Probing subgroups", async () => {
      const pipeline = gpu.device.createComputePipeline({
        layout: "auto",
        compute: { module: gpu.device.createShaderModule({ code }), entryPoint: "main" },
      });
      const buffer = gpu.createBuffer("subgroup probe", 128);
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(
        0,
        gpu.device.createBindGroup({
          layout: pipeline.getBindGroupLayout(0),
          entries: [{ binding: 0, resource: { buffer } }],
        }),
      );
      pass.dispatchWorkgroups(1);
      pass.end();
      gpu.submit(encoder);
      const flags = new Uint32Array(await gpu.read(buffer, 128));
      gpu.destroyMemory(buffer);
      return flags.every((flag) => flag === 1);
    });
  } catch {
    // A driver that cannot compile the probe has no usable subgroups; kernels without them are chosen.
    return false;
  }
}
