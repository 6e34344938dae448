/** Programs whose kernels read textures: what is copied there, when, and how many bytes are held. */
import { assertEquals } from "@std/assert";
import type { Gpu } from "../../gpu/device.ts";
import {
  inPlaceSource,
  inputSource,
  inputTextureBytes,
  InputTextures,
} from "../../gpu/input_textures.ts";
import { compile, type Kernel, WORKGROUP } from "../../gpu/pipeline.ts";
import { type Input, type Launch, Program, type View } from "../../gpu/program.ts";
import { readsTextures } from "../../gpu/tuning.ts";
import { assertSameBits } from "../assert_close.ts";
import { Random } from "../reference/random.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
/** A texture's row: floats, bytes. */
const ROW = 8192, ROW_BYTES = ROW * 4;

function textureTest(name: string, work: () => void | Promise<void>): void {
  const ignore = !rig.gpu.capabilities.storageTextures;
  const fn = () => rig.with("textures", work);
  Deno.test({ name: `${name}${ignore ? " (not readable here)" : ""}`, ignore, fn });
}

/** A kernel of one invocation for each of `count4` vec4. */
function perVec4(label: string, declarations: string, body: string): Kernel {
  const code = `struct P { count4: u32 }
@group(0) @binding(0) var<uniform> p: P;
${declarations}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let i = gid.x;
  if (i < p.count4) { ${body} }
}`;
  return compile(rig.gpu, label, code, "main");
}

const launchOf = (count4: number): Launch => ({
  params: [count4],
  groups: [Math.ceil(count4 / WORKGROUP), 1, 1],
  operations: count4,
});

/** out[i] = values[i]. */
const copying = () =>
  perVec4(
    "test copy",
    inputSource("values", 1, rig.inTextures) +
      "\n@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;",
    "out[i] = at_values(i);",
  );

/** Runs one copy of `floats` and gives what the kernel sees of the texture, `more` floats beyond too. */
function seen(view: View, floats: number, more = 0): { out: View } {
  const out = rig.zeros(floats + more), input: Input = { view, floats: () => floats };
  rig.dispatch(copying(), [input, out], launchOf((floats + more) / 4));
  return { out };
}

textureTest(
  "a texture holds its input in order, whole rows and a partial one, and no more",
  async () => {
    const values = new Random(1).normals(3 * ROW + 1000), view = rig.upload(values);
    const sizes = [4, 20, ROW - 4, ROW, ROW + 4, 2 * ROW, 3 * ROW + 20];
    const found = await rig.finish(sizes.map((floats) => seen(view, floats, 8)));
    for (const [i, floats] of sizes.entries()) {
      const { out } = found[i], what = `${floats} floats`;
      assertSameBits(out.subarray(0, floats), values.subarray(0, floats), what);
      // Textures are full of NaN before a program of the rig runs.
      assertEquals(out.subarray(floats).every(Number.isNaN), true, `more than ${what} were copied`);
    }
  },
);

textureTest("an input starts where its view does", async () => {
  const { offsetAlignment } = rig.gpu.capabilities;
  const values = new Random(2).normals(4 * ROW), { buffer } = rig.upload(values);
  // A part of a row may start at any vec4, as that of a matrix's columns does.
  const cases = [[16, 12], [offsetAlignment, ROW + 8], [3 * offsetAlignment, 3 * ROW]];
  const views = cases.map(([offset, floats]) => seen({ buffer, offset, size: 0 }, floats));
  const found = await rig.finish(views);
  for (const [i, [offset, floats]] of cases.entries()) {
    const expected = values.subarray(offset / 4, offset / 4 + floats);
    assertSameBits(found[i].out, expected, `${floats} floats at byte ${offset}`);
  }
});

textureTest("a kernel reads what stood in a buffer that it overwrites", async () => {
  const values = new Random(3).normals(ROW + 1000), data = rig.upload(values);
  const count4 = values.length / 4;
  // From the end: with the buffer alone half of it would be overwritten before it is read.
  const reverse = perVec4(
    "test reverse",
    inPlaceSource("data", 1, rig.inTextures),
    "data[i] = at_data(p.count4 - 1u - i);",
  );
  rig.dispatch(reverse, [rig.input(data, true)], launchOf(count4));
  const [found] = await rig.finish([{ data }]);
  const expected = Float32Array.from(
    values,
    (_, i) => values[4 * (count4 - 1 - (i / 4 | 0)) + i % 4],
  );
  assertSameBits(found.data, expected, "reversed in place");
});

textureTest(
  "inputs are copied before each dispatch, to the slots of their order, views are bound",
  async () => {
    const values = [1, 10, 100].map((size) => rig.upload(new Float32Array(8).fill(size)));
    const sum = perVec4(
      "test sum",
      [
        inputSource("a", 1, rig.inTextures),
        "@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;",
        inputSource("c", 3, rig.inTextures),
        inPlaceSource("d", 4, rig.inTextures),
      ].join("\n"),
      "d[i] = at_d(i) + at_a(i) + 2.0 * b[i] + 3.0 * at_c(i);",
    );
    const [a, b, c] = values, d = rig.upload(new Float32Array(8).fill(1000));
    const views = [rig.input(a), b, rig.input(c), rig.input(d, true)];
    const { dispatches } = rig.gpu;
    rig.run((program) => {
      // The second finds what the first left in d, and in a and c what they hold now.
      program.add(sum, views, () => launchOf(2));
      program.add(sum, [rig.input(d), b, rig.input(a), rig.input(c, true)], () => launchOf(2));
    });
    assertEquals(rig.gpu.dispatches - dispatches, 2, "copies are no dispatches");
    const [found] = await rig.finish([{ c, d }]);
    const first = 1000 + 1 + 2 * 10 + 3 * 100, second = 100 + first + 2 * 10 + 3 * 1;
    assertEquals([...found.d], Array(8).fill(first));
    assertEquals([...found.c], Array(8).fill(second));
  },
);

textureTest("a replay copies what its sizes ask for, and nothing for none", async () => {
  const values = new Random(4).normals(ROW), from = rig.upload(values), out = rig.zeros(ROW);
  const program = new Program(rig.gpu, rig.freshTextures());
  const input: Input = { view: from, floats: ({ floats }) => floats };
  program.add(copying(), [input, out], ({ floats }) => launchOf(floats / 4));
  program.run({ floats: 8 });
  program.run({ floats: 0 });
  program.run({ floats: 40 });
  const [found] = await rig.finish([{ out }]);
  program.destroy();
  assertSameBits(found.out.subarray(0, 40), values.subarray(0, 40), "copied");
  assertEquals(found.out.subarray(40).every((x) => x === 0), true, "nothing behind");
});

textureTest("bytes of textures are counted and given back", () => {
  const before = rig.gpu.bytes;
  const floats = [0, 4, ROW, ROW + 4];
  const textures = new InputTextures(rig.gpu, floats);
  assertEquals(rig.gpu.bytes - before, (1 + 1 + 1 + 2) * ROW_BYTES);
  assertEquals(inputTextureBytes(floats), rig.gpu.bytes - before);
  assertEquals(textures.slots.map(({ texture }) => texture.height), [1, 1, 1, 2]);
  textures.destroy();
  textures.destroy();
  assertEquals(rig.gpu.bytes, before);
});

Deno.test("unmeasured, kernels read textures on software Vulkan alone, where shaders can", () => {
  const reads = (adapterName: string, storageTextures: boolean, tuning?: Gpu["tuning"]) =>
    readsTextures({ adapterName, capabilities: { storageTextures }, tuning } as Gpu);
  assertEquals(reads("llvmpipe (LLVM 15.0.6, 256 bits)", true), true);
  assertEquals(reads("llvmpipe (LLVM 15.0.6, 256 bits)", false), false);
  assertEquals(reads("Apple M2", true), false);
  assertEquals(reads("Apple M2", true, { textures: true, tiles: {} }), true);
  assertEquals(
    reads("llvmpipe (LLVM 15.0.6, 256 bits)", true, { textures: false, tiles: {} }),
    false,
  );
});
