/**
 * The adapter's own ceilings: a loop of independent multiply-adds that loads nothing, and copies, by a
 * kernel and by the copy command.
 */
import type { Gpu } from "../gpu/device.ts";
import { compile, WORKGROUP } from "../gpu/pipeline.ts";
import { Program } from "../gpu/program.ts";
import { cpuSeconds, medianSeconds } from "./timing.ts";

const ACCUMULATORS = 12, UNROLL = 16, LOOPS = 64, GROUPS = 256;
const COPY_BYTES = 64 * 2 ** 20, PER_THREAD = 4;

export interface Ceiling {
  /** Multiply-adds, two operations each: 1e9 a second. */
  readonly gflops: number;
  /** The same for a processor second times the processors: what an unshared machine would reach. */
  readonly cpuGflops: number;
}

function multiplyAddSource(): string {
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

/** The multiply-add ceiling; quick enough to be taken again beside everything that is measured. */
export async function measureCeiling(gpu: Gpu): Promise<Ceiling> {
  const buffer = gpu.device.createBuffer({
    size: GROUPS * WORKGROUP * 16,
    usage: GPUBufferUsage.STORAGE,
  });
  const program = new Program(gpu);
  program.add(
    compile(gpu, "bench ceiling", multiplyAddSource(), "main"),
    [{ buffer, offset: 0, size: 0 }],
    () => ({ params: [LOOPS], groups: [GROUPS, 1, 1], operations: 1 }),
  );
  let runs = 0;
  const cpu = cpuSeconds();
  const seconds = await medianSeconds(gpu, () => {
    runs++;
    program.run({});
  }, { rounds: 3 });
  const used = cpuSeconds() - cpu;
  program.destroy();
  buffer.destroy();
  const operations = GROUPS * WORKGROUP * LOOPS * UNROLL * ACCUMULATORS * 4 * 2;
  return {
    gflops: operations / seconds / 1e9,
    cpuGflops: operations * runs / used * navigator.hardwareConcurrency / 1e9,
  };
}

/** Two ceilings around something that was measured: their mean. */
export function between(before: Ceiling, after: Ceiling): Ceiling {
  return {
    gflops: (before.gflops + after.gflops) / 2,
    cpuGflops: (before.cpuGflops + after.cpuGflops) / 2,
  };
}

const COPY = `struct P { stride: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b: array<vec4<f32>>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  ${
  Array.from({ length: PER_THREAD }, (_, i) =>
    `b[gid.x + ${i}u * p.stride] = a[gid.x + ${i}u * p.stride];`)
    .join("\n  ")
}
}
`;

/** Bytes read and written, 1e9 a second. */
export interface Bandwidth {
  readonly kernel: number;
  readonly command: number;
}

export async function measureBandwidth(gpu: Gpu): Promise<Bandwidth> {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const [from, to] = [0, 1].map(() => gpu.device.createBuffer({ size: COPY_BYTES, usage }));
  const program = new Program(gpu);
  const threads = COPY_BYTES / 16 / PER_THREAD;
  program.add(
    compile(gpu, "bench copy", COPY, "main"),
    [from, to].map((buffer) => ({ buffer, offset: 0, size: 0 })),
    () => ({ params: [threads], groups: [threads / WORKGROUP, 1, 1], operations: 1 }),
  );
  const kernel = await medianSeconds(gpu, () => program.run({}), { rounds: 3 });
  const command = await medianSeconds(gpu, () => {
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 0, to, 0, COPY_BYTES);
    gpu.device.queue.submit([encoder.finish()]);
  }, { rounds: 3 });
  program.destroy();
  for (const buffer of [from, to]) buffer.destroy();
  return { kernel: 2 * COPY_BYTES / kernel / 1e9, command: 2 * COPY_BYTES / command / 1e9 };
}
