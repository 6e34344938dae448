/**
 * Matrix products, generated: C [m, n] = A B in three forms, all row-major, stored as f32 or f16.
 *   NT  A [m, k], B [n, k]    y = x W^T      a linear layer, W as Hugging Face stores it
 *   NN  A [m, k], B [k, n]    dx = dy W
 *   TN  A [k, m], B [k, n]    dW = dy^T x
 *
 * A family of kernels: which of its tiles is fastest depends on the adapter, see `gpu/tuning.ts`. Every
 * output has one accumulator that adds its products in ascending k, so all of them agree in every bit.
 *
 * Strides and k (forms NT, NN) are multiples of four; m and n are free, C's stride covers n rounded
 * up to four.
 */
import type { Gpu } from "../device.ts";
import { compile, type Kernel } from "../pipeline.ts";
import type { Launch } from "../program.ts";
import { LANES, registerSource } from "./matmul_registers.ts";
import { TILE_SIDE, tileSource } from "./matmul_workgroup.ts";

export type MatmulForm = "NN" | "NT" | "TN";
/** What the products are added to: zero, C's own values, or another matrix (a residual). */
export type MatmulInit = "zero" | "output" | "addend";

/** How a kernel divides its work. */
export interface MatmulTile {
  /** Rows of C an invocation holds in registers: multiples of 8, or of 4 with workgroup memory. */
  readonly rows: number;
  /** Columns of C an invocation holds / 4. */
  readonly columns4: number;
  /** Values of k in an unrolled step, 4 or 8 (16 staged at a time with workgroup memory). */
  readonly unroll: number;
  /** Eights of invocations in a workgroup (64 invocations always with workgroup memory). */
  readonly eights: number;
  /**
   * Who shares loaded values: nobody; eight neighbouring invocations, which hold the same rows of A and
   * load an eighth of them each; or a workgroup, which stages a square of A and of B in its memory.
   */
  readonly sharing: "none" | "subgroup" | "workgroup";
}

export interface MatmulVariant {
  readonly form: MatmulForm;
  readonly init: MatmulInit;
  /** A vector [n] is added to every row. */
  readonly bias: boolean;
  readonly tile: MatmulTile;
  /** A, B and what C starts with are read from textures. */
  readonly textures: boolean;
  /** What is stored as f16; C only where it starts with nothing of its own. */
  readonly halves?: readonly ("a" | "b" | "c")[];
}

/** A tile in a few words, the same for the same tile. */
export function tileName(t: MatmulTile): string {
  return `${t.rows}x${t.columns4 * 4} k${t.unroll} ${t.eights * LANES} ${t.sharing}`;
}

export function matmulSource(v: MatmulVariant): string {
  return v.tile.sharing === "workgroup" ? tileSource(v) : registerSource(v);
}

export function matmulKernel(gpu: Gpu, variant: MatmulVariant): Kernel {
  const { form, init, bias, tile, textures, halves = [] } = variant;
  const label = `matmul ${form} ${init}${bias ? " bias" : ""} ${tileName(tile)}` +
    (textures ? " textures" : "") + (halves.length > 0 ? ` f16 ${halves.join(" ")}` : "");
  return compile(gpu, label, matmulSource(variant), "main");
}

export interface MatmulShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Strides in floats. */
  readonly lda: number;
  readonly ldb: number;
  readonly ldc: number;
  /** First column of C. */
  readonly column?: number;
  /** Rows of B that exist, for a k rounded up to four (form NN). */
  readonly bRows?: number;
}

/** Rows and columns of C that a workgroup computes. */
function groupTile({ rows, columns4, eights, sharing }: MatmulTile): [number, number] {
  return sharing === "workgroup"
    ? [rows * TILE_SIDE, columns4 * 4 * TILE_SIDE]
    : [rows * eights, columns4 * 4 * LANES];
}

/** Params and grid of a product. */
export function matmulLaunch({ tile }: MatmulVariant, s: MatmulShape): Launch {
  const [rows, columns] = groupTile(tile);
  return {
    params: [
      s.m,
      s.n,
      s.k,
      s.lda / 4,
      s.ldb / 4,
      s.ldc / 4,
      (s.column ?? 0) / 4,
      s.bRows ?? s.k,
    ],
    groups: s.m === 0 || s.n === 0
      ? [0, 0, 0]
      : [Math.ceil(s.m / rows), Math.ceil(s.n / columns), 1],
    operations: 2 * s.m * s.n * s.k,
  };
}

const ceil4 = (n: number) => Math.ceil(n / 4) * 4;

/**
 * Floats from the first to the last value that a product reads of A, of B and of what C starts with: 0 of
 * A and B without terms (k = 0, C is then what it starts with), 0 of all where C is empty.
 */
export function inputFloats(
  form: MatmulForm,
  s: MatmulShape,
): { a: number; b: number; start: number } {
  if (s.m === 0 || s.n === 0) return { a: 0, b: 0, start: 0 };
  const span = (rows: number, stride: number, columns: number) =>
    rows === 0 || columns === 0 ? 0 : (rows - 1) * stride + columns;
  return {
    a: form === "TN" ? span(s.k, s.lda, ceil4(s.m)) : span(s.m, s.lda, s.k),
    b: form === "NT" ? span(s.n, s.ldb, s.k) : span(s.bRows ?? s.k, s.ldb, ceil4(s.n)),
    start: span(s.m, s.ldc, (s.column ?? 0) + ceil4(s.n)),
  };
}
