/** The buffers of one chunk: what forward keeps for backward, and the scratch both use. */
import type { Gpu } from "../gpu/device.ts";
import { BLOCK_ROWS } from "../gpu/kernels/mod.ts";
import type { View } from "../gpu/program.ts";
import type { LlamaConfig } from "./llama_config.ts";
import { SPLIT_ROWS } from "./slabs.ts";

/** Capacities of a chunk. */
export interface Capacity {
  readonly tokens: number;
  readonly scored: number;
  /** Vocabulary columns of which logits exist at a time, a multiple of 256. */
  readonly vocabularyChunk: number;
}

/** Values kept for the backward pass of one layer, [tokens, width] each. */
export interface LayerActivations {
  readonly x: View;
  readonly inv1: View;
  readonly n1: View;
  readonly q: View;
  readonly k: View;
  readonly v: View;
  readonly o: View;
  /** [tokens, H] of (log-sum-exp, delta). */
  readonly stats: View;
  readonly xMid: View;
  readonly inv2: View;
  readonly n2: View;
  readonly gate: View;
  readonly up: View;
  readonly h: View;
}

type Widths<T> = { readonly [K in keyof T]: number };

function layerWidths(c: LlamaConfig): Widths<LayerActivations> {
  const C = c.hiddenSize, F = c.intermediateSize;
  const Q = c.numAttentionHeads * c.headDim, KV = c.numKeyValueHeads * c.headDim;
  return {
    x: C,
    inv1: 1,
    n1: C,
    q: Q,
    k: KV,
    v: KV,
    o: Q,
    stats: 2 * c.numAttentionHeads,
    xMid: C,
    inv2: 1,
    n2: C,
    gate: F,
    up: F,
    h: F,
  };
}

/** Gradients that live during one layer's backward pass, [tokens, width] each. */
export interface BackwardScratch {
  readonly dx: View;
  readonly dNorm: View;
  readonly dq: View;
  readonly dk: View;
  readonly dv: View;
  readonly dh: View;
}

function scratchWidths(c: LlamaConfig): Widths<BackwardScratch> {
  const { q, k, x, h } = layerWidths(c);
  return { dx: x, dNorm: Math.max(x, q), dq: q, dk: k, dv: k, dh: h };
}

/** What the head holds, [scored, width] each. */
export interface HeadActivations {
  readonly rows: View;
  readonly inv: View;
  readonly hidden: View;
  readonly logits: View;
  readonly running: View;
  readonly logps: View;
  readonly lse: View;
  readonly logSumP2: View;
  readonly dHidden: View;
  readonly dRows: View;
}

function headWidths(c: LlamaConfig, chunk: number): Widths<HeadActivations> {
  const C = c.hiddenSize;
  return {
    rows: C,
    inv: 1,
    hidden: C,
    logits: chunk,
    running: 4,
    logps: 1,
    lse: 1,
    logSumP2: 1,
    dHidden: C,
    dRows: C,
  };
}

const sum = (widths: object) =>
  Object.values(widths as Record<string, number>).reduce((a, b) => a + b, 0);

/** Bytes a token costs in a forward pass, and what a backward pass adds. */
export function bytesPerToken(config: LlamaConfig, trainable: boolean): number {
  const layers = config.numHiddenLayers * sum(layerWidths(config)) + config.hiddenSize;
  return 4 * (layers + (trainable ? sum(scratchWidths(config)) : 0));
}

/** Bytes a scored token costs. */
export function bytesPerScored(config: LlamaConfig, vocabularyChunk: number): number {
  return 4 * sum(headWidths(config, vocabularyChunk));
}

/** Bytes that mixtures with a reference's logits add for a scored token. */
export const MIX_BYTES = 40;

/** Widest activation row in floats: bounds the tokens of a chunk by the adapter's binding limit. */
export function widestRow(config: LlamaConfig): number {
  return Math.max(...Object.values(layerWidths(config)), ...Object.values(scratchWidths(config)));
}

/** The vocabulary chunk: whole if small, else 8192 columns. */
export function vocabularyChunk(vocabSize: number): number {
  return Math.min(Math.ceil(vocabSize / SPLIT_ROWS) * SPLIT_ROWS, 8192);
}

export class Activations {
  readonly #gpu: Gpu;
  readonly #buffers: GPUBuffer[] = [];
  readonly layers: readonly LayerActivations[];
  /** Output of the last layer, [tokens, C]. */
  readonly last: View;
  readonly head: HeadActivations;
  readonly scratch: BackwardScratch | undefined;
  /** Partial sums of column sums. */
  readonly partial: View;
  /** What mixtures with a reference's logits take, [scored, 8] and [scored, 2]. */
  readonly mix: { readonly running: View; readonly logps: View } | undefined;

  constructor(
    gpu: Gpu,
    config: LlamaConfig,
    capacity: Capacity,
    { trainable, mixes }: { readonly trainable: boolean; readonly mixes: boolean },
  ) {
    this.#gpu = gpu;
    const layer = layerWidths(config);
    this.layers = Array.from(
      { length: config.numHiddenLayers },
      (_, i) => this.#allocate(layer, capacity.tokens, `layer ${i}`),
    );
    this.last = this.#view("last hidden states", capacity.tokens * config.hiddenSize);
    this.head = this.#allocate(
      headWidths(config, capacity.vocabularyChunk),
      capacity.scored,
      "head",
    );
    this.scratch = trainable
      ? this.#allocate(scratchWidths(config), capacity.tokens, "gradient")
      : undefined;
    this.mix = mixes
      ? {
        running: this.#view("running mixtures", capacity.scored * 8),
        logps: this.#view("mixture logps", capacity.scored * 2),
      }
      : undefined;
    const blocks = Math.ceil(Math.max(capacity.tokens, capacity.scored) / BLOCK_ROWS);
    this.partial = this.#view("partial sums", trainable ? blocks * widestRow(config) : 4);
  }

  #view(label: string, floats: number): View {
    const buffer = this.#gpu.createBuffer(label, floats * 4);
    this.#buffers.push(buffer);
    return { buffer, offset: 0, size: 0 };
  }

  #allocate<T extends object>(widths: Widths<T>, rows: number, label: string): T {
    const entries = Object.entries(widths as Record<string, number>);
    return Object.fromEntries(
      entries.map(([name, width]) => [name, this.#view(`${label} ${name}`, rows * width)]),
    ) as T;
  }

  destroy(): void {
    for (const buffer of this.#buffers) this.#gpu.destroyMemory(buffer);
  }
}
