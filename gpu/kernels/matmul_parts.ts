/** What the kernels of the product family have in common: bindings, starting values, stores. */
import { inPlaceSource, inputSource, outputSource } from "../input_textures.ts";
import { PACK_F16, type Storage } from "../storage.ts";
import type { MatmulVariant } from "./matmul.ts";

function storageOf({ halves = [] }: MatmulVariant, matrix: "a" | "b" | "c"): Storage {
  return halves.includes(matrix) ? "f16" : "f32";
}

/** Params, operands and outputs. */
export function declarations(v: MatmulVariant): string {
  const { textures } = v, addend = v.init === "addend", bias = addend ? 5 : 4;
  const packs = storageOf(v, "c") === "f16";
  return `${packs ? PACK_F16 : ""}struct P {
  m: u32, n: u32, k: u32, lda4: u32, ldb4: u32, ldc4: u32,
  column4: u32, // first column of C (and of addend and bias) / 4
  b_rows: u32,  // rows of B that exist (NN); A is zero in the others
}
@group(0) @binding(0) var<uniform> p: P;
${inputSource("a", 1, textures, storageOf(v, "a"))}
${inputSource("b", 2, textures, storageOf(v, "b"))}
${
    v.init === "output"
      ? inPlaceSource("c_out", 3, textures)
      : packs
      ? outputSource("c_out", 3, "f16")
      : "@group(0) @binding(3) var<storage, read_write> c_out: array<vec4<f32>>;"
  }
${addend ? inputSource("addend", 4, textures) : ""}
${v.bias ? `@group(0) @binding(${bias}) var<storage, read> bias: array<vec4<f32>>;` : ""}`;
}

/** Joins a line for each accumulator of an invocation: row `i`, four columns `c`. */
export function eachAccumulator(
  { tile }: MatmulVariant,
  line: (i: number, c: number) => string,
): string {
  const lines: string[] = [];
  for (let i = 0; i < tile.rows; i++) {
    for (let c = 0; c < tile.columns4; c++) lines.push(line(i, c));
  }
  return lines.join("\n  ");
}

/** Declares the accumulators; WGSL names: `row0`, `column{c}` (in vec4), `last_column`. */
export function startValues(v: MatmulVariant): string {
  return eachAccumulator(v, (i, c) => {
    const row = `min(row0 + ${i}u, p.m - 1u)`, column = `min(column${c}, last_column)`;
    const bias = v.bias ? ` + bias[p.column4 + ${column}]` : "";
    const from = v.init === "output" ? "c_out" : "addend";
    const value = v.init === "zero"
      ? "vec4<f32>(0.0)"
      : `at_${from}(${row} * p.ldc4 + p.column4 + ${column})`;
    return `var s${i}_${c} = ${value}${bias};`;
  });
}

/** Stores the accumulators that belong to C. */
export function stores(v: MatmulVariant): string {
  const packs = storageOf(v, "c") === "f16";
  return eachAccumulator(v, (i, c) => {
    const at = `(row0 + ${i}u) * p.ldc4 + p.column4 + column${c}`;
    const store = packs ? `put_c_out(${at}, s${i}_${c});` : `c_out[${at}] = s${i}_${c};`;
    return `if (row0 + ${i}u < p.m && column${c} <= last_column) { ${store} }`;
  });
}
