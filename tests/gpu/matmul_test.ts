/** Matrix products as a model runs them: against float64, and in which order they add. */
import { assertEquals } from "@std/assert";
import type { Gpu } from "../../gpu/device.ts";
import { inputFloats, matmulLaunch, type MatmulTile } from "../../gpu/kernels/matmul.ts";
import { defaultTile } from "../../gpu/tuning.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { product } from "../reference/matmul.ts";
import { Random } from "../reference/random.ts";
import {
  FORMS,
  inner,
  label,
  type Matrices,
  matrices,
  multiply,
  variantOf,
  type Wanted,
} from "./matmul_cases.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const TILE = defaultTile(rig.gpu);
/** The tile of an adapter without subgroups. */
const PLAIN = defaultTile({ capabilities: { ...rig.gpu.capabilities, subgroups: false } } as Gpu);
/** m, n, k: one, primes, one below and above a tile of 64 x 64, one row, one column, wide. */
const SHAPES = [
  [1, 1, 4],
  [7, 13, 31],
  [31, 47, 123],
  [63, 63, 32],
  [65, 65, 36],
  [1, 130, 64],
  [130, 1, 7],
  [123, 5, 13],
] as const;

async function assertAccurate(v: Wanted): Promise<void> {
  const cases = SHAPES.flatMap((shape, s) =>
    [1, 2, 3, 4, 5].map((seed) => matrices(shape, 100 * s + seed, [1, 1e-3, 1e3, 1, 1][seed - 1]))
  );
  const found = await rig.finish(cases.map((x) => multiply(rig, v, x)));
  for (const [i, x] of cases.entries()) {
    const place = `m ${x.m}, n ${x.n}, k ${x.k}, case ${i}`;
    const expected = product(x.a, x.b, x.m, x.n, x.k);
    const bounds = v.form === "NT" ? FORWARD : BACKWARD;
    assertClose(inner(found[i].c, x, place), expected, bounds, `matmul ${label(v)}`, place);
  }
}

for (const form of FORMS) {
  const title = (tile: MatmulTile) =>
    `matmul ${label({ form, tile })} equals float64 at 8 shapes, 5 seeds, 3 scales`;
  rig.test(title(TILE), () => assertAccurate({ form, tile: TILE }));
  if (rig.gpu.capabilities.subgroups) {
    Deno.test(title(PLAIN), () => assertAccurate({ form, tile: PLAIN }));
  }
}

rig.test("a row of a product has the same bits alone and among others", async () => {
  const x = matrices([37, 29, 44], 3);
  for (const form of FORMS) {
    const rows = [0, 5, 16, 36];
    const alone = rows.map((i) => ({
      ...x,
      m: 1,
      a: x.a.slice(i * x.k, (i + 1) * x.k),
      start: x.start.slice(i * x.n, (i + 1) * x.n),
    }));
    const queue = (one: Matrices) => multiply(rig, { form, tile: TILE }, one);
    const found = await rig.finish([x, ...alone].map(queue));
    const all = inner(found[0].c, x, form);
    for (const [at, i] of rows.entries()) {
      const row = inner(found[at + 1].c, alone[at], form);
      assertSameBits(row, all.slice(i * x.n, (i + 1) * x.n), `${form} row ${i}`);
    }
  }
});

/** Sums in ascending k, each product rounded or fused with its addition. */
function ascending(x: Matrices, fused: boolean): Float32Array {
  const c = new Float32Array(x.m * x.n);
  for (let i = 0; i < x.m; i++) {
    for (let j = 0; j < x.n; j++) {
      let sum = 0;
      for (let l = 0; l < x.k; l++) {
        const term = x.a[i * x.k + l] * x.b[l * x.n + j];
        sum = Math.fround(sum + (fused ? term : Math.fround(term)));
      }
      c[i * x.n + j] = sum;
    }
  }
  return c;
}

rig.test("a product is an ascending sum in float32, multiply-add fused or not", async () => {
  // Small integers over 2^8: a float64 sum of a float32 and a product is exact, so fusing is emulated.
  const random = new Random(11), m = 9, n = 21, k = 40;
  const coarse = (count: number) =>
    Float32Array.from({ length: count }, () => (random.integer(2 ** 16) - 2 ** 15) / 2 ** 8);
  const x = { ...matrices([m, n, k], 1), a: coarse(m * k), b: coarse(k * n) };
  const [{ c }] = await rig.finish([multiply(rig, { form: "NT", tile: TILE }, x)]);
  const found = inner(c, x, "NT");
  const matches = [true, false].filter((fused) =>
    ascending(x, fused).every((value, i) => Object.is(value, found[i]))
  );
  assertEquals(matches.length, 1, "neither a fused nor a separate ascending sum has these bits");
});

rig.test("a product without terms leaves what it starts with", async () => {
  const x = matrices([7, 13, 0], 4);
  const list = FORMS.flatMap((form): Wanted[] => [
    { form, init: form === "NT" ? "addend" : "output", tile: TILE },
  ]);
  const found = await rig.finish(list.map((v) => multiply(rig, v, x)));
  for (const [i, v] of list.entries()) {
    assertSameBits(inner(found[i].c, x, label(v)), x.start, label(v));
  }
});

Deno.test("what a product reads of its matrices ends with their last values", () => {
  // Strides leave room for other columns; C's first column is its eighth.
  const shape = { m: 5, n: 6, k: 8, lda: 12, ldb: 20, ldc: 28, column: 8 };
  assertEquals(inputFloats("NT", shape), { a: 4 * 12 + 8, b: 5 * 20 + 8, start: 4 * 28 + 8 + 8 });
  assertEquals(inputFloats("NN", shape), { a: 4 * 12 + 8, b: 7 * 20 + 8, start: 4 * 28 + 8 + 8 });
  assertEquals(inputFloats("TN", shape), { a: 7 * 12 + 8, b: 7 * 20 + 8, start: 4 * 28 + 8 + 8 });
  // The last row that exists, where k was rounded up.
  assertEquals(inputFloats("NN", { ...shape, bRows: 6 }).b, 5 * 20 + 8);
  assertEquals(inputFloats("TN", { ...shape, k: 0 }), { a: 0, b: 0, start: 4 * 28 + 8 + 8 });
  assertEquals(inputFloats("NN", { ...shape, n: 0 }), { a: 0, b: 0, start: 0 });
});

Deno.test("a grid covers C, and products without rows or columns are skipped", () => {
  const groups = (tile: MatmulTile, m: number, n: number) =>
    matmulLaunch(variantOf(rig, { tile }), { m, n, k: 4, lda: 4, ldb: 4, ldc: 4 }).groups;
  assertEquals(groups(TILE, 0, 3), [0, 0, 0]);
  assertEquals(groups(TILE, 3, 0), [0, 0, 0]);
  const tile: MatmulTile = { rows: 16, columns4: 2, unroll: 4, eights: 4, sharing: "none" };
  assertEquals(groups(tile, 64, 64), [1, 1, 1]);
  assertEquals(groups(tile, 65, 65), [2, 2, 1]);
  assertEquals(groups({ ...tile, eights: 1 }, 65, 65), [5, 2, 1]);
  assertEquals(groups({ ...tile, rows: 8, columns4: 1 }, 65, 65), [3, 3, 1]);
  assertEquals(groups({ ...tile, rows: 4, sharing: "workgroup" }, 64, 65), [2, 2, 1]);
});
