/** All kernels compile, and the compiler has nothing to say about them. */
import { assertEquals, assertThrows } from "@std/assert";
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

Deno.test("an error in WGSL is reported with its line", async () => {
  const messages = await compilationMessages(rig.gpu, "fn broken() -> u32 { return 1.5; }");
  assertEquals(messages.length, 1);
  assertEquals(
    /^error [^]*fn broken\(\) -> u32 { return 1\.5; }/.test(messages[0]),
    true,
    messages[0],
  );
});

Deno.test("a kernel that does not compile ends in a GpuError", async () => {
  const compile = () =>
    rig.gpu.guarded("Compiling", () => loadKernel(rig.gpu, "broken.wgsl", "fn f() {", "f"));
  const error = await compile().then(() => undefined, (error) => error);
  assertThrows(() => {
    throw error;
  }, GpuError);
});
