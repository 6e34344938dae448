/** Attention over packs as a model runs it, for the tests of its kernels. */
import {
  attentionKernels,
  type AttentionVariant,
  attentionVariant,
} from "../../gpu/kernels/attention.ts";
import type { Kernel } from "../../gpu/pipeline.ts";
import { WORKGROUP } from "../../gpu/pipeline.ts";
import { f32Bits, type Input, type Program, type View } from "../../gpu/program.ts";
import type { Storage } from "../../gpu/storage.ts";
import type { TokenizedExample } from "../../model/engine.ts";
import { blocksOf, type Pack, packExamples } from "../../model/pack.ts";
import type { AttentionShape } from "../reference/attention.ts";
import type { Rig } from "./rig.ts";

export interface Heads {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
}

/** q, k, v and the gradient of o for one pack. */
export interface AttentionInputs {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly dO: Float32Array;
  /** What the backward pass finds as o; absent: what the forward pass left there. */
  readonly o?: Float32Array;
}

/** A pack whose examples have the given lengths: [prompt, answer, answer, ...]; ids do not matter. */
export function packOf(lengths: readonly (readonly number[])[], sharePrompt = true): Pack {
  const examples = lengths.map(([prompt, ...answers], row): TokenizedExample => ({
    row,
    prompt: new Uint32Array(prompt),
    answers: answers.map((n) => ({ ids: new Uint32Array(n), scoredFrom: n })),
  }));
  return packExamples(examples, sharePrompt);
}

export function shapeOf(pack: Pack, heads: Heads): AttentionShape {
  return { ...heads, tokens: pack.tokens, mask: pack.mask };
}

/** The variant a model takes, or one with other blocks. */
export function variantOf(h: Heads, queryBlock?: number, keyBlock?: number): AttentionVariant {
  const v = attentionVariant(h.headDim, h.heads, h.keyValueHeads);
  return { ...v, queryBlock: queryBlock ?? v.queryBlock, keyBlock: keyBlock ?? v.keyBlock };
}

/** Where value d of a head's query (0), key (1) or value (2) lies in a fused row of a token. */
export function fusedIndex(v: AttentionVariant, which: 0 | 1 | 2, head: number, d: number): number {
  const { heads: H, keyValueHeads: K, headDim: D } = v;
  if (v.fused === "heads") return (3 * head + which) * D + d;
  return ([0, H, H + K][which] + head) * D + d;
}

/** Rows of queries, keys and values. */
export function fuse(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  variant: AttentionVariant,
): Float32Array {
  const { heads: H, keyValueHeads: K, headDim: D } = variant, width = (H + 2 * K) * D;
  const rows = new Float32Array(q.length / (H * D) * width);
  for (const [which, data] of [q, k, v].entries()) {
    const heads = which === 0 ? H : K;
    for (const [i, value] of data.entries()) {
      const token = Math.floor(i / (heads * D)), head = Math.floor(i / D) % heads;
      rows[token * width + fusedIndex(variant, which as 0 | 1 | 2, head, i % D)] = value;
    }
  }
  return rows;
}

export type AttentionResult = "o" | "stats" | "dq" | "dk" | "dv";

/**
 * Queues forward and backward of one pack; stats is [tokens, heads] of (lse, delta). `storage` is that of
 * q, k, v and o. Of a fused variant dq, dk and dv are the same rows of all three.
 */
export function attend(
  rig: Rig,
  pack: Pack,
  variant: AttentionVariant,
  x: AttentionInputs,
  storage: Storage = "f32",
): Record<AttentionResult, View> {
  const { heads, keyValueHeads, headDim } = variant;
  const kernels = attentionKernels(rig.gpu, variant, { textures: rig.inTextures, storage });
  const queries = blocksOf(pack, variant.queryBlock), keys = blocksOf(pack, variant.keyBlock);
  const queryBlocks = rig.upload(queries), keyBlocks = rig.upload(keys);
  const mask = rig.upload(pack.mask);
  const matrices = variant.fused ? [fuse(x.q, x.k, x.v, variant)] : [x.q, x.k, x.v];
  const attended = matrices.map((data) => rig.input(rig.store(data, storage)));
  const dO = rig.input(rig.upload(x.dO));
  // Results start as garbage: everything must be written.
  const garbage = (like: Float32Array) => rig.upload(like.map(() => 7e7));
  const o = rig.store(x.q.map(() => 6e4), storage),
    gradients = matrices.map(garbage);
  const [dq, dk, dv] = variant.fused ? Array<View>(3).fill(gradients[0]) : gradients;
  const stats = rig.zeros(pack.tokens * heads * 2);
  const scale = f32Bits(1 / Math.sqrt(headDim));
  const add = (
    program: Program,
    kernel: Kernel,
    views: readonly (View | Input)[],
    blocks: number,
    perHead: number,
  ) =>
    program.add(kernel, views, () => ({
      params: [blocks, scale],
      groups: [Math.ceil(blocks / WORKGROUP), perHead, 1],
      operations: 1,
    }));
  rig.run((program) => {
    const common = [mask, ...attended];
    const queryCount = queries.length / 2, keyCount = keys.length / 2;
    add(program, kernels.forward, [queryBlocks, ...common, o, stats], queryCount, heads);
    add(
      program,
      kernels.delta,
      [dO, rig.input(x.o ? rig.upload(x.o) : o), stats],
      pack.tokens,
      heads,
    );
    const views = [...common, dO, stats];
    add(program, kernels.backwardQuery, [queryBlocks, ...views, dq], queryCount, heads);
    add(
      program,
      kernels.backwardKey,
      [keyBlocks, ...views, ...gradients.slice(variant.fused ? 0 : 1)],
      keyCount,
      keyValueHeads,
    );
  });
  return { o, stats, dq, dk, dv };
}
