/**
 * Matrix products for tests: matrices with strides, with garbage in columns that do not exist and NaN
 * behind B; a product puts C between columns that must stay as they were.
 */
import { assertEquals } from "@std/assert";
import {
  inputFloats,
  type MatmulForm,
  type MatmulInit,
  matmulKernel,
  matmulLaunch,
  type MatmulTile,
  type MatmulVariant,
  tileName,
} from "../../gpu/kernels/matmul.ts";
import type { Input, View } from "../../gpu/program.ts";
import type { Numbers } from "../reference/matmul.ts";
import { Random } from "../reference/random.ts";
import type { Rig } from "./rig.ts";

export const FORMS: readonly MatmulForm[] = ["NT", "NN", "TN"];
export const INITS: readonly MatmulInit[] = ["zero", "output", "addend"];
/** Stands in columns that do not exist, and must change nothing. */
const GARBAGE = 7e7;
/** Columns of C before and behind the result, which must stay as they were. */
const BEFORE = 4, BEHIND = 8;

export const ceil4 = (n: number) => Math.ceil(n / 4) * 4;

/** What a test says of a product besides its form: `textures` is where the rig's kernels read. */
export type Wanted = Partial<Omit<MatmulVariant, "textures">> & { readonly tile: MatmulTile };

/** A variant, by default NT from zero without bias. */
export function variantOf(rig: Rig, wanted: Wanted): MatmulVariant {
  return { form: "NT", init: "zero", bias: false, ...wanted, textures: rig.inTextures };
}

export function label(v: Wanted): string {
  return `${v.form} ${v.init ?? "zero"}${v.bias ? " bias" : ""} ${tileName(v.tile)}`;
}

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

export interface Matrices {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Dense A [m, k], B [k, n], what C starts with [m, n], bias [n]. */
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly start: Float32Array;
  readonly bias: Float32Array;
}

export function matrices(
  shape: readonly [number, number, number],
  seed: number,
  scale = 1,
): Matrices {
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

/** Queues one product; C [m, BEFORE + n rounded up + BEHIND] comes back. */
export function multiply(rig: Rig, wanted: Wanted, x: Matrices): { c: View } {
  const v = variantOf(rig, wanted);
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
  const shape = { m, n, k: k4, lda, ldb, ldc, column: BEFORE, bRows: k };
  const input = (view: View, side: "a" | "b" | "start", inPlace = false): Input => ({
    view,
    floats: () => inputFloats(v.form, shape)[side],
    inPlace,
  });
  const views = [
    input(rig.upload(a), "a"),
    input(rig.upload(extend(b, behind)), "b"),
    v.init === "output" ? input(c, "start", true) : c,
  ];
  if (v.init === "addend") views.push(input(rig.upload(start), "start"));
  if (v.bias) views.push(rig.upload(bias));
  rig.dispatch(matmulKernel(rig.gpu, v), views, matmulLaunch(v, shape));
  return { c };
}

/** The dense [m, n] of C; asserts that everything around it was left alone. */
export function inner(c: Float32Array, { m, n }: Matrices, name: string): Float32Array {
  const ldc = BEFORE + ceil4(n) + BEHIND, dense = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    const row = c.subarray(i * ldc, (i + 1) * ldc);
    dense.set(row.subarray(BEFORE, BEFORE + n), i * n);
    const around = [...row.subarray(0, BEFORE), ...row.subarray(BEFORE + ceil4(n))];
    assertEquals(around.every((x) => x === GARBAGE), true, `${name} wrote beside row ${i}`);
  }
  return dense;
}
