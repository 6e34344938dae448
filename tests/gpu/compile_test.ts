/** All kernels compile, and the compiler has nothing to say about them. */
import { assertEquals, assertMatch, assertNotMatch, assertRejects } from "@std/assert";
import { openGpu } from "../../gpu/device.ts";
import { GpuError } from "../../gpu/error.ts";
import { withStorage } from "../../gpu/input_textures.ts";
import { kernel, type Operation, SOURCES } from "../../gpu/kernels/mod.ts";
import { compilationMessages, loadKernel } from "../../gpu/pipeline.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();

/** Inputs of each operation that are read through `at_`: only read, and overwritten by the kernel. */
const INPUTS: Readonly<Record<Operation, readonly [read: string[], inPlace: string[]]>> = {
  gather_rows: [[], []],
  rms_norm: [["dy", "residual", "weight", "x"], ["dx", "dy_io"]],
  layer_norm: [["bias", "dy", "weight", "x"], ["dx"]],
  scale: [[], []],
  column_sum: [[], []],
  rope: [["table4"], ["x4"]],
  swiglu: [["dh", "gate", "up"], ["dh_io", "gate_io", "up_io"]],
  log_softmax: [["logits"], ["d_logits"]],
  log_mix: [["other", "policy"], []],
  blend: [[], []],
  halve: [["x"], []],
  optimizer: [["gradient"], ["average", "moment1", "moment2", "weight"]],
};

/** Names and bindings of the buffers or textures that `pattern` finds, by name. */
function declared(code: string, pattern: string): Record<string, number> {
  const all = code.matchAll(new RegExp(`@binding\\((\\d+)\\) var${pattern}`, "g"));
  return Object.fromEntries([...all].map(([, binding, name]) => [name, Number(binding)]));
}
const BUFFER = "<storage, \\w+> (\\w+): array", TEXTURE = " (\\w+): texture_storage_2d";

for (const [operation, { code, entries }] of Object.entries(SOURCES)) {
  for (const textures of [false, true]) {
    const ignore = textures && !rig.gpu.capabilities.storageTextures;
    const name = `${operation}.wgsl compiles without a message` +
      (textures ? `, inputs in textures${ignore ? " (not readable here)" : ""}` : "");
    Deno.test({ name, ignore, fn: () => compiles(operation as Operation, textures) });
  }

  Deno.test(`every input of ${operation}.wgsl is found when it moves to a texture`, () => {
    const [read, inPlace] = INPUTS[operation as Operation];
    const before = declared(code, BUFFER), moved = withStorage(code, { textures: true });
    const functions = [...code.matchAll(/fn at_(\w+)/g)].map(([, name]) => name);
    assertEquals(functions.sort(), [...read, ...inPlace].sort());
    assertEquals(declared(moved, TEXTURE), {
      ...Object.fromEntries(read.map((name) => [name, before[name]])),
      ...Object.fromEntries(inPlace.map((name) => [`${name}_before`, before[name] + 8])),
    });
    const buffers = Object.entries(before).filter(([name]) => !read.includes(name));
    assertEquals(declared(moved, BUFFER), Object.fromEntries(buffers));
    for (const name of functions) {
      const texture = inPlace.includes(name) ? `${name}_before` : name;
      const start = `fn at_${name}\\(i: u32\\) -> vec4<f32> {\\s*return `;
      assertMatch(moved, new RegExp(`${start}textureLoad\\(${texture}, `));
      assertNotMatch(moved, new RegExp(`${start}${name}\\[`));
    }
  });

  Deno.test(`${operation}.wgsl has no entry point besides the listed ones`, () => {
    const found = [...code.matchAll(/@compute[^{]*?fn\s+(\w+)/g)].map((match) => match[1]);
    assertEquals(found.sort(), [...entries].sort());
  });
}

async function compiles(operation: Operation, textures: boolean): Promise<void> {
  const { code, entries } = SOURCES[operation];
  assertEquals(await compilationMessages(rig.gpu, withStorage(code, { textures })), []);
  type Load = (...of: [typeof rig.gpu, Operation, string, boolean]) => unknown;
  for (const entry of entries) {
    const load = () => (kernel as Load)(rig.gpu, operation, entry, textures);
    await rig.gpu.guarded(`Compiling ${operation}`, load);
  }
}

// An error stays with its device, so these two take their own.
Deno.test("an error in WGSL is reported with its line", async () => {
  const gpu = await openGpu();
  const [message, ...more] = await compilationMessages(gpu, "fn broken() -> u32 { return 1.5; }");
  gpu.destroy();
  assertMatch(message, /^error [^]*fn broken\(\) -> u32 { return 1\.5; }/);
  assertEquals(more, []);
});

Deno.test("a kernel that does not compile ends in a GpuError", async () => {
  const gpu = await openGpu();
  const load = () => loadKernel(gpu, "broken.wgsl", "fn f() {", "f");
  await assertRejects(() => gpu.guarded("Compiling", load), GpuError, "broken.wgsl:f");
  gpu.destroy();
});
