/**
 * Products in registers: an invocation holds `rows` x `4 columns4` accumulators and walks k in unrolled
 * steps. Eight neighbouring invocations share the same rows of A: with subgroups each of them loads an
 * eighth of those values and the others get them by shuffle.
 */
import type { MatmulVariant } from "./matmul.ts";
import { declarations, eachAccumulator, startValues, stores } from "./matmul_parts.ts";

/** Invocations that hold the same rows: half the width of a 16-lane subgroup, all of an 8-lane one. */
export const LANES = 8;

/**
 * The A values of four k from `k` on, as `a{i}`: vec4 over k for each row (NT, NN), or over four rows
 * (TN, slot = k within the four * (rows / 4) + which four rows).
 */
function loadRows(v: MatmulVariant, k: string): string[] {
  const { rows, sharing } = v.tile, per = rows / 4;
  const load = (slot: string) =>
    v.form === "TN"
      ? `at_a((${k} + (${slot}) / ${per}u) * p.lda4 + ` +
        `min(row0 / 4u + (${slot}) % ${per}u, last_row / 4u))`
      : `at_a(min(row0 + ${slot}, last_row) * p.lda4 + ${k} / 4u)`;
  const slots = Array.from({ length: rows }, (_, i) => i);
  if (sharing === "none") return slots.map((i) => `let a${i} = ${load(`${i}u`)};`);
  // Each lane loads slots lane, lane + 8, ...; then everybody gets all of them.
  return [
    ...slots.filter((i) => i % LANES === 0).map((i) =>
      `let mine${i / LANES} = ${load(`lane + ${i}u`)};`
    ),
    ...slots.map((i) =>
      `let a${i} = subgroupShuffle(mine${i / LANES | 0}, first_lane + ${i % LANES}u);`
    ),
  ];
}

/** Declares `b{kk}_{c}`: vec4 over columns for each of the four k from `k` on. */
function loadColumns(v: MatmulVariant, k: string): string[] {
  const lines: string[] = [];
  for (let c = 0; c < v.tile.columns4; c++) {
    if (v.form === "NT") {
      for (let j = 0; j < 4; j++) {
        lines.push(
          `let t${c}_${j} = at_b(min(column${c} * 4u + ${j}u, p.n - 1u) * p.ldb4 + ${k} / 4u);`,
        );
      }
      for (const [kk, x] of ["x", "y", "z", "w"].entries()) {
        const parts = [0, 1, 2, 3].map((j) => `t${c}_${j}.${x}`).join(", ");
        lines.push(`let b${kk}_${c} = vec4<f32>(${parts});`);
      }
    } else {
      for (let kk = 0; kk < 4; kk++) {
        const row = v.form === "NN" ? `min(${k} + ${kk}u, p.b_rows - 1u)` : `(${k} + ${kk}u)`;
        lines.push(`let b${kk}_${c} = at_b(${row} * p.ldb4 + min(column${c}, last_column));`);
      }
    }
  }
  return lines;
}

/**
 * The multiply-adds of `steps` values of k, one accumulator after the other: each is then loaded and
 * stored once a step where there are more of them than registers.
 */
function multiply(v: MatmulVariant, steps: number): string {
  const { rows } = v.tile;
  const a = (kk: number, i: number) =>
    v.form === "TN" ? `a${kk * rows / 4 + (i / 4 | 0)}.${"xyzw"[i % 4]}` : `a${i}.${"xyzw"[kk]}`;
  return eachAccumulator(v, (i, c) => {
    const terms = Array.from(
      { length: steps },
      (_, kk) => `s${i}_${c} += ${a(kk, i)} * b${kk}_${c};`,
    );
    return terms.join(" ");
  });
}

/** A loop over k in steps of `step`, a multiple of four. */
function stepLoop(v: MatmulVariant, step: number): string {
  const fours = Array.from({ length: step / 4 }, (_, q) => {
    const k = q === 0 ? "k" : `(k + ${4 * q}u)`;
    return `{
    ${[...loadRows(v, k), ...loadColumns(v, k)].join("\n    ")}
    ${multiply(v, 4)}
    }`;
  });
  return `for (; k + ${step}u <= p.k; k += ${step}u) {
    ${fours.join("\n    ")}
  }`;
}

/** The last k of a TN product whose k is no multiple of four, one at a time. */
function tail(v: MatmulVariant): string {
  const lines = ["for (; k < p.k; k++) {"];
  for (let g = 0; g < v.tile.rows / 4; g++) {
    lines.push(`    let a${g} = at_a(k * p.lda4 + min(row0 / 4u + ${g}u, last_row / 4u));`);
  }
  for (let c = 0; c < v.tile.columns4; c++) {
    lines.push(`    let b0_${c} = at_b(k * p.ldb4 + min(column${c}, last_column));`);
  }
  lines.push("    " + multiply(v, 1), "  }");
  return lines.join("\n");
}

/** WGSL of a variant without workgroup memory. */
export function registerSource(v: MatmulVariant): string {
  const { rows, columns4, eights, unroll, sharing } = v.tile;
  const shared = sharing === "subgroup";
  const columns = Array.from(
    { length: columns4 },
    (_, c) => `let column${c} = (group.y * ${columns4}u + ${c}u) * ${LANES}u + lane;`,
  );
  return `${declarations(v)}

@compute @workgroup_size(${LANES * eights})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  ${shared ? "@builtin(subgroup_invocation_id) subgroup_lane: u32," : ""}
) {
  let lane = thread % ${LANES}u;
  ${shared ? `let first_lane = subgroup_lane & ~${LANES - 1}u;` : ""}
  let row0 = (group.x * ${eights}u + thread / ${LANES}u) * ${rows}u;
  let last_row = p.m - 1u;
  let last_column = (p.n + 3u) / 4u - 1u;
  ${columns.join("\n  ")}
  ${startValues(v)}
  var k = 0u;
  ${stepLoop(v, unroll)}
  ${unroll > 4 ? stepLoop(v, 4) : ""}
  ${v.form === "TN" ? tail(v) : ""}
  ${stores(v)}
}
`;
}
