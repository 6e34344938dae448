/** Programs, buffers and errors of the GPU: sizes, replays, clears, limits, byte counts. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { isOpenGl, openGpu } from "../../gpu/device.ts";
import { GpuError } from "../../gpu/error.ts";
import { compile } from "../../gpu/pipeline.ts";
import { f32Bits, groupsFor, Program } from "../../gpu/program.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();

/** data[i] = data[i] * factor + add for i < count. */
const SCALE = `struct P { count: u32, factor: f32, add: f32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  if (gid.x < p.count) { data[gid.x] = data[gid.x] * p.factor + p.add; }
}`;

const scale = () => compile(rig.gpu, "test scale", SCALE, "main");

Deno.test("groupsFor covers every item and folds past 65,535 groups", () => {
  assertEquals(groupsFor(0, 64), [0, 1, 1]);
  assertEquals(groupsFor(1, 64), [1, 1, 1]);
  assertEquals(groupsFor(65, 64), [2, 1, 1]);
  assertEquals(groupsFor(65_535 * 64, 64), [65_535, 1, 1]);
  assertEquals(groupsFor(65_535 * 64 + 1, 64), [65_535, 2, 1]);
});

Deno.test("f32Bits gives the bits of a float32", () => {
  assertEquals([1, -0, 1e-5, Infinity].map(f32Bits), [
    0x3f800000,
    0x80000000,
    0x3727c5ac,
    0x7f800000,
  ]);
});

Deno.test("a program replays with other sizes, in order, with its clears", async () => {
  const view = rig.upload(Float32Array.of(1, 2, 3, 4)), program = new Program(rig.gpu);
  program.clear(view.buffer, ({ cleared }) => cleared * 4);
  program.add(scale(), [view], ({ count }) => ({
    params: [count, f32Bits(1), f32Bits(1)],
    groups: [count === 0 ? 0 : 1, 1, 1],
    operations: 1,
  }));
  program.add(scale(), [view], ({ count }) => ({
    params: [count, f32Bits(10), f32Bits(0)],
    groups: [count === 0 ? 0 : 1, 1, 1],
    operations: 1,
  }));
  const { dispatches, submits } = rig.gpu;
  program.run({ cleared: 0, count: 2 });
  program.run({ cleared: 2, count: 3 });
  program.run({ cleared: 0, count: 0 });
  assertEquals(rig.gpu.dispatches - dispatches, 4, "empty grids are not dispatched");
  assertEquals(rig.gpu.submits - submits, 2);
  const [{ data }] = await rig.finish([{ data: view }]);
  assertEquals([...data], [10, 10, 40, 4]);
  program.destroy();
});

Deno.test("a long program is cut into submits by its operations", () => {
  const view = rig.upload(new Float32Array(4)), program = new Program(rig.gpu);
  for (let i = 0; i < 5; i++) {
    program.add(scale(), [view], () => ({
      params: [1, 0, 0],
      groups: [1, 1, 1],
      operations: 1.5e9,
    }));
  }
  const before = rig.gpu.submits;
  program.run({});
  // 4e9 operations a submit: 2 + 2 + 1 dispatches.
  assertEquals(rig.gpu.submits - before, 3);
  program.destroy();
  rig.free();
});

Deno.test("a program that has run takes no more steps", () => {
  const view = rig.upload(new Float32Array(4)), program = new Program(rig.gpu);
  program.run({});
  const add = () => program.clear(view.buffer, () => 0);
  assertThrows(add, GpuError, "has run");
  program.destroy();
  rig.free();
});

Deno.test("bytes are counted, rounded up to 16, and given back once", () => {
  const before = rig.gpu.bytes, buffer = rig.gpu.createBuffer("seventeen", 17);
  assertEquals(rig.gpu.bytes - before, 32);
  assert(rig.gpu.peakBytes >= rig.gpu.bytes);
  rig.gpu.destroyMemory(buffer);
  rig.gpu.destroyMemory(buffer);
  assertEquals(rig.gpu.bytes, before);
});

Deno.test("a new buffer is zero and partial reads start where they are told", async () => {
  const { buffer } = rig.zeros(6);
  rig.gpu.write(buffer, Float32Array.of(7, 8), 8);
  assertEquals([...new Float32Array(await rig.gpu.read(buffer, 24))], [0, 0, 7, 8, 0, 0]);
  assertEquals([...new Float32Array(await rig.gpu.read(buffer, 8, 8))], [7, 8]);
  rig.free();
});

Deno.test("a buffer above the adapter's limit is refused with its name and size", () => {
  const bytes = rig.gpu.device.limits.maxBufferSize + 16;
  const before = rig.gpu.bytes;
  const create = () => rig.gpu.createBuffer("huge", bytes);
  assertThrows(create, GpuError, 'Cannot allocate "huge": it needs ');
  assertEquals(rig.gpu.bytes, before);
});

Deno.test("an invalid dispatch ends the next read-back with a GpuError, and stays", async () => {
  const gpu = await openGpu();
  const buffer = gpu.createBuffer("x", 16);
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, buffer, 8, 64);
  gpu.submit(encoder);
  await assertRejects(() => gpu.read(buffer, 16), GpuError, "Reading results failed");
  assertThrows(() => gpu.check("Going on"), GpuError, "Going on failed");
  gpu.destroy();
});

Deno.test("guarded work throws what the device refuses", async () => {
  const work = () =>
    rig.gpu.device.createBuffer({ size: 2 ** 40, usage: GPUBufferUsage.STORAGE }) && undefined;
  await assertRejects(() => rig.gpu.guarded("Allocating", work), GpuError, "Allocating failed");
  await rig.gpu.guarded("Going on", () => {});
});

Deno.test("a destroyed device ends the next read-back with a GpuError", async () => {
  const gpu = await openGpu(), buffer = gpu.createBuffer("x", 16);
  gpu.device.destroy();
  await assertRejects(() => gpu.read(buffer, 16), GpuError);
});

Deno.test("subgroups and the binding limit can be held back", async () => {
  const gpu = await openGpu({ subgroups: false, bindingLimit: 4096 });
  assertEquals(gpu.capabilities.subgroups, false);
  assertEquals(gpu.capabilities.bindingLimit, 4096);
  assert(gpu.capabilities.offsetAlignment >= 64);
  gpu.destroy();
});

Deno.test("an OpenGL adapter is told by its unbounded bindings", () => {
  const adapter = (bindings: number, features: string[]) =>
    ({
      limits: { maxBindingsPerBindGroup: bindings },
      features: new Set(features),
    }) as unknown as GPUAdapter;
  assertEquals(isOpenGl(adapter(0xffffffff, [])), true);
  assertEquals(isOpenGl(adapter(1000, [])), false);
  assertEquals(isOpenGl(adapter(0xffffffff, ["shader-f16"])), false);
});
