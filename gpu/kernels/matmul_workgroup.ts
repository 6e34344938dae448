/**
 * Products through workgroup memory: 8 x 8 invocations stage sixteen k of a block of A and of B at a
 * time, k outermost, and each multiplies its rows with its columns out of them.
 */
import type { MatmulVariant } from "./matmul.ts";
import { declarations, eachAccumulator, startValues, stores } from "./matmul_parts.ts";

/** Invocations along each side of a workgroup. */
export const TILE_SIDE = 8;
const DEPTH = 16;

/** Four values at `at`, turned: four rows of four k become four k of four rows. */
function turn(into: string, base: string, stride: number, load: (j: number) => string): string {
  const rows = [0, 1, 2, 3].map((j) => `let t${j} = ${load(j)};`);
  const columns = ["x", "y", "z", "w"].map((x, kk) =>
    `${into}[${base} + ${kk * stride}u] = vec4<f32>(t0.${x}, t1.${x}, t2.${x}, t3.${x});`
  );
  return [...rows, ...columns].join("\n      ");
}

/** Stages one side: `width4` vec4 for each of DEPTH k, in squares of four by four, shared out. */
function stage(v: MatmulVariant, side: "a" | "b", width4: number): string {
  const squares = width4 * (DEPTH / 4), threads = TILE_SIDE * TILE_SIDE;
  const into = side === "a" ? "tile_a" : "tile_b";
  const first4 = side === "a" ? "first_row4" : "first_column4";
  const stride = side === "a" ? "p.lda4" : "p.ldb4";
  const last = side === "a" ? "last_row" : "(p.n - 1u)";
  const turned = side === "a" ? v.form !== "TN" : v.form === "NT";
  const rows = side === "b" && v.form === "NN" ? "(p.b_rows - 1u)" : "(p.k - 1u)";
  const body = turned
    ? turn(
      into,
      `depth * ${width4}u + four`,
      width4,
      (j) =>
        `at_${side}(min((${first4} + four) * 4u + ${j}u, ${last}) * ${stride} + ` +
        `min(k + depth, p.k - 4u) / 4u)`,
    )
    : [0, 1, 2, 3].map((j) =>
      `${into}[(depth + ${j}u) * ${width4}u + four] = ` +
      `at_${side}(min(k + depth + ${j}u, ${rows}) * ${stride} + ` +
      `min(${first4} + four, ${last} / 4u));`
    ).join("\n      ");
  return `for (var square = thread; square < ${squares}u; square += ${threads}u) {
      let four = square % ${width4}u;
      let depth = square / ${width4}u * 4u;
      ${body}
    }`;
}

/** WGSL of a variant with workgroup memory. */
export function tileSource(v: MatmulVariant): string {
  const { rows, columns4 } = v.tile;
  const rows4 = rows / 4, a4 = rows4 * TILE_SIDE, b4 = columns4 * TILE_SIDE;
  const lines = [
    ...Array.from(
      { length: rows4 },
      (_, g) => `let a${g} = tile_a[kk * ${a4}u + y * ${rows4}u + ${g}u];`,
    ),
    ...Array.from(
      { length: columns4 },
      (_, c) => `let b${c} = tile_b[kk * ${b4}u + ${c * TILE_SIDE}u + x];`,
    ),
    eachAccumulator(v, (i, c) => `s${i}_${c} += a${i / 4 | 0}.${"xyzw"[i % 4]} * b${c};`),
  ];
  const columns = Array.from(
    { length: columns4 },
    (_, c) => `let column${c} = first_column4 + ${c * TILE_SIDE}u + x;`,
  );
  return `${declarations(v)}
var<workgroup> tile_a: array<vec4<f32>, ${DEPTH * a4}>;
var<workgroup> tile_b: array<vec4<f32>, ${DEPTH * b4}>;

@compute @workgroup_size(${TILE_SIDE * TILE_SIDE})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let x = thread % ${TILE_SIDE}u;
  let y = thread / ${TILE_SIDE}u;
  let first_row4 = group.x * ${a4}u;
  let first_column4 = group.y * ${b4}u;
  let row0 = (first_row4 + y * ${rows4}u) * 4u;
  let last_row = p.m - 1u;
  let last_column = (p.n + 3u) / 4u - 1u;
  ${columns.join("\n  ")}
  ${startValues(v)}
  for (var k = 0u; k < p.k; k += ${DEPTH}u) {
    ${stage(v, "a", a4)}
    ${stage(v, "b", b4)}
    workgroupBarrier();
    let depth = min(${DEPTH}u, p.k - k);
    for (var kk = 0u; kk < depth; kk++) {
      ${lines.join("\n      ")}
    }
    workgroupBarrier();
  }
  ${stores(v)}
}
`;
}
