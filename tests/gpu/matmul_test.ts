/** Matrix products in every form and variant: against float64, and bit by bit against each other. */
import { assertEquals } from "@std/assert";
import {
  type MatmulForm,
  type MatmulInit,
  matmulKernel,
  matmulLaunch,
  type MatmulVariant,
} from "../../gpu/kernels/matmul.ts";
import type { View } from "../../gpu/program.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { type Numbers, product } from "../reference/matmul.ts";
import { Random } from "../reference/random.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const FORMS: readonly MatmulForm[] = ["NT", "NN", "TN"];
const INITS: readonly MatmulInit[] = ["zero", "output", "addend"];
const SUBGROUPS = rig.gpu.capabilities.subgroups ? [true, false] : [false];
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
/** Stands in columns that do not exist, and must change nothing. */
const GARBAGE = 7e7;

const ceil4 = (n: number) => Math.ceil(n / 4) * 4;

function variant(
  form: MatmulForm,
  init: MatmulInit = "zero",
  bias = false,
  subgroups = SUBGROUPS[0],
): MatmulVariant {
  return { form, init, bias, subgroups, rows: subgroups ? 16 : 8, columns4: 2 };
}

/** The smallest tile, which compiles fast. */
const small = (v: MatmulVariant): MatmulVariant => ({ ...v, rows: 8, columns4: 1 });

/** Stores a dense matrix with the given stride, transposed if asked for. */
function store(
  x: Numbers,
  rows: number,
  columns: number,
  { transposed = false, stride = 0, fill = GARBAGE },
): Float32Array {
  const out = new Float32Array((transposed ? columns : rows) * stride).fill(fill);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      out[transposed ? j * stride + i : i * stride + j] = x[i * columns + j];
    }
  }
  return out;
}

/** The same values with `count` NaN behind them. */
function extend(x: Float32Array, count: number): Float32Array {
  const longer = new Float32Array(x.length + count).fill(NaN);
  longer.set(x);
  return longer;
}

interface Matrices {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Dense A [m, k], B [k, n], what C starts with [m, n], bias [n]. */
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly start: Float32Array;
  readonly bias: Float32Array;
}

function matrices(shape: readonly [number, number, number], seed: number, scale = 1): Matrices {
  const [m, n, k] = shape, random = new Random(seed);
  return {
    m,
    n,
    k,
    a: random.normals(m * k, scale),
    b: random.normals(k * n, scale),
    start: random.normals(m * n, scale * scale),
    bias: random.normals(n, scale * scale),
  };
}

/** Columns of C before and behind the result, which must stay as they were. */
const BEFORE = 4, BEHIND = 8;

/** Queues one product; C [m, BEFORE + n rounded up + BEHIND] comes back. */
function multiply(v: MatmulVariant, x: Matrices): { c: View } {
  const { m, n, k } = x, ldc = BEFORE + ceil4(n) + BEHIND;
  const k4 = v.form === "TN" ? k : ceil4(k);
  const lda = v.form === "TN" ? ceil4(m) : k4, ldb = v.form === "NT" ? k4 : ceil4(n);
  // A is zero where k was rounded up; B holds zeros there (NT) or ends before (NN).
  const a = store(x.a, m, k, {
    transposed: v.form === "TN",
    stride: lda,
    fill: v.form === "TN" ? GARBAGE : 0,
  });
  const b = store(x.b, k, n, {
    transposed: v.form === "NT",
    stride: ldb,
    fill: v.form === "NT" ? 0 : GARBAGE,
  });
  // What follows B must not be read, not even to be multiplied by zero.
  const behind = v.form === "NN" ? 3 * ldb : 0;
  const start = new Float32Array(m * ldc).fill(GARBAGE);
  for (let i = 0; i < m; i++) start.set(x.start.subarray(i * n, (i + 1) * n), i * ldc + BEFORE);
  const bias = new Float32Array(BEFORE + ceil4(n));
  bias.set(x.bias, BEFORE);
  const c = rig.upload(v.init === "output" ? start : start.map(() => GARBAGE));
  const views = [rig.upload(a), rig.upload(extend(b, behind)), c];
  if (v.init === "addend") views.push(rig.upload(start));
  if (v.bias) views.push(rig.upload(bias));
  const shape = { m, n, k: k4, lda, ldb, ldc, column: BEFORE, bRows: k };
  rig.dispatch(matmulKernel(rig.gpu, v), views, matmulLaunch(v, shape));
  return { c };
}

/** The dense [m, n] of C; asserts that everything around it was left alone. */
function inner(c: Float32Array, { m, n }: Matrices, name: string): Float32Array {
  const ldc = BEFORE + ceil4(n) + BEHIND, dense = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    const row = c.subarray(i * ldc, (i + 1) * ldc);
    dense.set(row.subarray(BEFORE, BEFORE + n), i * n);
    const around = [...row.subarray(0, BEFORE), ...row.subarray(BEFORE + ceil4(n))];
    assertEquals(around.every((x) => x === GARBAGE), true, `${name} wrote beside row ${i}`);
  }
  return dense;
}

for (const form of FORMS) {
  for (const subgroups of SUBGROUPS) {
    const name = `matmul ${form}${subgroups ? " subgroups" : ""}`;
    Deno.test(`${name} equals float64 at 8 shapes, 5 seeds, 3 scales`, async () => {
      const cases = SHAPES.flatMap((shape, s) =>
        [1, 2, 3, 4, 5].map((seed) =>
          matrices(shape, 100 * s + seed, [1, 1e-3, 1e3, 1, 1][seed - 1])
        )
      );
      const v = variant(form, "zero", false, subgroups);
      const found = await rig.finish(cases.map((x) => multiply(v, x)));
      for (const [i, x] of cases.entries()) {
        const place = `m ${x.m}, n ${x.n}, k ${x.k}, case ${i}`;
        const expected = product(x.a, x.b, x.m, x.n, x.k);
        const bounds = form === "NT" ? FORWARD : BACKWARD;
        assertClose(inner(found[i].c, x, place), expected, bounds, name, place);
      }
    });
  }
}

/** What a model uses, besides `zero`: a residual (NT), and sums over parts (NN) and chunks (TN). */
const USED: Readonly<Record<MatmulForm, MatmulInit>> = { NT: "addend", NN: "output", TN: "output" };

/**
 * Every form, with the given starts and with or without bias, as the smallest tile, and those that a
 * model uses in their own tile too.
 */
function variants(inits: readonly MatmulInit[], biases: readonly boolean[]): MatmulVariant[] {
  return FORMS.flatMap((form) =>
    inits.flatMap((init) =>
      biases.flatMap((bias) =>
        SUBGROUPS.flatMap((subgroups) => {
          const v = variant(form, init, bias, subgroups);
          const used = (init === "zero" || init === USED[form]) && (!bias || form === "NT");
          return used ? [v, small(v)] : [small(v)];
        })
      )
    )
  );
}

const label = (v: MatmulVariant) =>
  `${v.form} ${v.init}${v.bias ? " bias" : ""} ${v.rows}x${v.columns4 * 4}` +
  (v.subgroups ? " subgroups" : "");

/** Asserts equal bits of all variants for one start, which the caller makes the same for all. */
async function agree(list: readonly MatmulVariant[], x: Matrices): Promise<Float32Array> {
  const found = await rig.finish(list.map((v) => multiply(v, x)));
  const first = inner(found[0].c, x, label(list[0]));
  for (const [i, v] of list.entries()) {
    assertSameBits(inner(found[i].c, x, label(v)), first, `${label(v)} against ${label(list[0])}`);
  }
  return first;
}

for (const shape of [[7, 13, 31], [65, 66, 127], [17, 70, 36]] as const) {
  const place = `m, n, k = ${shape}`;
  Deno.test(`all matmul variants agree in every bit, ${place}`, async () => {
    const x = matrices(shape, 7);
    const zero = { ...x, start: x.start.map(() => 0), bias: x.bias.map(() => 0) };
    const plain = await agree(variants(INITS, [false, true]), zero);
    assertClose(plain, product(x.a, x.b, x.m, x.n, x.k), FORWARD, "matmul bits", place);
    await agree(variants(INITS, [true]), { ...x, start: zero.start });
    await agree(variants(["output", "addend"], [false]), x);
    const biased = await agree(variants(["output", "addend"], [true]), x);
    const summed = x.start.map((value, i) => Math.fround(value + x.bias[i % x.n]));
    assertSameBits(
      await agree([small(variant("NT", "output"))], { ...x, start: summed }),
      biased,
      "bias",
    );
  });
}

Deno.test("a row of a product has the same bits alone and among others", async () => {
  const x = matrices([37, 29, 44], 3);
  for (const form of FORMS) {
    const rows = [0, 5, 16, 36];
    const alone = rows.map((i) => ({
      ...x,
      m: 1,
      a: x.a.slice(i * x.k, (i + 1) * x.k),
      start: x.start.slice(i * x.n, (i + 1) * x.n),
    }));
    const found = await rig.finish([x, ...alone].map((one) => multiply(variant(form), one)));
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

Deno.test("a product is an ascending sum in float32, multiply-add fused or not", async () => {
  // Small integers over 2^8: a float64 sum of a float32 and a product is exact, so fusing is emulated.
  const random = new Random(11), m = 9, n = 21, k = 40;
  const coarse = (count: number) =>
    Float32Array.from({ length: count }, () => (random.integer(2 ** 16) - 2 ** 15) / 2 ** 8);
  const x = { ...matrices([m, n, k], 1), a: coarse(m * k), b: coarse(k * n) };
  const [{ c }] = await rig.finish([multiply(variant("NT"), x)]);
  const found = inner(c, x, "NT");
  const matches = [true, false].filter((fused) =>
    ascending(x, fused).every((value, i) => Object.is(value, found[i]))
  );
  assertEquals(matches.length, 1, "neither a fused nor a separate ascending sum has these bits");
});

Deno.test("products without rows or columns are skipped", () => {
  const v = variant("NT");
  const shape = { k: 4, lda: 4, ldb: 4, ldc: 4 };
  assertEquals(matmulLaunch(v, { ...shape, m: 0, n: 3 }).groups, [0, 0, 0]);
  assertEquals(matmulLaunch(v, { ...shape, m: 3, n: 0 }).groups, [0, 0, 0]);
  assertEquals(matmulLaunch(v, { ...shape, m: 65, n: 65 }).groups, [v.subgroups ? 2 : 3, 2, 1]);
});
