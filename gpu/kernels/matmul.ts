/**
 * Matrix products, generated: C [m, n] = A B in three forms, all row-major f32.
 *   NT  A [m, k], B [n, k]    y = x W^T      a linear layer, W as Hugging Face stores it
 *   NN  A [m, k], B [k, n]    dx = dy W
 *   TN  A [k, m], B [k, n]    dW = dy^T x
 *
 * An invocation holds `rows` x `4 * columns4` accumulators in registers and walks k in steps of four,
 * unrolled. Eight neighbouring invocations share the same rows of A: with subgroups each of them loads
 * an eighth of those values and the others get them by shuffle. Every output has one accumulator that
 * adds its products in ascending k, so all variants agree in every bit.
 *
 * Strides and k (forms NT, NN) are multiples of four; m and n are free, C's stride covers n rounded
 * up to four.
 */
import type { Gpu } from "../device.ts";
import { compile, type Kernel } from "../pipeline.ts";
import type { Launch } from "../program.ts";

export type MatmulForm = "NN" | "NT" | "TN";
/** What the products are added to: zero, C's own values, or another matrix (a residual). */
export type MatmulInit = "zero" | "output" | "addend";

export interface MatmulVariant {
  readonly form: MatmulForm;
  readonly init: MatmulInit;
  /** A vector [n] is added to every row. */
  readonly bias: boolean;
  /** Rows of an invocation, a multiple of 8. */
  readonly rows: number;
  /** Columns of an invocation / 4. */
  readonly columns4: number;
  readonly subgroups: boolean;
}

const LANES = 8;
const GROUPS = 4;
const WORKGROUP_SIZE = LANES * GROUPS;

function loadA(v: MatmulVariant, slot: number): string {
  if (v.form === "TN") {
    // slot = (k within the step) * (rows / 4) + (four rows)
    const per = v.rows / 4;
    const k = slot / per | 0;
    return `a[(k + ${k}u) * p.lda4 + min(row0 / 4u + ${slot % per}u, last_row / 4u)]`;
  }
  return `a[min(row0 + ${slot}u, last_row) * p.lda4 + k / 4u]`;
}

/** Loads the A values of one step into a0..a{rows-1}: vec4 over k (NT, NN) or over rows (TN). */
function loadRows(v: MatmulVariant): string {
  const slots = v.rows;
  const lines: string[] = [];
  if (!v.subgroups) {
    for (let i = 0; i < slots; i++) lines.push(`let a${i} = ${loadA(v, i)};`);
    return lines.join("\n    ");
  }
  // Each lane loads slots lane, lane + 8, ...; then everybody gets all of them.
  for (let part = 0; part < slots / LANES; part++) {
    if (v.form === "TN") {
      const per = v.rows / 4;
      lines.push(
        `let mine${part} = a[(k + (lane + ${part * LANES}u) / ${per}u) * p.lda4 + ` +
          `min(row0 / 4u + (lane + ${part * LANES}u) % ${per}u, last_row / 4u)];`,
      );
    } else {
      lines.push(
        `let mine${part} = a[min(row0 + lane + ${part * LANES}u, last_row) * p.lda4 + k / 4u];`,
      );
    }
  }
  for (let i = 0; i < slots; i++) {
    lines.push(`let a${i} = subgroupShuffle(mine${i / LANES | 0}, first_lane + ${i % LANES}u);`);
  }
  return lines.join("\n    ");
}

/** Declares b{kk}_{c}: vec4 over columns for each of the four k of a step. */
function loadColumns(v: MatmulVariant): string {
  const lines: string[] = [];
  for (let c = 0; c < v.columns4; c++) {
    if (v.form === "NT") {
      for (let j = 0; j < 4; j++) {
        lines.push(`let t${c}_${j} = b[min(column${c} * 4u + ${j}u, p.n - 1u) * p.ldb4 + k / 4u];`);
      }
      for (const [kk, x] of ["x", "y", "z", "w"].entries()) {
        const parts = [0, 1, 2, 3].map((j) => `t${c}_${j}.${x}`).join(", ");
        lines.push(`let b${kk}_${c} = vec4<f32>(${parts});`);
      }
    } else {
      for (let kk = 0; kk < 4; kk++) {
        const row = v.form === "NN" ? `min(k + ${kk}u, p.b_rows - 1u)` : `(k + ${kk}u)`;
        lines.push(`let b${kk}_${c} = b[${row} * p.ldb4 + min(column${c}, last_column)];`);
      }
    }
  }
  return lines.join("\n    ");
}

/** The multiply-adds of `steps` values of k. */
function multiply(v: MatmulVariant, steps: number): string {
  const lines: string[] = [];
  for (let kk = 0; kk < steps; kk++) {
    for (let i = 0; i < v.rows; i++) {
      const a = v.form === "TN"
        ? `a${kk * v.rows / 4 + (i / 4 | 0)}.${"xyzw"[i % 4]}`
        : `a${i}.${"xyzw"[kk]}`;
      for (let c = 0; c < v.columns4; c++) lines.push(`s${i}_${c} += ${a} * b${kk}_${c};`);
    }
  }
  return lines.join("\n    ");
}

/** The last k of a TN product whose k is no multiple of four, one at a time. */
function tail(v: MatmulVariant): string {
  const lines = ["for (; k < p.k; k++) {"];
  for (let g = 0; g < v.rows / 4; g++) lines.push(`    let a${g} = ${loadA(v, g)};`);
  for (let c = 0; c < v.columns4; c++) {
    lines.push(`    let b0_${c} = b[k * p.ldb4 + min(column${c}, last_column)];`);
  }
  lines.push("    " + multiply(v, 1), "  }");
  return lines.join("\n");
}

/** WGSL of a variant. */
export function matmulSource(v: MatmulVariant): string {
  const each = (line: (i: number, c: number) => string) => {
    const lines: string[] = [];
    for (let i = 0; i < v.rows; i++) for (let c = 0; c < v.columns4; c++) lines.push(line(i, c));
    return lines.join("\n  ");
  };
  const start = (i: number, c: number) => {
    const row = `min(row0 + ${i}u, p.m - 1u)`, column = `min(column${c}, last_column)`;
    const bias = v.bias ? ` + bias[p.column4 + ${column}]` : "";
    if (v.init === "output") return `c_out[${row} * p.ldc4 + p.column4 + ${column}]${bias}`;
    if (v.init === "addend") return `addend[${row} * p.ldc4 + p.column4 + ${column}]${bias}`;
    return `vec4<f32>(0.0)${bias}`;
  };
  const extra = [...(v.init === "addend" ? ["addend"] : []), ...(v.bias ? ["bias"] : [])];
  return `struct P {
  m: u32, n: u32, k: u32, lda4: u32, ldb4: u32, ldc4: u32,
  column4: u32, // first column of C (and of addend and bias) / 4
  b_rows: u32,  // rows of B that exist (NN); A is zero in the others
}
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> c_out: array<vec4<f32>>;
${
    extra.map((name, i) =>
      `@group(0) @binding(${4 + i}) var<storage, read> ${name}: array<vec4<f32>>;`
    ).join("\n")
  }

@compute @workgroup_size(${WORKGROUP_SIZE})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  ${v.subgroups ? "@builtin(subgroup_invocation_id) subgroup_lane: u32," : ""}
) {
  let lane = thread % ${LANES}u;
  ${v.subgroups ? `let first_lane = subgroup_lane & ~${LANES - 1}u;` : ""}
  let row0 = (group.x * ${GROUPS}u + thread / ${LANES}u) * ${v.rows}u;
  let last_row = p.m - 1u;
  let last_column = (p.n + 3u) / 4u - 1u;
  ${
    Array.from(
      { length: v.columns4 },
      (_, c) => `let column${c} = (group.y * ${v.columns4}u + ${c}u) * ${LANES}u + lane;`,
    ).join("\n  ")
  }
  ${each((i, c) => `var s${i}_${c} = ${start(i, c)};`)}
  var k = 0u;
  for (; k + 4u <= p.k; k += 4u) {
    ${loadRows(v)}
    ${loadColumns(v)}
    ${multiply(v, 4)}
  }
  ${v.form === "TN" ? tail(v) : ""}
  ${
    each((i, c) =>
      `if (row0 + ${i}u < p.m && column${c} <= last_column) ` +
      `{ c_out[(row0 + ${i}u) * p.ldc4 + p.column4 + column${c}] = s${i}_${c}; }`
    )
  }
}
`;
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

/** The variant for this adapter. */
export function matmulVariant(
  gpu: Gpu,
  form: MatmulForm,
  init: MatmulInit,
  bias = false,
): MatmulVariant {
  const subgroups = gpu.capabilities.subgroups;
  return { form, init, bias, subgroups, rows: subgroups ? 16 : 8, columns4: 2 };
}

export function matmulKernel(gpu: Gpu, variant: MatmulVariant): Kernel {
  const { form, init, bias, rows, columns4, subgroups } = variant;
  const label = `matmul ${form} ${init}${bias ? " bias" : ""} ${rows}x${columns4 * 4}${
    subgroups ? " subgroups" : ""
  }`;
  return compile(gpu, label, matmulSource(variant), "main");
}

/** Params and grid of a product. */
export function matmulLaunch(variant: MatmulVariant, s: MatmulShape): Launch {
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
    groups: s.m === 0 || s.n === 0 ? [0, 0, 0] : [
      Math.ceil(s.m / (variant.rows * GROUPS)),
      Math.ceil(s.n / (variant.columns4 * 4 * LANES)),
      1,
    ],
    operations: 2 * s.m * s.n * s.k,
  };
}
