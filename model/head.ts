/**
 * The head of a decoder as programs over a chunk: log-probabilities of the scored tokens out of the last
 * hidden states, a chunk of the vocabulary at a time, never all logits; and their backward pass. A
 * reference that is run beside the policy goes through the same chunks, for mixtures of both logits.
 */
import type { Gpu } from "../gpu/device.ts";
import { kernel } from "../gpu/kernels/mod.ts";
import { type Constants, WORKGROUP } from "../gpu/pipeline.ts";
import { groupsFor, Program, type View } from "../gpu/program.ts";
import { valueBytes } from "../gpu/storage.ts";
import type { Activations, BackwardScratch, Capacity } from "./activations.ts";
import type { Inputs } from "./decoder.ts";
import { type Architecture, headWeight } from "./architecture.ts";
import { addNorm, addNormBackward } from "./norm_operations.ts";
import { operandView, Operations, type ParameterStore, rowsOf } from "./operations.ts";
import { type Part, SPLIT_ROWS } from "./slabs.ts";

/** Four columns at a time that an invocation of log_softmax's backward takes (`PER_THREAD4` in the WGSL). */
const PER_THREAD4 = 8;

export interface HeadParts {
  readonly gpu: Gpu;
  readonly config: Architecture;
  readonly store: ParameterStore;
  readonly activations: Activations;
  readonly inputs: Inputs;
  readonly capacity: Capacity;
}

/** Vocabulary ids `[begin, begin + count)`, all in one part of the head's weight. */
interface Columns {
  readonly part: Part;
  readonly begin: number;
  readonly count: number;
}

/** Buffers of mixtures: `running` two vec4 a scored token, `logps` (plus, minus) of each. */
export interface MixViews {
  readonly running: View;
  readonly logps: View;
}

export class Head {
  readonly #parts: HeadParts;
  /** Sizes: `scored`. Leaves `logps`, `lse` and `logSumP2` of the head's activations. */
  readonly forward: Program;

  constructor(parts: HeadParts) {
    this.#parts = parts;
    this.forward = new Program(parts.gpu, parts.store.textures);
    const o = this.#operations(this.forward);
    this.#addHidden(o);
    for (const columns of this.#columns()) this.#addChunk(o, columns);
    this.#addFinish(o.program);
  }

  /**
   * The forward pass of this head and of a reference's, whose trunk has run over the same chunk, and
   * the mixtures of their logits. Sizes: `scored` and `epsilonBits`, the bits of epsilon.
   */
  withReference(reference: Head, mix: MixViews): Program {
    const { gpu, store, activations, inputs, capacity } = this.#parts;
    const program = new Program(gpu, store.textures);
    const own = this.#operations(program), other = reference.#operations(program);
    this.#addHidden(own);
    reference.#addHidden(other, inputs.sources);
    for (const [mine, its] of this.#commonColumns(reference)) {
      this.#addChunk(own, mine);
      reference.#addChunk(other, its, inputs.targets);
      const logits = [activations.head.logits, reference.#parts.activations.head.logits]
        .map((view) => rowsOf(view, "scored", capacity.vocabularyChunk));
      program.add(
        own.kernel("log_mix", "accumulate", {}, {
          ...this.#softcap("POLICY_SOFTCAP"),
          ...reference.#softcap("OTHER_SOFTCAP"),
        }),
        [...logits, inputs.targets, mix.running],
        ({ scored, epsilonBits }) => ({
          params: [scored, mine.count, capacity.vocabularyChunk / 4, mine.begin, epsilonBits],
          groups: groupsFor(scored, WORKGROUP),
          operations: scored * mine.count * 30,
        }),
      );
    }
    this.#addFinish(program);
    reference.#addFinish(program);
    program.add(kernel(gpu, "log_mix", "finish"), [mix.running, mix.logps], ({ scored }) => ({
      params: [scored, 0, 0, 0, 0],
      groups: groupsFor(2 * scored, WORKGROUP),
      operations: scored,
    }));
    return program;
  }

  #operations(program: Program): Operations {
    const { gpu, store, activations } = this.#parts;
    return new Operations(gpu, program, store, activations.partial);
  }

  /** Hidden states of the scored tokens' sources, normed. */
  #addHidden(o: Operations, sources = this.#parts.inputs.sources): void {
    const { activations, config } = this.#parts;
    const a = activations.head;
    o.gather(sources, activations.last, a.rows, "scored", config.hiddenSize);
    addNorm(o, config.norm, config.names.finalNorm, {
      x: a.rows,
      y: a.hidden,
      inv: a.inv,
      rows: "scored",
      eps: config.normEps,
    });
  }

  /** Vocabulary chunks: each lies in one part of the head's weight. */
  #columns(): Columns[] {
    const { store, capacity } = this.#parts;
    const chunks: Columns[] = [];
    for (const part of store.weights.layout.parameters.get(this.#weightName())!.parts) {
      for (let v = part.rowBegin; v < part.rowEnd; v += capacity.vocabularyChunk) {
        const count = Math.min(capacity.vocabularyChunk, part.rowEnd - v);
        chunks.push({ part, begin: v, count });
      }
    }
    return chunks;
  }

  /** The chunks of two heads over one vocabulary, cut where either is: parts begin at strips. */
  #commonColumns(other: Head): [Columns, Columns][] {
    const [mine, its] = [this.#columns(), other.#columns()];
    const begins = new Set([...mine, ...its].map(({ begin }) => begin));
    const end = mine.at(-1)!.begin + mine.at(-1)!.count;
    const sorted = [...begins].sort((a, b) => a - b);
    const of = (chunks: Columns[], begin: number, count: number): Columns => {
      const { part } = chunks.findLast((chunk) => chunk.begin <= begin)!;
      return { part, begin, count };
    };
    return sorted.map((begin, i) => {
      if (begin % SPLIT_ROWS !== 0) throw new Error(`A vocabulary chunk begins at ${begin}`);
      const count = (sorted[i + 1] ?? end) - begin;
      return [of(mine, begin, count), of(its, begin, count)];
    });
  }

  /** The constant of a kernel that reads this head's logits. */
  #softcap(name: string): Constants {
    const { logitSoftcap } = this.#parts.config;
    return logitSoftcap === null ? {} : { [name]: logitSoftcap };
  }

  #weightName(): string {
    return headWeight(this.#parts.config);
  }

  /** The rows of a chunk in the weights or in their gradients. */
  #chunkView(view: View, { part, begin, count }: Columns): View {
    const rowBytes = this.#parts.config.hiddenSize * valueBytes(view.storage);
    return {
      ...view,
      offset: view.offset + (begin - part.rowBegin) * rowBytes,
      size: count * rowBytes,
    };
  }

  #addLogits(o: Operations, columns: Columns): void {
    const { config, activations, capacity } = this.#parts;
    const weight = this.#chunkView(operandView(o.store, columns.part), columns);
    o.matmul({
      form: "NT",
      init: "zero",
      a: activations.head.hidden,
      b: weight,
      c: activations.head.logits,
      shape: {
        m: "scored",
        n: columns.count,
        k: config.hiddenSize,
        lda: config.hiddenSize,
        ldb: config.hiddenSize,
        ldc: capacity.vocabularyChunk,
      },
    });
  }

  /** Logits of a chunk, folded into the running sums. */
  #addChunk(o: Operations, columns: Columns, targets = this.#parts.inputs.targets): void {
    const { activations, capacity } = this.#parts;
    this.#addLogits(o, columns);
    o.program.add(
      o.kernel("log_softmax", "accumulate", {}, this.#softcap("SOFTCAP")),
      [
        rowsOf(activations.head.logits, "scored", capacity.vocabularyChunk),
        targets,
        activations.head.running,
      ],
      ({ scored }) => ({
        params: [scored, columns.count, capacity.vocabularyChunk / 4, columns.begin],
        groups: groupsFor(scored, WORKGROUP),
        operations: scored * columns.count * 14,
      }),
    );
  }

  #addFinish(program: Program): void {
    const { gpu, activations } = this.#parts;
    const { running, logps, lse, logSumP2 } = activations.head;
    program.add(
      kernel(gpu, "log_softmax", "finish"),
      [running, logps, lse, logSumP2],
      ({ scored }) => ({
        params: [scored, 0, 0, 0],
        groups: groupsFor(scored, WORKGROUP),
        operations: scored,
      }),
    );
  }

  /** From seeds to the gradient of the last hidden states, and of the head's weights. */
  addBackward(o: Operations, scratch: BackwardScratch): void {
    const { config, activations, inputs, capacity } = this.#parts;
    const a = activations.head, C = config.hiddenSize;
    const stride = capacity.vocabularyChunk;
    const chunks = this.#columns();
    for (const [i, columns] of chunks.entries()) {
      const { part, begin, count } = columns;
      // A single chunk still holds its logits from the forward pass.
      if (chunks.length > 1) this.#addLogits(o, columns);
      o.program.add(
        o.kernel("log_softmax", "backward", {}, this.#softcap("SOFTCAP")),
        [rowsOf(a.logits, "scored", stride, true), inputs.targets, a.lse, inputs.seeds],
        ({ scored }) => ({
          params: [scored, count, stride / 4, begin],
          groups: groupsFor(scored * Math.ceil(stride / 4 / PER_THREAD4), WORKGROUP),
          operations: scored * count * 10,
        }),
      );
      const weight = this.#chunkView(operandView(o.store, part), columns);
      o.matmul({
        form: "NN",
        init: i === 0 ? "zero" : "output",
        a: a.logits,
        b: weight,
        c: a.dHidden,
        shape: {
          m: "scored",
          n: C,
          k: Math.ceil(count / 4) * 4,
          bRows: count,
          lda: stride,
          ldb: C,
          ldc: C,
        },
      });
      if (!o.trains(this.#weightName())) continue;
      o.matmul({
        form: "TN",
        init: "output",
        a: a.logits,
        b: a.hidden,
        c: this.#chunkView(o.store.gradients!.view(part), columns),
        shape: { m: count, n: C, k: "scored", lda: stride, ldb: C, ldc: C },
      });
    }
    this.#addHiddenBackward(o, scratch);
  }

  #addHiddenBackward(o: Operations, scratch: BackwardScratch): void {
    const { config, activations, inputs } = this.#parts;
    const a = activations.head, C = config.hiddenSize;
    o.program.clear(a.dRows.buffer, ({ scored }) => scored * C * 4);
    addNormBackward(o, config.norm, config.names.finalNorm, {
      x: a.rows,
      inv: a.inv,
      dy: a.dHidden,
      dx: a.dRows,
      rows: "scored",
      eps: config.normEps,
    });
    o.program.clear(scratch.dx.buffer, ({ tokens }) => tokens * C * 4);
    const { sourceLists, sourcePositions } = inputs;
    o.gatherBackward(sourceLists, sourcePositions, a.dRows, scratch.dx, C);
  }

  destroy(): void {
    this.forward.destroy();
  }
}
