/**
 * What the attention kernels have in common: variants, bindings, where queries, keys and values lie, which
 * keys a query sees, and the capping of scores.
 */
import { inputSource, outputSource } from "../input_textures.ts";
import { WORKGROUP } from "../pipeline.ts";
import { PACK_F16, type Storage } from "../storage.ts";

export interface AttentionVariant {
  readonly headDim: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Queries an invocation holds (forward, dq) and keys an invocation holds (dk, dv). */
  readonly queryBlock: number;
  readonly keyBlock: number;
  /** A query sees keys less than so many positions back; absent: all before it. */
  readonly slidingWindow?: number;
  /** Scores are softcap * tanh(score / softcap); absent: as they are. */
  readonly softcap?: number;
  /**
   * Queries, keys and values of a token lie in one row: all queries, all keys, all values, or query, key
   * and value of one head after the other's. Absent: they are matrices of their own.
   */
  readonly fused?: "blocks" | "heads";
}

/** Keys (forward, dq) seen in one unrolled step. */
export const UNROLL = 4;

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

export const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** Where inputs are read, and how q, k, v and o are stored. */
export interface AttentionStorage {
  readonly textures?: boolean;
  readonly storage?: Storage;
}

/**
 * `bindings`: access, name and type of each; "input" or "kept" and a name for what is read as vec4, f32 or
 * as the forward pass stores it; "output" for what it stores.
 */
export function header(
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
${v.slidingWindow === undefined ? "" : `const WINDOW = ${v.slidingWindow}u;\n`}${
    v.softcap === undefined ? "" : CAP(v.softcap)
  }
fn sum4(x: vec4<f32>) -> f32 { return (x.x + x.y) + (x.z + x.w); }
`;
}

/** Arguments beyond 15 are 1 in f32; some adapters make NaN of large ones. */
const CAP = (cap: number) =>
  `const SOFTCAP: f32 = ${cap};
fn capped(score: f32) -> f32 { return SOFTCAP * tanh(clamp(score / SOFTCAP, -15.0, 15.0)); }
`;

/** The inputs of attention in the order of their bindings. */
export function attendedNames(v: AttentionVariant): readonly string[] {
  return v.fused ? ["qkv"] : ["q", "k", "v"];
}

/** Index in vec4 of the first value of a head's query, key or value; names as they are bound. */
export function place(
  v: AttentionVariant,
  matrix: "q" | "k" | "v",
  token: string,
  head: string,
): string {
  const count = matrix === "q" ? "HEADS" : "KV";
  if (!v.fused) return `(${token} * ${count} + ${head}) * D4`;
  const index = ["q", "k", "v"].indexOf(matrix);
  if (v.fused === "heads") return `((${token} * HEADS + ${head}) * 3u + ${index}u) * D4`;
  const before = ["0u", "HEADS", "HEADS + KV"][index];
  return `(${token} * (HEADS + 2u * KV) + ${before} + ${head}) * D4`;
}

/** What is added to the index of a key to have that of its value. */
export function valueOffset(v: AttentionVariant): string {
  return v.fused === undefined ? "" : v.fused === "heads" ? " + D4" : " + KV * D4";
}

export const boundName = (v: AttentionVariant, matrix: string) => v.fused ? "qkv" : matrix;

export const ENTRY = `@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let block = gid.x;
  if (block >= p.blocks) { return; }
  let t0 = blocks[block * 2u];
  let count = blocks[block * 2u + 1u];`;

/** Loads the rows t0 .. t0 + n - 1 of a head into name{i}_{d}; rows past the block repeat its last one. */
export function loadRows(
  v: AttentionVariant,
  n: number,
  name: string,
  from: string,
  at: (token: string) => string,
): string {
  return range(n).flatMap((i) =>
    range(v.headDim / 4).map((d) =>
      `let ${name}${i}_${d} = at_${from}(${at(`(t0 + min(${i}u, count - 1u))`)} + ${d}u);`
    )
  ).join("\n  ");
}

export function product(
  v: AttentionVariant,
  left: (d: number) => string,
  right: (d: number) => string,
): string {
  return `sum4(${range(v.headDim / 4).map((d) => `${left(d)} * ${right(d)}`).join(" + ")})`;
}

/** The score of a query and a key, from their product. */
export function score(v: AttentionVariant, dot: string): string {
  return v.softcap === undefined ? `p.scale * ${dot}` : `capped(p.scale * ${dot})`;
}

/** What the gradient of a score is multiplied by for that of the product, times the scale. */
export function scoreSlope(v: AttentionVariant, name: string): string {
  return v.softcap === undefined ? "" : ` * (1.0 - (${name} / SOFTCAP) * (${name} / SOFTCAP))`;
}

/** Both key ranges of a query block, in steps of UNROLL keys; `body` sees keys j0.. and valid{i}_{u}. */
export function keyLoop(v: AttentionVariant, body: string): string {
  const windowed = v.slidingWindow !== undefined;
  const near = (i: number, u: number) =>
    windowed ? ` && position0 + ${i}u < WINDOW + j - first + shift + ${u}u` : "";
  const valid = range(v.queryBlock).flatMap((i) =>
    range(UNROLL).map((u) =>
      `let valid${i}_${u} = j + ${u}u < end && j + ${u}u <= t0 + ${i}u${near(i, u)};`
    )
  ).join("\n      ");
  // Keys that the first query does not see, no later one does. Steps begin where they would without a
  // window, so that no size of blocks changes a bit.
  const before = windowed
    ? `let prefix = bounds.y - bounds.x;
  let position0 = prefix + t0 - bounds.z;
  let skipped = position0 + 1u - min(WINDOW, position0 + 1u);
  `
    : "";
  const ranges = windowed
    ? `let first = select(bounds.z, bounds.x, phase == 0u);
    let shift = select(prefix, 0u, phase == 0u);
    let begin = first + (skipped - min(skipped, shift)) / ${UNROLL}u * ${UNROLL}u;
    `
    : "";
  const begin = windowed ? "begin" : "select(bounds.z, bounds.x, phase == 0u)";
  return `let bounds = mask[t0];
  ${before}for (var phase = 0u; phase < 2u; phase++) {
    ${ranges}let end = select(t0 + count, bounds.y, phase == 0u);
    for (var j = ${begin}; j < end; j += ${UNROLL}u) {
      ${
    range(UNROLL).map((u) =>
      `let j${u} = ${place(v, "k", `min(j + ${u}u, end - 1u)`, "head / GROUP")};`
    ).join("\n      ")
  }
      ${valid}
      ${body}
    }
  }`;
}
