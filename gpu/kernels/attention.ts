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
 *
 * With a softcap s becomes cap * tanh(s / cap), and ds is multiplied by 1 - (s / cap)^2. 1 / sqrt(D) stands
 * for the model's own scale. Queries, keys and values may lie in one row a token, their gradients then too.
 */
import type { Gpu } from "../device.ts";
import { compile, type Kernel, WORKGROUP } from "../pipeline.ts";
import {
  attendedNames,
  type AttentionStorage,
  type AttentionVariant,
  boundName,
  ENTRY,
  header,
  keyLoop,
  loadRows,
  place,
  product,
  range,
  score,
  scoreSlope,
  UNROLL,
  valueOffset,
} from "./attention_parts.ts";

export {
  type AttentionStorage,
  type AttentionVariant,
  attentionVariant,
} from "./attention_parts.ts";

/** q, k and v, or the one matrix they lie in. */
const kept = (v: AttentionVariant) => attendedNames(v).map((name) => `kept ${name}`);
/** What the gradients of q, k and v are called, as bindings; fused they lie in one matrix too. */
const gradients = (v: AttentionVariant, names: readonly string[]) =>
  (v.fused ? ["d_qkv"] : names).map((name) => `read_write ${name} vec4<f32>`);

export function attentionForwardSource(v: AttentionVariant, s: AttentionStorage): string {
  const K = boundName(v, "k"), V = boundName(v, "v"), toValue = valueOffset(v);
  const D4 = range(v.headDim / 4), Q = range(v.queryBlock), U = range(UNROLL);
  const put = (at: string, value: string) =>
    s.storage === "f16" ? `put_o(${at}, ${value});` : `o[${at}] = ${value};`;
  const body = [
    ...U.flatMap((u) => D4.map((d) => `let k${u}_${d} = at_${K}(j${u} + ${d}u);`)),
    ...Q.flatMap((i) =>
      U.map((u) =>
        `let s${i}_${u} = select(-1e30, ${
          score(v, product(v, (d) => `q${i}_${d}`, (d) => `k${u}_${d}`))
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
      ...U.map((u) => `let v${u}_${d} = at_${V}(j${u}${toValue} + ${d}u);`),
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
      ...kept(v),
      "output o",
      "read_write stats vec2<f32>",
    ], s)
  }
${ENTRY}
  let head = gid.y;
  ${loadRows(v, v.queryBlock, "q", boundName(v, "q"), (t) => place(v, "q", t, "head"))}
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

/** The score under a name, where it is needed twice. */
function named(v: AttentionVariant, name: string, dot: string): string[] {
  return v.softcap === undefined ? [] : [`let ${name} = ${score(v, dot)};`];
}

function scored(v: AttentionVariant, name: string, dot: string): string {
  return v.softcap === undefined ? score(v, dot) : name;
}

export function attentionBackwardQuerySource(v: AttentionVariant, s: AttentionStorage): string {
  const K = boundName(v, "k"), V = boundName(v, "v"), toValue = valueOffset(v);
  const dQ = v.fused ? "d_qkv" : "d_q";
  const D4 = range(v.headDim / 4), Q = range(v.queryBlock), U = range(UNROLL);
  const body = [
    ...U.flatMap((u) => D4.map((d) => `let k${u}_${d} = at_${K}(j${u} + ${d}u);`)),
    ...U.flatMap((u) => D4.map((d) => `let v${u}_${d} = at_${V}(j${u}${toValue} + ${d}u);`)),
    ...Q.flatMap((i) =>
      U.flatMap((u) => [
        ...named(v, `s${i}_${u}`, product(v, (d) => `q${i}_${d}`, (d) => `k${u}_${d}`)),
        `let w${i}_${u} = select(0.0, exp(${
          scored(v, `s${i}_${u}`, product(v, (d) => `q${i}_${d}`, (d) => `k${u}_${d}`))
        } - lse${i}), valid${i}_${u});`,
        `let g${i}_${u} = w${i}_${u} * (${
          product(v, (d) => `do${i}_${d}`, (d) => `v${u}_${d}`)
        } - delta${i})${scoreSlope(v, `s${i}_${u}`)};`,
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
      ...kept(v),
      "input d_o",
      "read stats vec2<f32>",
      ...gradients(v, ["d_q"]),
    ], s)
  }
${ENTRY}
  let head = gid.y;
  ${loadRows(v, v.queryBlock, "q", boundName(v, "q"), (t) => place(v, "q", t, "head"))}
  ${loadRows(v, v.queryBlock, "do", "d_o", (t) => `(${t} * HEADS + head) * D4`)}
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
        D4.map((d) =>
          `${dQ}[${place(v, "q", `(t0 + ${i}u)`, "head")} + ${d}u] = dq${i}_${d} * p.scale;`
        )
          .join(" ")
      } }`
    ).join("\n  ")
  }
}
`;
}

/** A token's position in its sequence follows from its mask: the prefix, then its own run. */
const POSITION = `
fn position(t: u32) -> u32 {
  let m = mask[t];
  return m.y - m.x + t - m.z;
}
`;

export function attentionBackwardKeySource(v: AttentionVariant, s: AttentionStorage): string {
  const D4 = range(v.headDim / 4), J = range(v.keyBlock);
  const [dK, dV] = v.fused ? ["d_qkv", "d_qkv"] : ["d_k", "d_v"];
  const windowed = v.slidingWindow !== undefined, query = v.fused ? "at_query" : "at * D4";
  return `${
    header(v, [
      "read blocks u32",
      "read mask vec4<u32>",
      ...kept(v),
      "input d_o",
      "read stats vec2<f32>",
      ...gradients(v, ["d_k", "d_v"]),
    ], s)
  }${windowed ? POSITION : ""}
${ENTRY}
  let head = gid.y;
  ${loadRows(v, v.keyBlock, "k", boundName(v, "k"), (t) => place(v, "k", t, "head"))}
  ${loadRows(v, v.keyBlock, "v", boundName(v, "v"), (t) => place(v, "v", t, "head"))}
  ${
    J.flatMap((i) =>
      D4.map((d) => `var dk${i}_${d} = vec4<f32>(0.0); var dv${i}_${d} = vec4<f32>(0.0);`)
    ).join("\n  ")
  }
  let end = mask[t0].w;
  ${
    windowed
      ? "let position0 = position(t0);\n  "
      : ""
  }for (var h = head * GROUP; h < (head + 1u) * GROUP; h++) {
    for (var t = t0; t < end; t++) {
      ${
    windowed
      ? `let place_t = position(t);
      if (place_t >= position0 + ${v.keyBlock - 1}u + WINDOW) { continue; }
      `
      : ""
  }let at = t * HEADS + h;
      let both = stats[at];
      ${
    v.fused
      ? `let at_query = ${place(v, "q", "t", "h")};
      `
      : ""
  }${
    D4.map((d) =>
      `let q${d} = at_${boundName(v, "q")}(${query} + ${d}u); let do${d} = at_d_o(at * D4 + ${d}u);`
    ).join("\n      ")
  }
      ${
    J.map((i) =>
      `${
        named(
          v,
          `s${i}`,
          product(v, (d) => `q${d}`, (d) => `k${i}_${d}`),
        ).map((line) => `${line}\n      `).join("")
      }let w${i} = select(0.0, exp(${
        scored(v, `s${i}`, product(v, (d) => `q${d}`, (d) => `k${i}_${d}`))
      } - both.x), t >= t0 + ${i}u${windowed ? ` && place_t < position0 + ${i}u + WINDOW` : ""});
      let g${i} = w${i} * (${product(v, (d) => `do${d}`, (d) => `v${i}_${d}`)} - both.y)${
        scoreSlope(v, `s${i}`)
      };
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
    let at${i} = ${place(v, "k", `(t0 + ${i}u)`, "head")};
    ${
        D4.map((d) =>
          `${dK}[at${i} + ${d}u] = dk${i}_${d} * p.scale; ` +
          `${dV}[at${i}${valueOffset(v)} + ${d}u] = dv${i}_${d};`
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
  const { slidingWindow, softcap, fused } = variant;
  const name = `D${headDim} H${heads} K${keyValueHeads} blocks ${queryBlock} ${keyBlock}` +
    (slidingWindow === undefined ? "" : ` window ${slidingWindow}`) +
    (softcap === undefined ? "" : ` softcap ${softcap}`) + (fused ? ` fused ${fused}` : "") +
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
