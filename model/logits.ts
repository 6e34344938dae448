/** Logits at chosen positions: for generation and tests; training never has them all at once. */
import type { Gpu } from "../gpu/device.ts";
import { Program, type View } from "../gpu/program.ts";
import { type Architecture, headWeight } from "./architecture.ts";
import { addNorm } from "./norm_operations.ts";
import { operandView, Operations, type ParameterStore } from "./operations.ts";

export class Logits {
  readonly #gpu: Gpu;
  readonly #config: Architecture;
  readonly #store: ParameterStore;
  readonly #hidden: View;
  #rows = 0;
  #buffers: GPUBuffer[] = [];
  #program: Program | undefined;

  /** `hidden` [tokens, C]: the output of the last layer. */
  constructor(gpu: Gpu, config: Architecture, store: ParameterStore, hidden: View) {
    this.#gpu = gpu;
    this.#config = config;
    this.#store = store;
    this.#hidden = hidden;
  }

  /** Logits [index.length, V] of the given tokens of the last trunk run. */
  async read(index: Uint32Array): Promise<Float32Array> {
    const { vocabSize: V } = this.#config;
    const stride = Math.ceil(V / 4) * 4;
    const most = Math.max(1, Math.floor(this.#gpu.capabilities.bindingLimit / stride / 4));
    if (index.length > most) {
      const logits = new Float32Array(index.length * V);
      for (let at = 0; at < index.length; at += most) {
        logits.set(await this.read(index.subarray(at, at + most)), at * V);
      }
      return logits;
    }
    if (index.length > this.#rows) this.#build(index.length);
    this.#gpu.write(this.#buffers[0], index);
    this.#program!.run({ rows: index.length });
    const bytes = await this.#gpu.read(this.#buffers.at(-1)!, index.length * stride * 4);
    const padded = this.#capped(new Float32Array(bytes));
    if (stride === V) return padded;
    const logits = new Float32Array(index.length * V);
    for (let i = 0; i < index.length; i++) {
      logits.set(padded.subarray(i * stride, i * stride + V), i * V);
    }
    return logits;
  }

  #capped(logits: Float32Array): Float32Array {
    const { logitSoftcap: cap } = this.#config;
    return cap === null ? logits : logits.map((z) => cap * Math.tanh(z / cap));
  }

  #build(rows: number): void {
    this.destroy();
    this.#rows = rows;
    const { hiddenSize: C, vocabSize: V, normEps: eps } = this.#config;
    const stride = Math.ceil(V / 4) * 4;
    const [index, picked, hidden, inv, logits] = ([
      ["index", 1],
      ["picked rows", C],
      ["normed rows", C],
      ["inv", this.#config.norm === "layer" ? 2 : 1],
      ["logits", stride],
    ] as const).map(([label, width]): View => {
      const buffer = this.#gpu.createBuffer(label, rows * width * 4);
      this.#buffers.push(buffer);
      return { buffer, offset: 0, size: 0 };
    });
    const program = new Program(this.#gpu);
    const o = new Operations(this.#gpu, program, this.#store, inv);
    o.gather(index, this.#hidden, picked, "rows", C);
    const { norm, names } = this.#config;
    addNorm(o, norm, names.finalNorm, { x: picked, y: hidden, inv, rows: "rows", eps });
    const head = o.parameter(headWeight(this.#config));
    for (const part of head.parts) {
      o.matmul({
        form: "NT",
        init: "zero",
        a: hidden,
        b: operandView(this.#store, part),
        c: logits,
        shape: {
          m: "rows",
          n: part.rowEnd - part.rowBegin,
          k: C,
          lda: C,
          ldb: C,
          ldc: stride,
          column: part.rowBegin,
        },
      });
    }
    this.#program = program;
  }

  destroy(): void {
    this.#program?.destroy();
    for (const buffer of this.#buffers) this.#gpu.destroyMemory(buffer);
    this.#buffers = [];
    this.#rows = 0;
  }
}
