/**
 * What must not change a number of any architecture: recomputation, where kernels read their inputs, what
 * else is in a pack, bindings that hold only parts of a parameter; and how far f16 storage moves one.
 */
import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../gpu/device.ts";
import type { LlamaOptions } from "../../model/llama.ts";
import { openModelFolder } from "../../model/model_folder.ts";
import { assertClose, assertSameBits } from "../assert_close.ts";
import {
  type ArchitectureName,
  architectureTest,
  engineOf,
  folderOf,
  type Found,
  goldenOf,
  NAMES,
  rowsOf,
  run,
} from "./architectures.ts";
import { answer, assertSameTensors, openForTests, printMarginsAtEnd } from "./small_engine.ts";

const gpu = await openForTests();
const inBuffers = await openForTests();
inBuffers.tuning = { textures: false, tiles: {} };
printMarginsAtEnd();

/** Together they have every operation that Llama has not. */
const VARIED: readonly ArchitectureName[] = ["gemma3_text", "phi3", "gpt_neox", "gpt2", "olmo2"];

const runs = new Map<ArchitectureName, Promise<Found>>();
function plain(name: ArchitectureName): Promise<Found> {
  const known = runs.get(name) ?? run(gpu, name, { recompute: "none" });
  runs.set(name, known);
  return known;
}

function assertSame(found: Found, expected: Found): void {
  assertSameBits(found.logits, expected.logits, "logits");
  assertSameBits(found.logps, expected.logps, "log-probabilities");
  assertSameTensors(found.gradients, expected.gradients, "gradients");
}

const same: [string, Gpu, Partial<LlamaOptions>, readonly ArchitectureName[]][] = [
  ["with everything computed again", gpu, { recompute: "all" }, NAMES],
  ["with inputs in buffers", inBuffers, { recompute: "none" }, [...VARIED, "gemma2"]],
];
for (const [what, on, options, names] of same) {
  for (const name of names) {
    architectureTest(name, `the same bits ${what}`, async () => {
      assertSame(await run(on, name, options), await plain(name));
    });
  }
}

for (const name of VARIED) {
  architectureTest(name, "f16 storage moves no number far", async () => {
    const expected = await plain(name);
    const found = await run(gpu, name, { storage: "f16" });
    // Half a unit in the last of f16's 11 bits at every value that is stored, through two or three layers.
    assertClose(
      found.logps,
      expected.logps,
      { relativeL2: 1e-3 },
      "architectures, f16 logps",
      name,
    );
    assert(found.logps.some((value, i) => value !== expected.logps[i]), "nothing was rounded");
    for (const [tensor, values] of expected.gradients) {
      const group = "architectures, f16 gradients";
      assertClose(found.gradients.get(tensor)!, values, { relativeL2: 1e-2 }, group, tensor);
    }
  });
}

for (const name of ["gemma2", "gpt2", "gpt_neox"] as const) {
  architectureTest(
    name,
    "a frozen model, alone or packed, at any place, gives the same bits",
    async () => {
      using folder = openModelFolder(folderOf(name));
      const engine = await engineOf(gpu, folder, { optimizer: undefined });
      const rows = rowsOf(goldenOf(name));
      const packed = await engine.score([rows[1], rows[0], rows[1]]);
      assertSameBits(answer(packed, 4), answer(packed, 0), "another place in the pack");
      const alone = await engine.score([rows[1]]);
      assertSameBits(answer(alone, 1), answer(packed, 5), "alone");
      const trained = (await plain(name)).logps.subarray(0, answer(packed, 2).length);
      assertSameBits(answer(packed, 2), trained, "as when it is trained");
      engine.destroy();
      assertEquals(packed.offsets.length, 7);
    },
  );
}

for (const name of NAMES) {
  architectureTest(name, "the memory plan covers what is allocated", async () => {
    using folder = openModelFolder(folderOf(name));
    for (const storage of ["f32", "f16"] as const) {
      const before = gpu.bytes;
      const engine = await engineOf(gpu, folder, { tokens: 2000, scored: 500, storage });
      // All but the uniforms of programs and read-backs, which do not grow with the plan.
      const allocated = gpu.bytes - before, { total } = engine.plan;
      assert(allocated <= total + (1 << 16), `${allocated} bytes, planned ${total}`);
      assert(allocated > 0.9 * total, `${allocated} bytes, planned ${total}`);
      engine.destroy();
      assertEquals(gpu.bytes, before);
    }
  });
}
