/**
 * A Llama-type decoder as programs over a chunk: trunk (embedding and layers), head (see `head.ts`) and
 * backward, which computes again what layers did not keep. Straight-line, forward and backward by hand.
 */
import type { Gpu } from "../gpu/device.ts";
import { attentionKernels, attentionVariant } from "../gpu/kernels/attention.ts";
import { type Kernel, WORKGROUP } from "../gpu/pipeline.ts";
import { f32Bits, type Input, Program, type View } from "../gpu/program.ts";
import type { Activations, BackwardScratch, Capacity, LayerActivations } from "./activations.ts";
import { Head } from "./head.ts";
import { type Architecture, layerKind, type Rotary } from "./architecture.ts";
import { Operations, type ParameterStore, rowsOf } from "./operations.ts";
import { type ActivationName, sharedValues } from "./recompute.ts";

/** Integer inputs of a chunk and the rotary tables, on the GPU. */
export interface Inputs {
  readonly ids: View;
  readonly positions: View;
  readonly mask: View;
  readonly queryBlocks: View;
  readonly keyBlocks: View;
  readonly sources: View;
  readonly targets: View;
  readonly seeds: View;
  readonly idLists: View;
  readonly idPositions: View;
  readonly sourceLists: View;
  readonly sourcePositions: View;
  readonly rotary: ReadonlyMap<Rotary, View>;
}

export class Decoder {
  readonly trunk: Program;
  readonly head: Head;
  readonly backward: Program | undefined;
  readonly #gpu: Gpu;
  readonly #config: Architecture;
  readonly #a: Activations;
  readonly #inputs: Inputs;
  readonly #store: ParameterStore;

  constructor(
    gpu: Gpu,
    config: Architecture,
    store: ParameterStore,
    activations: Activations,
    inputs: Inputs,
    capacity: Capacity,
  ) {
    this.#gpu = gpu;
    this.#config = config;
    this.#a = activations;
    this.#inputs = inputs;
    this.#store = store;
    this.trunk = this.#trunk();
    this.head = new Head({ gpu, config, store, activations, inputs, capacity });
    this.backward = store.gradients ? this.#backward() : undefined;
  }

  #operations(program: Program): Operations {
    return new Operations(this.#gpu, program, this.#store, this.#a.partial);
  }

  #attention() {
    const { headDim, numAttentionHeads, numKeyValueHeads } = this.#config;
    return attentionKernels(
      this.#gpu,
      attentionVariant(headDim, numAttentionHeads, numKeyValueHeads),
      { textures: this.#store.textures !== undefined, storage: this.#a.storage },
    );
  }

  /**
   * One attention dispatch over the blocks named `blocks`, for `heads` heads; `products` multiplies of
   * a query with a key, or of a weight with a value, for each pair of them.
   */
  #attend(
    program: Program,
    kernel: Kernel,
    views: readonly (View | Input)[],
    { blocks, heads, products }: { blocks: string; heads: number; products: number },
  ): void {
    const scale = f32Bits(this.#config.attentionScale);
    const width = this.#config.numAttentionHeads * this.#config.headDim;
    program.add(kernel, views, (sizes) => ({
      params: [sizes[blocks], scale],
      groups: [Math.ceil(sizes[blocks] / WORKGROUP), heads, 1],
      operations: 2 * products * sizes.pairs * width,
    }));
  }

  /** What attention reads of a layer. */
  #attended(a: LayerActivations): { q: Input; k: Input; v: Input } {
    const { headDim, numAttentionHeads, numKeyValueHeads } = this.#config;
    const width = numKeyValueHeads * headDim;
    return {
      q: rowsOf(a.q, "tokens", numAttentionHeads * headDim),
      k: rowsOf(a.k, "tokens", width),
      v: rowsOf(a.v, "tokens", width),
    };
  }

  #rotate(o: Operations, layer: number, x: View, heads: number, sign: 1 | -1): void {
    const { rotary } = layerKind(this.#config, layer);
    if (rotary === null) return;
    const { positions } = this.#inputs, table = this.#inputs.rotary.get(rotary)!;
    o.rope({ positions, table, x, heads, headDim: this.#config.headDim, sign });
  }

  #trunk(): Program {
    const program = new Program(this.#gpu, this.#store.textures);
    const o = this.#operations(program);
    o.embed(
      `${this.#config.names.embedding}.weight`,
      this.#inputs.ids,
      this.#a.layers[0].x,
      "tokens",
    );
    for (const [i, layer] of this.#a.layers.entries()) {
      this.#layerForward(o, i, layer, () => true);
      const out = this.#a.layers[i + 1]?.x ?? this.#a.last;
      o.linear(`model.layers.${i}.mlp.down_proj`, layer.h, out, "tokens", layer.xMid);
    }
    return program;
  }

  /**
   * All of a layer but its output, or of that the values that are `wanted`, when what they are made of
   * is there already.
   */
  #layerForward(
    o: Operations,
    index: number,
    a: LayerActivations,
    wanted: (name: ActivationName) => boolean,
  ): void {
    const { numAttentionHeads: H, numKeyValueHeads: K, normEps: eps } = this.#config;
    const name = `model.layers.${index}`, rows = "tokens";
    const norm = (which: string, x: View, y: View, inv: View) =>
      o.rmsNorm(`${name}.${which}`, { x, y, inv, rows, eps });
    if (wanted("n1")) norm("input_layernorm", a.x, a.n1, a.inv1);
    if (wanted("q")) o.linear(`${name}.self_attn.q_proj`, a.n1, a.q, rows);
    if (wanted("k")) o.linear(`${name}.self_attn.k_proj`, a.n1, a.k, rows);
    if (wanted("v")) o.linear(`${name}.self_attn.v_proj`, a.n1, a.v, rows);
    if (wanted("q")) this.#rotate(o, index, a.q, H, 1);
    if (wanted("k")) this.#rotate(o, index, a.k, K, 1);
    if (wanted("o")) this.#attentionForward(o, a);
    if (wanted("xMid")) o.linear(`${name}.self_attn.o_proj`, a.o, a.xMid, rows, a.x);
    if (wanted("n2")) norm("post_attention_layernorm", a.xMid, a.n2, a.inv2);
    if (wanted("gate")) o.linear(`${name}.mlp.gate_proj`, a.n2, a.gate, rows);
    if (wanted("up")) o.linear(`${name}.mlp.up_proj`, a.n2, a.up, rows);
    if (wanted("h")) o.swiglu(a.gate, a.up, a.h, this.#config.intermediateSize);
  }

  #attentionForward(o: Operations, a: LayerActivations): void {
    const { queryBlocks, mask } = this.#inputs;
    const { q, k, v } = this.#attended(a);
    const views = [queryBlocks, mask, q, k, v, a.o, a.stats];
    const work = { blocks: "queryBlocks", heads: this.#config.numAttentionHeads, products: 2 };
    this.#attend(o.program, this.#attention().forward, views, work);
  }

  #backward(): Program {
    const program = new Program(this.#gpu, this.#store.textures);
    const o = this.#operations(program);
    const { scratch, layers, levels } = this.#a;
    this.head.addBackward(o, scratch!);
    for (let i = layers.length - 1; i >= 0; i--) {
      const shared = sharedValues(levels![i]);
      // What the last layer shares is still there: no layer ran after it.
      if (i < layers.length - 1) {
        this.#layerForward(o, i, layers[i], (name) => shared.has(name));
      }
      this.#mlpBackward(o, i, layers[i], scratch!);
      this.#attentionBackward(o, i, layers[i], scratch!);
    }
    o.embedBackward(
      `${this.#config.names.embedding}.weight`,
      this.#inputs.idLists,
      this.#inputs.idPositions,
      scratch!.dx,
    );
    return program;
  }

  #mlpBackward(o: Operations, index: number, a: LayerActivations, s: BackwardScratch): void {
    const name = `model.layers.${index}`, rows = "tokens";
    o.linearBackward(`${name}.mlp.down_proj`, { x: a.h, dy: s.dx, dx: s.dh, first: true, rows });
    const { dGate, dUp } = this.#gatedBackward(o, a, s);
    const dx = s.dNorm;
    o.linearBackward(`${name}.mlp.gate_proj`, { x: a.n2, dy: dGate, dx, first: true, rows });
    o.linearBackward(`${name}.mlp.up_proj`, { x: a.n2, dy: dUp, dx, rows });
    o.rmsNormBackward(`${name}.post_attention_layernorm`, {
      x: a.xMid,
      inv: a.inv2,
      dy: s.dNorm,
      dx: s.dx,
      rows,
      eps: this.#config.normEps,
    });
  }

  /** Gradients, which are f32, take the place of the gated values only where these are f32 too. */
  #gatedBackward(o: Operations, a: LayerActivations, s: BackwardScratch) {
    const { intermediateSize: F } = this.#config;
    if (!s.dUp) {
      o.swigluBackward(s.dh, a.gate, a.up, F);
      return { dGate: a.gate, dUp: a.up };
    }
    o.swigluBackwardApart(s.dh, a.gate, a.up, s.dUp, F);
    return { dGate: s.dh, dUp: s.dUp };
  }

  #attentionBackward(o: Operations, index: number, a: LayerActivations, s: BackwardScratch): void {
    const { numAttentionHeads: H, numKeyValueHeads: K, normEps: eps } = this.#config;
    const name = `model.layers.${index}`, rows = "tokens";
    const { queryBlocks, keyBlocks, mask } = this.#inputs;
    const dO = s.dNorm;
    const kernels = this.#attention();
    o.linearBackward(`${name}.self_attn.o_proj`, { x: a.o, dy: s.dx, dx: dO, first: true, rows });
    const each = { blocks: "tokens", heads: H, products: 0 };
    const width = H * this.#config.headDim, d = rowsOf(dO, rows, width);
    this.#attend(o.program, kernels.delta, [d, rowsOf(a.o, rows, width), a.stats], each);
    const { q, k, v } = this.#attended(a);
    const common = [mask, q, k, v, d, a.stats];
    const queries = { blocks: "queryBlocks", heads: H, products: 3 };
    this.#attend(o.program, kernels.backwardQuery, [queryBlocks, ...common, s.dq], queries);
    const keys = { blocks: "keyBlocks", heads: K, products: 4 };
    this.#attend(o.program, kernels.backwardKey, [keyBlocks, ...common, s.dk, s.dv], keys);
    this.#rotate(o, index, s.dq, H, -1);
    this.#rotate(o, index, s.dk, K, -1);
    const dx = s.dNorm;
    o.linearBackward(`${name}.self_attn.q_proj`, { x: a.n1, dy: s.dq, dx, first: true, rows });
    o.linearBackward(`${name}.self_attn.k_proj`, { x: a.n1, dy: s.dk, dx, rows });
    o.linearBackward(`${name}.self_attn.v_proj`, { x: a.n1, dy: s.dv, dx, rows });
    o.rmsNormBackward(`${name}.input_layernorm`, {
      x: a.x,
      inv: a.inv1,
      dy: s.dNorm,
      dx: s.dx,
      rows,
      eps,
    });
  }

  destroy(): void {
    this.trunk.destroy();
    this.head.destroy();
    this.backward?.destroy();
  }
}
