/**
 * A Llama-type decoder as programs over a chunk: trunk (embedding and layers), head (see `head.ts`) and
 * backward. Straight-line, forward and backward by hand.
 */
import type { Gpu } from "../gpu/device.ts";
import { attentionKernels, attentionVariant } from "../gpu/kernels/attention.ts";
import { type Kernel, WORKGROUP } from "../gpu/pipeline.ts";
import { f32Bits, type Input, Program, type View } from "../gpu/program.ts";
import type { Activations, BackwardScratch, Capacity, LayerActivations } from "./activations.ts";
import { EMBEDDING, Head } from "./head.ts";
import type { LlamaConfig } from "./llama_config.ts";
import { Operations, type ParameterStore, rowsOf } from "./operations.ts";

/** Integer inputs of a chunk and the rotary table, on the GPU. */
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
  readonly rotary: View;
}

export class Decoder {
  readonly trunk: Program;
  readonly head: Head;
  readonly backward: Program | undefined;
  readonly #gpu: Gpu;
  readonly #config: LlamaConfig;
  readonly #a: Activations;
  readonly #inputs: Inputs;
  readonly #store: ParameterStore;

  constructor(
    gpu: Gpu,
    config: LlamaConfig,
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
      this.#store.textures !== undefined,
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
    const scale = f32Bits(1 / Math.sqrt(this.#config.headDim));
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

  #rotate(o: Operations, x: View, heads: number, sign: 1 | -1): void {
    const { positions, rotary } = this.#inputs;
    o.rope({ positions, table: rotary, x, heads, headDim: this.#config.headDim, sign });
  }

  #trunk(): Program {
    const program = new Program(this.#gpu, this.#store.textures);
    const o = this.#operations(program);
    o.embed(EMBEDDING, this.#inputs.ids, this.#a.layers[0].x, "tokens");
    for (const [i, layer] of this.#a.layers.entries()) {
      this.#layerForward(o, i, layer, this.#a.layers[i + 1]?.x ?? this.#a.last);
    }
    return program;
  }

  #layerForward(o: Operations, index: number, a: LayerActivations, out: View): void {
    const { numAttentionHeads: H, numKeyValueHeads: K, rmsNormEps: eps } = this.#config;
    const name = `model.layers.${index}`, rows = "tokens";
    const inputs = this.#inputs;
    o.rmsNorm(`${name}.input_layernorm`, { x: a.x, y: a.n1, inv: a.inv1, rows, eps });
    o.linear(`${name}.self_attn.q_proj`, a.n1, a.q, rows);
    o.linear(`${name}.self_attn.k_proj`, a.n1, a.k, rows);
    o.linear(`${name}.self_attn.v_proj`, a.n1, a.v, rows);
    this.#rotate(o, a.q, H, 1);
    this.#rotate(o, a.k, K, 1);
    const { q, k, v } = this.#attended(a);
    const views = [inputs.queryBlocks, inputs.mask, q, k, v, a.o, a.stats];
    const work = { blocks: "queryBlocks", heads: H, products: 2 };
    this.#attend(o.program, this.#attention().forward, views, work);
    o.linear(`${name}.self_attn.o_proj`, a.o, a.xMid, rows, a.x);
    o.rmsNorm(`${name}.post_attention_layernorm`, {
      x: a.xMid,
      y: a.n2,
      inv: a.inv2,
      rows,
      eps,
    });
    o.linear(`${name}.mlp.gate_proj`, a.n2, a.gate, rows);
    o.linear(`${name}.mlp.up_proj`, a.n2, a.up, rows);
    o.swiglu(a.gate, a.up, a.h, this.#config.intermediateSize);
    o.linear(`${name}.mlp.down_proj`, a.h, out, rows, a.xMid);
  }

  #backward(): Program {
    const program = new Program(this.#gpu, this.#store.textures);
    const o = this.#operations(program);
    const scratch = this.#a.scratch!;
    this.head.addBackward(o, scratch);
    for (let i = this.#a.layers.length - 1; i >= 0; i--) {
      this.#mlpBackward(o, i, this.#a.layers[i], scratch);
      this.#attentionBackward(o, i, this.#a.layers[i], scratch);
    }
    o.embedBackward(EMBEDDING, this.#inputs.idLists, this.#inputs.idPositions, scratch.dx);
    return program;
  }

  #mlpBackward(o: Operations, index: number, a: LayerActivations, s: BackwardScratch): void {
    const name = `model.layers.${index}`, rows = "tokens";
    o.linearBackward(`${name}.mlp.down_proj`, { x: a.h, dy: s.dx, dx: s.dh, first: true, rows });
    o.swigluBackward(s.dh, a.gate, a.up, this.#config.intermediateSize);
    const dx = s.dNorm;
    o.linearBackward(`${name}.mlp.gate_proj`, { x: a.n2, dy: a.gate, dx, first: true, rows });
    o.linearBackward(`${name}.mlp.up_proj`, { x: a.n2, dy: a.up, dx, rows });
    o.rmsNormBackward(`${name}.post_attention_layernorm`, {
      x: a.xMid,
      inv: a.inv2,
      dy: s.dNorm,
      dx: s.dx,
      rows,
      eps: this.#config.rmsNormEps,
    });
  }

  #attentionBackward(o: Operations, index: number, a: LayerActivations, s: BackwardScratch): void {
    const { numAttentionHeads: H, numKeyValueHeads: K, rmsNormEps: eps } = this.#config;
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
    this.#rotate(o, s.dq, H, -1);
    this.#rotate(o, s.dk, K, -1);
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
