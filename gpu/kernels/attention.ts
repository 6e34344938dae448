/**
 * Causal attention over packed sequences with grouped key/value heads, forward and backward, without
 * storing scores (online softmax forward; backward recomputes them from the log-sum-exp).
 *
 * The mask is data. Token t has mask[t] = (prefixStart, prefixEnd, ownStart, queryEnd): as a query it
 * sees keys [prefixStart, prefixEnd) and [ownStart, t]; as a key it is seen by queries t .. queryEnd - 1
 * and no others. Blocks [first token, count] never cross a sequence, so that a sequence's result does
 * not depend on what else is packed beside it. No sum crosses invocations.
 *
 *   q, o [T, H * D];  k, v [T, K * D];  stats [T, H] = (lse, delta);  D a multiple of 4
 *   s = q k / sqrt(D);  p = exp(s - lse);  o = sum p v
 *   delta = sum over D of do * o;  ds = p (do v - delta);  dq = sum ds k / sqrt(D)
 *   dk = sum ds q / sqrt(D);  dv = sum p do      (sums over the queries, heads of the group outermost)
 */
import type { Gpu } from "../device.ts";
import { inputSource, outputSource } from "../input_textures.ts";
import { compile, type Kernel, WORKGROUP } from "../pipeline.ts";
import { PACK_F16, type Storage } from "../storage.ts";

export interface AttentionVariant {
  readonly headDim: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Queries an invocation holds (forward, dq) and keys an invocation holds (dk, dv). */
  readonly queryBlock: number;
  readonly keyBlock: number;
}

/** Keys (forward, dq) seen in one unrolled step. */
const UNROLL = 4;

/** Blocks as large as registers allow: fewer loads for each multiply. */
export function attentionVariant(
  headDim: number,
  heads: number,
  keyValueHeads: number,
): AttentionVariant {
  const queryBlock = headDim <= 16 ? 4 : headDim <= 64 ? 2 : 1;
  const keyBlock = headDim <= 16 ? 2 : 1;
  return { headDim, heads, keyValueHeads, queryBlock, keyBlock };
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** Where inputs are read, and how q, k, v and o are stored. */
export interface AttentionStorage {
  readonly textures?: boolean;
  readonly storage?: Storage;
}

/**
 * `bindings`: access, name and type of each; "input" or "kept" and a name for what is read as vec4, f32 or
 * as the forward pass stores it; "output" for what it stores.
 */
function header(
  v: AttentionVariant,
  bindings: readonly string[],
  { textures = false, storage: kept }: AttentionStorage,
): string {
  const storage = bindings.map((binding, i) => {
    const [access, name, type] = binding.split(" ");
    if (access === "input") return inputSource(name, i + 1, textures);
    if (access === "kept") return inputSource(name, i + 1, textures, kept);
    if (access === "output" && kept === "f16") return PACK_F16 + outputSource(name, i + 1, kept);
    if (access === "output") {
      return `@group(0) @binding(${i + 1}) var<storage, read_write> ${name}: array<vec4<f32>>;`;
    }
    return `@group(0) @binding(${i + 1}) var<storage, ${access}> ${name}: array<${type}>;`;
  });
  return `struct P { blocks: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: P;
${storage.join("\n")}
const D4 = ${v.headDim / 4}u;
const HEADS = ${v.heads}u;
const KV = ${v.keyValueHeads}u;
const GROUP = ${v.heads / v.keyValueHeads}u;

fn sum4(x: vec4<f32>) -> f32 { return (x.x + x.y) + (x.z + x.w); }
`;
}

const ENTRY = `@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let block = gid.x;
  if (block >= p.blocks) { return; }
  let t0 = blocks[block * 2u];
  let count = blocks[block * 2u + 1u];`;

/** Loads `from[(t0 + i) * heads + head]` into name{i}_{d}; rows past the block repeat its last one. */
function loadRows(
  v: AttentionVariant,
  n: number,
  name: string,
  from: string,
  heads: string,
): string {
  return range(n).flatMap((i) =>
    range(v.headDim / 4).map((d) =>
      `let ${name}${i}_${d} = at_${from}(((t0 + min(${i}u, count - 1u)) * ${heads} + head) * D4 + ${d}u);`
    )
  ).join("\n  ");
}

function product(v: AttentionVariant, left: (d: number) => string, right: (d: number) => string) {
  return `sum4(${range(v.headDim / 4).map((d) => `${left(d)} * ${right(d)}`).join(" + ")})`;
}

/** Both key ranges of a query block, in steps of UNROLL keys; `body` sees keys j0.. and valid{i}_{u}. */
function keyLoop(v: AttentionVariant, body: string): string {
  const valid = range(v.queryBlock).flatMap((i) =>
    range(UNROLL).map((u) => `let valid${i}_${u} = j + ${u}u < end && j + ${u}u <= t0 + ${i}u;`)
  ).join("\n      ");
  return `let bounds = mask[t0];
  for (var phase = 0u; phase < 2u; phase++) {
    let end = select(t0 + count, bounds.y, phase == 0u);
    for (var j = select(bounds.z, bounds.x, phase == 0u); j < end; j += ${UNROLL}u) {
      ${
    range(UNROLL).map((u) => `let j${u} = (min(j + ${u}u, end - 1u) * KV + head / GROUP) * D4;`)
      .join("\n      ")
  }
      ${valid}
      ${body}
    }
  }`;
}

export function attentionForwardSource(v: AttentionVariant, s: AttentionStorage): string {
  const D4 = range(v.headDim / 4), Q = range(v.queryBlock), U = range(UNROLL);
  const put = (at: string, value: string) =>
    s.storage === "f16" ? `put_o(${at}, ${value});` : `o[${at}] = ${value};`;
  const body = [
    ...U.flatMap((u) => D4.map((d) => `let k${u}_${d} = at_k(j${u} + ${d}u);`)),
    ...Q.flatMap((i) =>
      U.map((u) =>
        `let s${i}_${u} = select(-1e30, p.scale * ${
          product(v, (d) => `q${i}_${d}`, (d) => `k${u}_${d}`)
        }, valid${i}_${u});`
      )
    ),
    ...Q.flatMap((i) => [
      `let top${i} = max(max(max(s${i}_0, s${i}_1), max(s${i}_2, s${i}_3)), m${i});`,
      `let shrink${i} = exp(m${i} - top${i});`,
      ...U.map((u) => `let w${i}_${u} = select(0.0, exp(s${i}_${u} - top${i}), valid${i}_${u});`),
      `m${i} = top${i};`,
      `l${i} = l${i} * shrink${i} + ((w${i}_0 + w${i}_1) + (w${i}_2 + w${i}_3));`,
    ]),
    ...D4.flatMap((d) => [
      ...U.map((u) => `let v${u}_${d} = at_v(j${u} + ${d}u);`),
      ...Q.map((i) =>
        `o${i}_${d} = o${i}_${d} * shrink${i}${
          U.map((u) => ` + w${i}_${u} * v${u}_${d}`).join("")
        };`
      ),
    ]),
  ].join("\n      ");
  return `${
    header(v, [
      "read blocks u32",
      "read mask vec4<u32>",
      "kept q",
      "kept k",
      "kept v",
      "output o",
      "read_write stats vec2<f32>",
    ], s)
  }
${ENTRY}
  let head = gid.y;
  ${loadRows(v, v.queryBlock, "q", "q", "HEADS")}
  ${Q.map((i) => `var m${i} = -1e30; var l${i} = 0.0;`).join("\n  ")}
  ${Q.flatMap((i) => D4.map((d) => `var o${i}_${d} = vec4<f32>(0.0);`)).join("\n  ")}
  ${keyLoop(v, body)}
  ${
    Q.map((i) =>
      `if (${i}u < count) {
    let at${i} = (t0 + ${i}u) * HEADS + head;
    stats[at${i}] = vec2<f32>(m${i} + log(l${i}), 0.0);
    ${D4.map((d) => put(`at${i} * D4 + ${d}u`, `o${i}_${d} / l${i}`)).join("\n    ")}
  }`
    ).join("\n  ")
  }
}
`;
}

export function attentionDeltaSource(v: AttentionVariant, s: AttentionStorage): string {
  return `${header(v, ["input d_o", "kept o", "read_write stats vec2<f32>"], s)}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  if (gid.x >= p.blocks) { return; }
  let at = gid.x * HEADS + gid.y;
  var sum = vec4<f32>(0.0);
  for (var d = 0u; d < D4; d++) { sum += at_d_o(at * D4 + d) * at_o(at * D4 + d); }
  stats[at].y = sum4(sum);
}
`;
}

export function attentionBackwardQuerySource(v: AttentionVariant, s: AttentionStorage): string {
  const D4 = range(v.headDim / 4), Q = range(v.queryBlock), U = range(UNROLL);
  const body = [
    ...U.flatMap((u) => D4.map((d) => `let k${u}_${d} = at_k(j${u} + ${d}u);`)),
    ...U.flatMap((u) => D4.map((d) => `let v${u}_${d} = at_v(j${u} + ${d}u);`)),
    ...Q.flatMap((i) =>
      U.flatMap((u) => [
        `let w${i}_${u} = select(0.0, exp(p.scale * ${
          product(v, (d) => `q${i}_${d}`, (d) => `k${u}_${d}`)
        } - lse${i}), valid${i}_${u});`,
        `let g${i}_${u} = w${i}_${u} * (${
          product(v, (d) => `do${i}_${d}`, (d) => `v${u}_${d}`)
        } - delta${i});`,
      ])
    ),
    ...D4.flatMap((d) =>
      Q.map((i) =>
        `dq${i}_${d} = dq${i}_${d}${U.map((u) => ` + g${i}_${u} * k${u}_${d}`).join("")};`
      )
    ),
  ].join("\n      ");
  return `${
    header(v, [
      "read blocks u32",
      "read mask vec4<u32>",
      "kept q",
      "kept k",
      "kept v",
      "input d_o",
      "read stats vec2<f32>",
      "read_write d_q vec4<f32>",
    ], s)
  }
${ENTRY}
  let head = gid.y;
  ${loadRows(v, v.queryBlock, "q", "q", "HEADS")}
  ${loadRows(v, v.queryBlock, "do", "d_o", "HEADS")}
  ${
    Q.map((i) =>
      `let both${i} = stats[(t0 + min(${i}u, count - 1u)) * HEADS + head]; ` +
      `let lse${i} = both${i}.x; let delta${i} = both${i}.y;`
    ).join("\n  ")
  }
  ${Q.flatMap((i) => D4.map((d) => `var dq${i}_${d} = vec4<f32>(0.0);`)).join("\n  ")}
  ${keyLoop(v, body)}
  ${
    Q.map((i) =>
      `if (${i}u < count) { ${
        D4.map((d) => `d_q[((t0 + ${i}u) * HEADS + head) * D4 + ${d}u] = dq${i}_${d} * p.scale;`)
          .join(" ")
      } }`
    ).join("\n  ")
  }
}
`;
}

export function attentionBackwardKeySource(v: AttentionVariant, s: AttentionStorage): string {
  const D4 = range(v.headDim / 4), J = range(v.keyBlock);
  return `${
    header(v, [
      "read blocks u32",
      "read mask vec4<u32>",
      "kept q",
      "kept k",
      "kept v",
      "input d_o",
      "read stats vec2<f32>",
      "read_write d_k vec4<f32>",
      "read_write d_v vec4<f32>",
    ], s)
  }
${ENTRY}
  let head = gid.y;
  ${loadRows(v, v.keyBlock, "k", "k", "KV")}
  ${loadRows(v, v.keyBlock, "v", "v", "KV")}
  ${
    J.flatMap((i) =>
      D4.map((d) => `var dk${i}_${d} = vec4<f32>(0.0); var dv${i}_${d} = vec4<f32>(0.0);`)
    ).join("\n  ")
  }
  let end = mask[t0].w;
  for (var h = head * GROUP; h < (head + 1u) * GROUP; h++) {
    for (var t = t0; t < end; t++) {
      let at = t * HEADS + h;
      let both = stats[at];
      ${
    D4.map((d) => `let q${d} = at_q(at * D4 + ${d}u); let do${d} = at_d_o(at * D4 + ${d}u);`).join(
      "\n      ",
    )
  }
      ${
    J.map((i) =>
      `let w${i} = select(0.0, exp(p.scale * ${
        product(v, (d) => `q${d}`, (d) => `k${i}_${d}`)
      } - both.x), t >= t0 + ${i}u);
      let g${i} = w${i} * (${product(v, (d) => `do${d}`, (d) => `v${i}_${d}`)} - both.y);
      ${
        D4.map((d) => `dv${i}_${d} += w${i} * do${d}; dk${i}_${d} += g${i} * q${d};`).join(
          "\n      ",
        )
      }`
    ).join("\n      ")
  }
    }
  }
  ${
    J.map((i) =>
      `if (${i}u < count) {
    let at${i} = ((t0 + ${i}u) * KV + head) * D4;
    ${
        D4.map((d) =>
          `d_k[at${i} + ${d}u] = dk${i}_${d} * p.scale; d_v[at${i} + ${d}u] = dv${i}_${d};`
        ).join("\n    ")
      }
  }`
    ).join("\n  ")
  }
}
`;
}

export interface AttentionKernels {
  readonly variant: AttentionVariant;
  readonly forward: Kernel;
  readonly delta: Kernel;
  readonly backwardQuery: Kernel;
  readonly backwardKey: Kernel;
}

export function attentionKernels(
  gpu: Gpu,
  variant: AttentionVariant,
  storage: AttentionStorage = {},
): AttentionKernels {
  const { headDim, heads, keyValueHeads, queryBlock, keyBlock } = variant;
  const name = `D${headDim} H${heads} K${keyValueHeads} blocks ${queryBlock} ${keyBlock}` +
    (storage.textures ? " textures" : "") + (storage.storage === "f16" ? " f16" : "");
  const make = (part: string, source: (v: AttentionVariant, s: AttentionStorage) => string) =>
    compile(gpu, `attention ${part} ${name}`, source(variant, storage), "main");
  return {
    variant,
    forward: make("forward", attentionForwardSource),
    delta: make("delta", attentionDeltaSource),
    backwardQuery: make("backward query", attentionBackwardQuerySource),
    backwardKey: make("backward key", attentionBackwardKeySource),
  };
}
