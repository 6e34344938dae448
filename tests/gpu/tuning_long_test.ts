/** Measuring kernels: what is tried, what is chosen, when it stops, and that no choice changes a bit. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { openGpu } from "../../gpu/device.ts";
import { tileName } from "../../gpu/kernels/matmul.ts";
import {
  candidateTiles,
  defaultTile,
  productClass,
  readsTextures,
  tileFor,
  type Tuning,
  tuningKey,
  tuningName,
} from "../../gpu/tuning.ts";
import { measureTuning, type ProductSize } from "../../gpu/tuning_measure.ts";
import { assertSameBits } from "../assert_close.ts";
import { engineOf, gradientsOf, randomModel, randomPairs, SMALL } from "../model/small_engine.ts";
import { assertSameTensors, randomSeeds } from "../model/small_engine.ts";

const gpu = await openGpu();
Deno.test.afterAll(() => gpu.destroy());

const SIZES: readonly ProductSize[] = [
  { form: "NT", m: 16, n: 64, k: 32 },
  { form: "NT", m: 16, n: 16, k: 16 },
  { form: "TN", m: 32, n: 512, k: 12 },
];

Deno.test("products of a form and width share a tile; what is measured replaces the default", () => {
  const name = productClass("NN", 511);
  assertNotEquals(productClass("NN", 512), name);
  assertNotEquals(productClass("NT", 511), name);
  const tile = candidateTiles(gpu).at(-1)!;
  assertNotEquals(tileName(tile), tileName(defaultTile(gpu)));
  gpu.tuning = { textures: false, tiles: { [name]: tile } };
  assertEquals(tileFor(gpu, "NN", 4), tile);
  assertEquals(tileFor(gpu, "NN", 512), defaultTile(gpu));
  assertEquals(tileFor(gpu, "TN", 4), defaultTile(gpu));
  assertEquals(readsTextures(gpu), false);
  const named = tuningName(gpu);
  assert(named.includes(tileName(tile)) && named.includes("buffers"), named);
  gpu.tuning = undefined;
  assertEquals(tuningName(gpu), "");
  assertEquals(readsTextures(gpu), gpu.capabilities.storageTextures);
});

Deno.test("at most eight kernels are tried for a class, all different", async () => {
  const without = await openGpu({ subgroups: false });
  for (const one of [gpu, without]) {
    const names = [defaultTile(one), ...candidateTiles(one)].map(tileName);
    assertEquals(names[0], names[1], "the default is the likeliest");
    assertEquals(new Set(names).size, names.length - 1);
    assert(names.length - 1 <= 8, `${names.length - 1} tiles`);
  }
  assert(candidateTiles(without).every(({ sharing }) => sharing !== "subgroup"));
  assertNotEquals(tuningKey(without), tuningKey(gpu));
  without.destroy();
});

Deno.test("every class gets a tile, by its largest product", async () => {
  const before = gpu.bytes;
  const { tuning, measured, complete } = await measureTuning(gpu, SIZES);
  assertEquals(Object.keys(tuning.tiles).sort(), ["NT narrow", "TN wide"]);
  assertEquals(complete, true);
  const tiles = candidateTiles(gpu).length;
  // The default with both inputs first, then each tile at most once a class.
  assert(measured >= 2 + tiles + 1 && measured <= 2 + 2 * tiles, `${measured} measured`);
  assertEquals(gpu.bytes, before, "everything is freed");
});

Deno.test("when time is up no kernel is started any more, and defaults stay", async () => {
  let now = 0;
  // Each look at the clock takes 12 seconds: the third tile of the first class is not begun.
  const { tuning, measured, complete } = await measureTuning(gpu, SIZES, () => now += 12);
  assertEquals(complete, false);
  assert(measured <= 4, `${measured} measured`);
  assertEquals(tuning.tiles["TN wide"], undefined);
});

Deno.test("a model runs the same bits in every tile, in textures and in buffers", async () => {
  const model = randomModel(SMALL, 5), pairs = randomPairs(6, 3, SMALL.vocabSize);
  const run = async (tuning: Tuning | undefined) => {
    gpu.tuning = tuning;
    const engine = await engineOf(gpu, model);
    const scores = await engine.score(pairs);
    await engine.learn(pairs, randomSeeds(7, scores));
    const gradients = await gradientsOf(engine), { fingerprint } = engine;
    engine.destroy();
    return { logps: scores.logps, gradients, fingerprint };
  };
  const plain = await run(undefined);
  const small = candidateTiles(gpu).filter(({ rows, columns4 }) => rows * columns4 <= 16);
  assert(small.length >= 2);
  for (const [i, tile] of small.entries()) {
    const classes = [4, 512].flatMap((n) =>
      (["NN", "NT", "TN"] as const).map((form) => [productClass(form, n), tile])
    );
    const tuned = await run({ textures: i % 2 === 0, tiles: Object.fromEntries(classes) });
    assertSameBits(tuned.logps, plain.logps, tileName(tile));
    assertSameTensors(tuned.gradients, plain.gradients, tileName(tile));
    assertNotEquals(tuned.fingerprint, plain.fingerprint);
  }
  gpu.tuning = undefined;
});
