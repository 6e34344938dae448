/** The buffers of one chunk: what forward keeps for backward, and the scratch both use. */
import type { Gpu } from "../gpu/device.ts";
import { BLOCK_ROWS } from "../gpu/kernels/mod.ts";
import type { View } from "../gpu/program.ts";
import { type Storage, valueBytes } from "../gpu/storage.ts";
import { type Architecture, attentionWidths } from "./architecture.ts";
import { type ActivationName, type Level, sharedValues } from "./recompute.ts";
import { SPLIT_ROWS } from "./slabs.ts";

/** Capacities of a chunk. */
export interface Capacity {
  readonly tokens: number;
  readonly scored: number;
  /** Vocabulary columns of which logits exist at a time, a multiple of 256. */
  readonly vocabularyChunk: number;
}

/**
 * Values of one layer that its backward pass takes, [tokens, width] each: its own, or shared with
 * other layers (see `recompute.ts`). What an architecture does not have is absent.
 */
export interface LayerActivations {
  readonly x: View;
  /** What a norm keeps of its rows: 1 / root mean square, or (mean, 1 / deviation). */
  readonly inv1?: View;
  readonly n1?: View;
  /** Queries, keys and values, or all of them in one row. */
  readonly q?: View;
  readonly k?: View;
  readonly v?: View;
  readonly qkv?: View;
  /** Queries and keys before their norms. */
  readonly qIn?: View;
  readonly invQ?: View;
  readonly kIn?: View;
  readonly invK?: View;
  readonly o: View;
  /** [tokens, H] of (log-sum-exp, delta). */
  readonly stats: View;
  /** What attention adds, before its norm. */
  readonly attended?: View;
  readonly invAttended?: View;
  readonly xMid: View;
  readonly inv2?: View;
  readonly n2?: View;
  /** Gate and up, both in one row, or only up. */
  readonly gate?: View;
  readonly up?: View;
  readonly gateUp?: View;
  readonly h: View;
  /** What the MLP adds, before its norm. */
  readonly fed?: View;
  readonly invFed?: View;
}

type Widths<T> = { readonly [K in keyof T]: number };

function layerWidths(c: Architecture): Widths<LayerActivations> {
  const C = c.hiddenSize, F = c.intermediateSize, { queries: Q, keys: KV } = attentionWidths(c);
  const { layer } = c.names, inv = c.norm === "layer" ? 2 : 1;
  const heads = c.qkNorm === "head" ? [c.numAttentionHeads, c.numKeyValueHeads] : [1, 1];
  return {
    x: C,
    ...layer.preAttentionNorm ? { inv1: inv, n1: C } : {},
    ...layer.queryKeyValue ? { qkv: Q + 2 * KV } : { q: Q, k: KV, v: KV },
    ...layer.queryNorm ? { qIn: Q, invQ: heads[0], kIn: KV, invK: heads[1] } : {},
    o: Q,
    stats: 2 * c.numAttentionHeads,
    ...layer.postAttentionNorm ? { attended: C, invAttended: inv } : {},
    xMid: C,
    ...layer.preMlpNorm ? { inv2: inv, n2: C } : {},
    ...layer.gate ? { gate: F } : {},
    ...layer.up ? { up: F } : {},
    ...layer.gateUp ? { gateUp: 2 * F } : {},
    h: F,
    ...layer.postMlpNorm ? { fed: C, invFed: inv } : {},
  };
}

/**
 * What may be stored as f16: values that are written once and rounded once (q and k twice, rotation comes
 * after the product). Not the residual stream, which adds up, nor statistics.
 */
const HALVES: ReadonlySet<string> = new Set<ActivationName>(
  ["n1", "q", "k", "v", "qkv", "qIn", "kIn", "o", "n2", "gate", "up", "gateUp", "h"],
);

function storageOf(name: string, storage: Storage): Storage {
  return HALVES.has(name) ? storage : "f32";
}

/** Bytes of a layer's values in a row. */
function layerBytes(widths: object, storage: Storage): number {
  return sum(mapValues(widths, (width, name) => width * valueBytes(storageOf(name, storage))));
}

/** Gradients that live during one layer's backward pass, [tokens, width] each. */
export interface BackwardScratch {
  readonly dx: View;
  readonly dNorm: View;
  readonly dq?: View;
  readonly dk?: View;
  readonly dv?: View;
  readonly dqkv?: View;
  readonly dh: View;
  /**
   * The gradient of `up`, or of gate and up in one row, where it is not written over what is stored as f16
   * then.
   */
  readonly dUp?: View;
  /** The gradient of what a branch adds before its norm, or of a second branch's input. */
  readonly dBranch?: View;
}

function scratchWidths(c: Architecture, storage: Storage): Widths<BackwardScratch> {
  const { q, k, qkv, x, h, gate, gateUp, o } = layerWidths(c), { layer } = c.names;
  const half = storage === "f16";
  return {
    dx: x,
    dNorm: Math.max(x, o),
    ...qkv ? { dqkv: qkv } : { dq: q, dk: k, dv: k },
    dh: h,
    ...half && gate ? { dUp: h } : {},
    ...half && gateUp ? { dUp: gateUp } : {},
    ...c.parallel || layer.postAttentionNorm || layer.postMlpNorm ? { dBranch: x } : {},
  };
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

function headWidths(c: Architecture, chunk: number): Widths<HeadActivations> {
  const C = c.hiddenSize;
  return {
    rows: C,
    inv: c.norm === "layer" ? 2 : 1,
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

const mapValues = (widths: object, of: (width: number, name: string) => number) =>
  Object.fromEntries(Object.entries(widths).map(([name, width]) => [name, of(width, name)]));

const sum = (widths: object) =>
  Object.values(widths as Record<string, number>).reduce((a, b) => a + b, 0);

/** The widths whose names `wanted` takes. */
function pick<T>(widths: Widths<T>, wanted: (name: keyof T) => boolean): Widths<Partial<T>> {
  const entries = Object.entries(widths).filter(([name]) => wanted(name as keyof T));
  return Object.fromEntries(entries) as Widths<Partial<T>>;
}

/** Widths of what the layers have in common, and of what each keeps for itself. */
function layerSets(config: Architecture, levels: readonly Level[]) {
  const widths = layerWidths(config);
  const somewhere = new Set<ActivationName>(levels.flatMap((level) => [...sharedValues(level)]));
  return {
    shared: pick(widths, (name) => somewhere.has(name)),
    own: levels.map((level) => pick(widths, (name) => !sharedValues(level).has(name))),
  };
}

/**
 * Bytes a token costs with these levels of recomputation, one a layer; a frozen model has no levels
 * and one set of buffers for all layers.
 */
export function bytesPerToken(
  config: Architecture,
  levels: readonly Level[] | undefined,
  storage: Storage,
): number {
  if (!levels) return layerBytes(layerWidths(config), storage);
  const { shared, own } = layerSets(config, levels);
  const layers = [shared, ...own].reduce((total, set) => total + layerBytes(set, storage), 0);
  return layers + 4 * (config.hiddenSize + sum(scratchWidths(config, storage)));
}

/** Bytes a scored token costs. */
export function bytesPerScored(config: Architecture, vocabularyChunk: number): number {
  return 4 * sum(headWidths(config, vocabularyChunk));
}

/** Bytes that mixtures with a reference's logits add for a scored token. */
export const MIX_BYTES = 40;

/** Widest activation row in floats: bounds the tokens of a chunk by the adapter's binding limit. */
export function widestRow(config: Architecture): number {
  return Math.max(
    ...Object.values(layerWidths(config)),
    ...Object.values(scratchWidths(config, "f32")),
  );
}

/**
 * Columns of a vocabulary chunk: so few that a strip of the weights over all of them stays in a
 * processor's cache, and no power of two, whose rows would all fall on the same lines of it.
 */
const CHUNK = 2304;

/** The vocabulary chunk: whole if small. */
export function vocabularyChunk(vocabSize: number): number {
  return Math.min(Math.ceil(vocabSize / SPLIT_ROWS) * SPLIT_ROWS, CHUNK);
}

export class Activations {
  readonly #gpu: Gpu;
  readonly #buffers: GPUBuffer[] = [];
  readonly layers: readonly LayerActivations[];
  /** Of what may be stored as f16. */
  readonly storage: Storage;
  /** What each layer's backward pass computes again; absent for a frozen model. */
  readonly levels: readonly Level[] | undefined;
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
    config: Architecture,
    capacity: Capacity,
    { levels, mixes, storage }: {
      readonly levels: readonly Level[] | undefined;
      readonly mixes: boolean;
      readonly storage: Storage;
    },
  ) {
    this.#gpu = gpu;
    this.storage = storage;
    this.levels = levels;
    const trainable = levels !== undefined;
    this.layers = levels
      ? this.#trainedLayers(config, levels, capacity.tokens)
      : this.#frozenLayers(config, capacity.tokens);
    this.last = trainable
      ? this.#view("last hidden states", capacity.tokens * config.hiddenSize)
      : this.layers[0].x;
    this.head = this.#allocate(
      headWidths(config, capacity.vocabularyChunk),
      capacity.scored,
      "head",
    );
    this.scratch = trainable
      ? this.#allocate(scratchWidths(config, storage), capacity.tokens, "gradient")
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

  #trainedLayers(c: Architecture, levels: readonly Level[], tokens: number): LayerActivations[] {
    const sets = layerSets(c, levels);
    const shared = this.#allocate(sets.shared, tokens, "shared", this.storage);
    return sets.own.map((widths, i) => {
      const own = this.#allocate(widths, tokens, `layer ${i}`, this.storage);
      return { ...shared, ...own } as LayerActivations;
    });
  }

  /** Nothing is looked at again: a layer writes its output over its input. */
  #frozenLayers(config: Architecture, tokens: number): LayerActivations[] {
    const layer = this.#allocate(layerWidths(config), tokens, "all layers", this.storage);
    return Array<LayerActivations>(config.numHiddenLayers).fill(layer);
  }

  #view(label: string, values: number, storage: Storage = "f32"): View {
    const buffer = this.#gpu.createBuffer(label, values * valueBytes(storage));
    this.#buffers.push(buffer);
    return { buffer, offset: 0, size: 0, storage };
  }

  /** `storage`: of those among the values that may be stored as f16. */
  #allocate<T extends object>(
    widths: Widths<T>,
    rows: number,
    label: string,
    storage: Storage = "f32",
  ): T {
    const entries = Object.entries(widths as Record<string, number>);
    return Object.fromEntries(entries.map(([name, width]) => [
      name,
      this.#view(`${label} ${name}`, rows * width, storageOf(name, storage)),
    ])) as T;
  }

  destroy(): void {
    for (const buffer of this.#buffers) this.#gpu.destroyMemory(buffer);
  }
}
