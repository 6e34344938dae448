/** What the kernels of the product family have in common: bindings, starting values, stores. */
import { inPlaceSource, inputSource } from "../input_textures.ts";
import type { MatmulVariant } from "./matmul.ts";

/** Params, operands and outputs. */
export function declarations(v: MatmulVariant): string {
  const { textures } = v, addend = v.init === "addend", bias = addend ? 5 : 4;
  return `struct P {
  m: u32, n: u32, k: u32, lda4: u32, ldb4: u32, ldc4: u32,
  column4: u32, // first column of C (and of addend and bias) / 4
  b_rows: u32,  // rows of B that exist (NN); A is zero in the others
}
@group(0) @binding(0) var<uniform> p: P;
${inputSource("a", 1, textures)}
${inputSource("b", 2, textures)}
${
    v.init === "output"
      ? inPlaceSource("c_out", 3, textures)
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
  return eachAccumulator(
    v,
    (i, c) =>
      `if (row0 + ${i}u < p.m && column${c} <= last_column) ` +
      `{ c_out[(row0 + ${i}u) * p.ldc4 + p.column4 + column${c}] = s${i}_${c}; }`,
  );
}
