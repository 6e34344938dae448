/** All kernels compile, and the compiler has nothing to say about them. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openGpu } from "../../gpu/device.ts";
import { GpuError } from "../../gpu/error.ts";
import { kernel, type Operation, SOURCES } from "../../gpu/kernels/mod.ts";
import { compilationMessages, loadKernel } from "../../gpu/pipeline.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();

for (const [operation, { code, entries }] of Object.entries(SOURCES)) {
  Deno.test(`${operation}.wgsl compiles without a message`, async () => {
    assertEquals(await compilationMessages(rig.gpu, code), []);
    for (const entry of entries) {
      const load = kernel as (gpu: typeof rig.gpu, operation: Operation, entry: string) => unknown;
      await rig.gpu.guarded(
        `Compiling ${operation}`,
        () => load(rig.gpu, operation as Operation, entry),
      );
    }
  });

  Deno.test(`${operation}.wgsl has no entry point besides the listed ones`, () => {
    const found = [...code.matchAll(/@compute[^{]*?fn\s+(\w+)/g)].map((match) => match[1]);
    assertEquals(found.sort(), [...entries].sort());
  });
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
