/** The adapter's own ceiling: a loop of independent multiply-adds that loads nothing. */
import type { Gpu } from "../gpu/device.ts";
import { compile, WORKGROUP } from "../gpu/pipeline.ts";
import { Program } from "../gpu/program.ts";
import { medianSeconds } from "./timing.ts";

const ACCUMULATORS = 12, UNROLL = 16, LOOPS = 64, GROUPS = 256;

function source(): string {
  const names = Array.from({ length: ACCUMULATORS }, (_, i) => `s${i}`);
  const once = names.map((s) => `${s} = ${s} * a + b;`).join(" ");
  return `struct P { loops: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let a = vec4<f32>(0.999999 + f32(gid.x) * 1e-9);
  let b = vec4<f32>(1e-6);
  ${names.map((s, i) => `var ${s} = vec4<f32>(${i}.0);`).join("\n  ")}
  for (var i = 0u; i < p.loops; i++) {
    ${Array.from({ length: UNROLL }, () => once).join("\n    ")}
  }
  out[gid.x] = ${names.join(" + ")};
}
`;
}

/** Multiply-adds of the adapter in GFLOP/s, two operations each. */
export async function ceilingGflops(gpu: Gpu): Promise<number> {
  const buffer = gpu.createBuffer("ceiling", GROUPS * WORKGROUP * 16);
  const program = new Program(gpu);
  program.add(
    compile(gpu, "bench ceiling", source(), "main"),
    [{ buffer, offset: 0, size: 0 }],
    () => ({ params: [LOOPS], groups: [GROUPS, 1, 1], operations: 1 }),
  );
  const seconds = await medianSeconds(gpu, () => program.run({}));
  program.destroy();
  gpu.destroyMemory(buffer);
  return GROUPS * WORKGROUP * LOOPS * UNROLL * ACCUMULATORS * 4 * 2 / seconds / 1e9;
}
