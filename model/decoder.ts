/**
 * A Llama-type decoder as programs over a chunk: trunk (embedding and layers), head (log-probabilities
 * of the scored tokens, never all logits) and backward. Straight-line, forward and backward by hand.
 */
import type { Gpu } from "../gpu/device.ts";
import { attentionKernels, attentionVariant } from "../gpu/kernels/attention.ts";
import { kernel } from "../gpu/kernels/mod.ts";
import { type Kernel, WORKGROUP } from "../gpu/pipeline.ts";
import { f32Bits, groupsFor, Program, type View } from "../gpu/program.ts";
import type { Activations, BackwardScratch, Capacity, LayerActivations } from "./activations.ts";
import type { LlamaConfig } from "./llama_config.ts";
import { Operations, type ParameterStore } from "./operations.ts";
import type { Part } from "./slabs.ts";

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

const EMBEDDING = "model.embed_tokens.weight";

export class Decoder {
  readonly trunk: Program;
  readonly head: Program;
  readonly backward: Program | undefined;
  readonly #gpu: Gpu;
  readonly #config: LlamaConfig;
  readonly #a: Activations;
  readonly #inputs: Inputs;
  readonly #capacity: Capacity;
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
    this.#capacity = capacity;
    this.#store = store;
    this.trunk = this.#trunk();
    this.head = this.#head();
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
    );
  }

  /**
   * One attention dispatch over the blocks named `blocks`, for `heads` heads; `products` multiplies of
   * a query with a key, or of a weight with a value, for each pair of them.
   */
  #attend(
    program: Program,
    kernel: Kernel,
    views: View[],
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

  #rotate(o: Operations, x: View, heads: number, sign: 1 | -1): void {
    const { positions, rotary } = this.#inputs;
    o.rope({ positions, table: rotary, x, heads, headDim: this.#config.headDim, sign });
  }

  #trunk(): Program {
    const program = new Program(this.#gpu);
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
    const views = [inputs.queryBlocks, inputs.mask, a.q, a.k, a.v, a.o, a.stats];
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

  /** Vocabulary chunks: each lies in one part of the head's weight. */
  #vocabularyChunks(o: Operations): { part: Part; begin: number; count: number }[] {
    const chunks = [];
    for (const part of o.parameter(this.#headName()).parts) {
      for (let v = part.rowBegin; v < part.rowEnd; v += this.#capacity.vocabularyChunk) {
        const count = Math.min(this.#capacity.vocabularyChunk, part.rowEnd - v);
        chunks.push({ part, begin: v, count });
      }
    }
    return chunks;
  }

  #headName(): string {
    return this.#config.tieWordEmbeddings ? EMBEDDING : "lm_head.weight";
  }

  /** The rows of a head chunk in the weights or in their gradients. */
  #chunkView(view: View, part: Part, begin: number, count: number): View {
    const rowBytes = this.#config.hiddenSize * 4;
    return {
      buffer: view.buffer,
      offset: view.offset + (begin - part.rowBegin) * rowBytes,
      size: count * rowBytes,
    };
  }

  #logits(o: Operations, part: Part, begin: number, count: number): void {
    const C = this.#config.hiddenSize;
    const weight = this.#chunkView(o.store.weights.view(part), part, begin, count);
    o.matmul("NT", "zero", [this.#a.head.hidden, weight, this.#a.head.logits], {
      m: "scored",
      n: count,
      k: C,
      lda: C,
      ldb: C,
      ldc: this.#capacity.vocabularyChunk,
    });
  }

  #head(): Program {
    const program = new Program(this.#gpu);
    const o = this.#operations(program);
    const a = this.#a.head, C = this.#config.hiddenSize;
    o.gather(this.#inputs.sources, this.#a.last, a.rows, "scored", C);
    o.rmsNorm("model.norm", {
      x: a.rows,
      y: a.hidden,
      inv: a.inv,
      rows: "scored",
      eps: this.#config.rmsNormEps,
    });
    const stride4 = this.#capacity.vocabularyChunk / 4;
    for (const { part, begin, count } of this.#vocabularyChunks(o)) {
      this.#logits(o, part, begin, count);
      program.add(
        kernel(this.#gpu, "log_softmax", "accumulate"),
        [a.logits, this.#inputs.targets, a.running],
        ({ scored }) => ({
          params: [scored, count, stride4, begin],
          groups: groupsFor(scored, WORKGROUP),
          operations: scored * count * 12,
        }),
      );
    }
    program.add(
      kernel(this.#gpu, "log_softmax", "finish"),
      [a.running, a.logps, a.lse],
      ({ scored }) => ({
        params: [scored, 0, 0, 0],
        groups: groupsFor(scored, WORKGROUP),
        operations: scored,
      }),
    );
    return program;
  }

  #backward(): Program {
    const program = new Program(this.#gpu);
    const o = this.#operations(program);
    const scratch = this.#a.scratch!;
    this.#headBackward(o, scratch);
    for (let i = this.#a.layers.length - 1; i >= 0; i--) {
      this.#mlpBackward(o, i, this.#a.layers[i], scratch);
      this.#attentionBackward(o, i, this.#a.layers[i], scratch);
    }
    o.embedBackward(EMBEDDING, this.#inputs.idLists, this.#inputs.idPositions, scratch.dx);
    return program;
  }

  #headBackward(o: Operations, scratch: BackwardScratch): void {
    const a = this.#a.head, C = this.#config.hiddenSize;
    const stride = this.#capacity.vocabularyChunk;
    const chunks = this.#vocabularyChunks(o);
    for (const [i, { part, begin, count }] of chunks.entries()) {
      // A single chunk still holds its logits from the forward pass.
      if (chunks.length > 1) this.#logits(o, part, begin, count);
      o.program.add(
        kernel(this.#gpu, "log_softmax", "backward"),
        [a.logits, this.#inputs.targets, a.lse, this.#inputs.seeds],
        ({ scored }) => ({
          params: [scored, count, stride / 4, begin],
          groups: groupsFor(scored * stride / 4, WORKGROUP),
          operations: scored * count * 10,
        }),
      );
      const weight = this.#chunkView(o.store.weights.view(part), part, begin, count);
      o.matmul("NN", i === 0 ? "zero" : "output", [a.logits, weight, a.dHidden], {
        m: "scored",
        n: C,
        k: Math.ceil(count / 4) * 4,
        bRows: count,
        lda: stride,
        ldb: C,
        ldc: C,
      });
      const gradient = this.#chunkView(o.store.gradients!.view(part), part, begin, count);
      o.matmul("TN", "output", [a.logits, a.hidden, gradient], {
        m: count,
        n: C,
        k: "scored",
        lda: stride,
        ldb: C,
        ldc: C,
      });
    }
    o.program.clear(a.dRows.buffer, ({ scored }) => scored * C * 4);
    o.rmsNormBackward("model.norm", {
      x: a.rows,
      inv: a.inv,
      dy: a.dHidden,
      dx: a.dRows,
      rows: "scored",
      eps: this.#config.rmsNormEps,
    });
    o.program.clear(scratch.dx.buffer, ({ tokens }) => tokens * C * 4);
    const { sourceLists, sourcePositions } = this.#inputs;
    o.gatherBackward(sourceLists, sourcePositions, a.dRows, scratch.dx, C);
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
    this.#attend(o.program, kernels.delta, [dO, a.o, a.stats], each);
    const common = [mask, a.q, a.k, a.v, dO, a.stats];
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
