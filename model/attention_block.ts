/** The attention half of a layer, forward and backward: norms, projections, rotary embedding, attention. */
import {
  type AttentionKernels,
  attentionKernels,
  type AttentionVariant,
  attentionVariant,
} from "../gpu/kernels/attention.ts";
import { type Kernel, WORKGROUP } from "../gpu/pipeline.ts";
import { f32Bits, type Input, type View } from "../gpu/program.ts";
import type { Extent } from "../gpu/product.ts";
import type { Activations, BackwardScratch, LayerActivations } from "./activations.ts";
import { type Architecture, attentionWidths, layerKind } from "./architecture.ts";
import type { Inputs } from "./decoder.ts";
import { addNorm, addNormBackward } from "./norm_operations.ts";
import { addLinear, addLinearBackward } from "./mlp_block.ts";
import { type Operations, rowsOf } from "./operations.ts";
import type { ActivationName } from "./recompute.ts";

const rows = "tokens";

/** The kernels' variant for a layer. */
function variantOf(config: Architecture, layer: number): AttentionVariant {
  const { headDim, numAttentionHeads, numKeyValueHeads, attentionSoftcap, names } = config;
  const { slidingWindow } = layerKind(config, layer);
  return {
    ...attentionVariant(headDim, numAttentionHeads, numKeyValueHeads),
    slidingWindow: slidingWindow ?? undefined,
    softcap: attentionSoftcap ?? undefined,
    fused: names.layer.queryKeyValue ? names.fusedOrder : undefined,
  };
}

/** Queries or keys: where they lie in a layer's activations and in its gradients. */
interface Turned {
  readonly heads: number;
  /** In values, of the first head in a row of queries, keys and values. */
  readonly offset: number;
}

export class AttentionBlock {
  readonly #config: Architecture;
  readonly #a: Activations;
  readonly #inputs: Inputs;

  constructor(config: Architecture, activations: Activations, inputs: Inputs) {
    this.#config = config;
    this.#a = activations;
    this.#inputs = inputs;
  }

  #name(index: number, part: string | undefined): string {
    return `${this.#config.names.layers}.${index}.${part}`;
  }

  #kernels(o: Operations, index: number): AttentionKernels {
    const textures = o.program.textures !== undefined, { storage } = this.#a;
    return attentionKernels(o.gpu, variantOf(this.#config, index), { textures, storage });
  }

  /**
   * One attention dispatch over the blocks named `blocks`, for `heads` heads; `products` multiplies of
   * a query with a key, or of a weight with a value, for each pair of them.
   */
  #attend(
    o: Operations,
    kernel: Kernel,
    views: readonly (View | Input)[],
    { blocks, heads, products }: { blocks: string; heads: number; products: number },
  ): void {
    const scale = f32Bits(this.#config.attentionScale);
    const { queries } = attentionWidths(this.#config);
    o.program.add(kernel, views, (sizes) => ({
      params: [sizes[blocks], scale],
      groups: [Math.ceil(sizes[blocks] / WORKGROUP), heads, 1],
      operations: 2 * products * sizes.pairs * queries,
    }));
  }

  /** What attention reads of a layer. */
  #attended(a: LayerActivations): Input[] {
    const { queries, keys } = attentionWidths(this.#config);
    if (a.qkv) return [rowsOf(a.qkv, rows, queries + 2 * keys)];
    return [rowsOf(a.q!, rows, queries), rowsOf(a.k!, rows, keys), rowsOf(a.v!, rows, keys)];
  }

  #turned(): readonly [query: Turned, key: Turned] {
    const { numAttentionHeads: H, numKeyValueHeads: K, headDim, names } = this.#config;
    const offset = names.fusedOrder === "heads" ? headDim : H * headDim;
    return [{ heads: H, offset: 0 }, { heads: K, offset }];
  }

  /** Turns queries or keys [tokens, heads * D], or those in a row of both and values. */
  #rotate(o: Operations, layer: number, x: View, { heads, offset }: Turned, sign: 1 | -1): void {
    const { headDim, names } = this.#config, { rotary } = layerKind(this.#config, layer);
    if (rotary === null) return;
    const { positions } = this.#inputs, table = this.#inputs.rotary.get(rotary)!;
    const views = { positions, table, x, heads, headDim, sign };
    const { queries, keys } = attentionWidths(this.#config), { width } = rotary;
    if (names.layer.queryKeyValue) {
      const headStride = names.fusedOrder === "heads" ? 3 * headDim : headDim;
      o.rope({ ...views, place: { width, rowStride: queries + 2 * keys, headStride, offset } });
    } else if (width < headDim) {
      const rowStride = heads * headDim;
      o.rope({ ...views, place: { width, rowStride, headStride: headDim, offset: 0 } });
    } else o.rope(views);
  }

  /** Rows of a norm of queries or keys: tokens, or the heads of all tokens. */
  #normRows(heads: number): Extent {
    return this.#config.qkNorm === "head" ? { size: rows, times: heads } : rows;
  }

  /** From the layer's input to its middle, or of that what is `wanted`. */
  forward(
    o: Operations,
    index: number,
    a: LayerActivations,
    wanted: (name: ActivationName) => boolean,
  ): void {
    const config = this.#config, { layer } = config.names, { norm, normEps: eps } = config;
    if (a.n1 && wanted("n1")) {
      const name = this.#name(index, layer.preAttentionNorm);
      addNorm(o, norm, name, { x: a.x, y: a.n1, inv: a.inv1!, rows, eps });
    }
    this.#projections(o, index, a, wanted);
    if (wanted("o")) {
      const { queryBlocks, mask } = this.#inputs;
      const views = [queryBlocks, mask, ...this.#attended(a), a.o, a.stats];
      const work = { blocks: "queryBlocks", heads: config.numAttentionHeads, products: 2 };
      this.#attend(o, this.#kernels(o, index).forward, views, work);
    }
    const output = this.#name(index, layer.output);
    if (!a.attended) {
      if (wanted("xMid")) addLinear(config, o, output, { x: a.o, y: a.xMid, residual: a.x });
      return;
    }
    if (wanted("attended")) addLinear(config, o, output, { x: a.o, y: a.attended });
    if (wanted("xMid")) {
      const views = { x: a.attended, y: a.xMid, inv: a.invAttended!, residual: a.x, rows, eps };
      addNorm(o, norm, this.#name(index, layer.postAttentionNorm), views);
    }
  }

  /** Queries, keys and values, normed and turned. */
  #projections(
    o: Operations,
    index: number,
    a: LayerActivations,
    wanted: (name: ActivationName) => boolean,
  ): void {
    const config = this.#config, { layer } = config.names, x = a.n1 ?? a.x;
    const [query, key] = this.#turned();
    const linear = (part: string | undefined, y: View) =>
      addLinear(config, o, this.#name(index, part), { x, y });
    if (a.qkv) {
      if (!wanted("qkv")) return;
      linear(layer.queryKeyValue, a.qkv);
      for (const turned of [query, key]) this.#rotate(o, index, a.qkv, turned, 1);
      return;
    }
    const { norm, normEps: eps } = config;
    if (wanted("q")) linear(layer.query, a.qIn ?? a.q!);
    if (wanted("k")) linear(layer.key, a.kIn ?? a.k!);
    if (wanted("v")) linear(layer.value, a.v!);
    if (a.qIn && wanted("q")) {
      const views = { x: a.qIn, y: a.q!, inv: a.invQ!, rows: this.#normRows(query.heads), eps };
      addNorm(o, norm, this.#name(index, layer.queryNorm), views);
    }
    if (a.kIn && wanted("k")) {
      const views = { x: a.kIn, y: a.k!, inv: a.invK!, rows: this.#normRows(key.heads), eps };
      addNorm(o, norm, this.#name(index, layer.keyNorm), views);
    }
    if (wanted("q")) this.#rotate(o, index, a.q!, query, 1);
    if (wanted("k")) this.#rotate(o, index, a.k!, key, 1);
  }

  /**
   * From the gradient of the layer's middle in `dx` to that of its input there; of a parallel layer
   * without what comes through the MLP.
   */
  backward(o: Operations, index: number, a: LayerActivations, s: BackwardScratch): void {
    const config = this.#config, { layer } = config.names, { norm, normEps: eps } = config;
    const branch = a.attended ? s.dBranch! : s.dx, dO = s.dNorm;
    if (a.attended) {
      const views = { x: a.attended, inv: a.invAttended!, dy: s.dx, apart: branch, rows, eps };
      addNormBackward(o, norm, this.#name(index, layer.postAttentionNorm), views);
    }
    const output = { x: a.o, dy: branch, dx: dO, first: true };
    addLinearBackward(config, o, this.#name(index, layer.output), output);
    this.#attentionBackward(o, index, a, s, dO);
    this.#projectionsBackward(o, index, a, s);
    if (!a.n1) return;
    const views = { x: a.x, inv: a.inv1!, dy: s.dNorm, dx: s.dx, rows, eps };
    addNormBackward(o, norm, this.#name(index, layer.preAttentionNorm), views);
  }

  #attentionBackward(
    o: Operations,
    index: number,
    a: LayerActivations,
    s: BackwardScratch,
    dO: View,
  ): void {
    const { numAttentionHeads: H, numKeyValueHeads: K } = this.#config;
    const { queryBlocks, keyBlocks, mask } = this.#inputs;
    const { queries } = attentionWidths(this.#config), kernels = this.#kernels(o, index);
    const d = rowsOf(dO, rows, queries);
    const each = { blocks: rows, heads: H, products: 0 };
    this.#attend(o, kernels.delta, [d, rowsOf(a.o, rows, queries), a.stats], each);
    const common = [mask, ...this.#attended(a), d, a.stats];
    const queryWork = { blocks: "queryBlocks", heads: H, products: 3 };
    const dQuery = s.dqkv ?? s.dq!, dKeyValue = s.dqkv ? [s.dqkv] : [s.dk!, s.dv!];
    this.#attend(o, kernels.backwardQuery, [queryBlocks, ...common, dQuery], queryWork);
    const keyWork = { blocks: "keyBlocks", heads: K, products: 4 };
    this.#attend(o, kernels.backwardKey, [keyBlocks, ...common, ...dKeyValue], keyWork);
    const [query, key] = this.#turned();
    this.#rotate(o, index, dQuery, query, -1);
    this.#rotate(o, index, dKeyValue[0], key, -1);
  }

  #projectionsBackward(
    o: Operations,
    index: number,
    a: LayerActivations,
    s: BackwardScratch,
  ): void {
    const config = this.#config, { layer } = config.names, { norm, normEps: eps } = config;
    const [query, key] = this.#turned();
    if (a.qIn && a.kIn) {
      // In place of what attention gave: nothing else reads it.
      const queries = { x: a.qIn, inv: a.invQ!, dy: s.dq!, rows: this.#normRows(query.heads), eps };
      addNormBackward(o, norm, this.#name(index, layer.queryNorm), queries);
      const keys = { x: a.kIn, inv: a.invK!, dy: s.dk!, rows: this.#normRows(key.heads), eps };
      addNormBackward(o, norm, this.#name(index, layer.keyNorm), keys);
    }
    const x = a.n1 ?? a.x, dx = a.n1 ? s.dNorm : s.dx;
    const parts = [
      [layer.query, s.dq],
      [layer.key, s.dk],
      [layer.value, s.dv],
      [layer.queryKeyValue, s.dqkv],
    ] as const;
    let first = a.n1 !== undefined;
    for (const [part, dy] of parts) {
      if (!dy) continue;
      addLinearBackward(config, o, this.#name(index, part), { x, dy, dx, first });
      first = false;
    }
  }
}
