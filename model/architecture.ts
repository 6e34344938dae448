/**
 * What a decoder is made of: the one description that every model type of `config.json` is turned into
 * (`parse_architecture.ts`) and that programs, memory plan and parameter table are built from. Not
 * values of parameters, nor how files store them. Words as in Hugging Face's `config.json`.
 */
import type { ParameterNames } from "./parameter_names.ts";

/** How the rotary embedding's frequencies are stretched for longer texts, see `rotary.ts`. */
export type RotaryScaling =
  | { readonly kind: "linear"; readonly factor: number }
  | {
    readonly kind: "llama3";
    readonly factor: number;
    readonly lowFreqFactor: number;
    readonly highFreqFactor: number;
    readonly originalMaxPositionEmbeddings: number;
  };

export interface Rotary {
  readonly theta: number;
  /** How many values of a head turn, from its first on: a multiple of 4, at most the head size. */
  readonly width: number;
  readonly scaling: RotaryScaling | null;
}

/** In what layers of one model differ. */
export interface LayerKind {
  /** A query sees keys at most this many positions back, itself included; null: all before it. */
  readonly slidingWindow: number | null;
  /** Null: no rotary embedding. */
  readonly rotary: Rotary | null;
}

/**
 * RMSNorm, RMSNorm whose weight is added to 1, or LayerNorm with a bias. Where the norms stand follows
 * from their names in `names.layer`.
 */
export type NormKind = "rms" | "rms_one_plus" | "layer";

/** SiLU, GELU by the error function, GELU by its hyperbolic tangent. */
export type ActivationKind = "silu" | "gelu" | "gelu_tanh";

export interface Architecture {
  /** As in `config.json`. */
  readonly modelType: string;
  readonly names: ParameterNames;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  /** Divides `numAttentionHeads`. */
  readonly numKeyValueHeads: number;
  /** A multiple of 4, at most 256. */
  readonly headDim: number;
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly norm: NormKind;
  readonly normEps: number;
  /** Norms of queries and keys, each head by itself or all of them together. */
  readonly qkNorm: "none" | "head" | "width";
  /** Attention and MLP both read the layer's input, instead of one after the other. */
  readonly parallel: boolean;
  readonly activation: ActivationKind;
  /** Of layer i: entry i modulo their number. */
  readonly layerKinds: readonly LayerKind[];
  /** Embeddings are multiplied by this. */
  readonly embeddingScale: number;
  /** Products of queries and keys are multiplied by this. */
  readonly attentionScale: number;
  /** cap * tanh(x / cap) of scores before the softmax, and of the head's logits. */
  readonly attentionSoftcap: number | null;
  readonly logitSoftcap: number | null;
  readonly tieWordEmbeddings: boolean;
  /** Biases of queries, keys and values. */
  readonly attentionBias: boolean;
  /** Bias of what attention is projected with. */
  readonly outputBias: boolean;
  /** Biases of the MLP's matrices. */
  readonly mlpBias: boolean;
  readonly bosTokenId: number | null;
  /** Any of them ends a text; empty if the model names none. */
  readonly eosTokenIds: readonly number[];
}

export function layerKind({ layerKinds }: Architecture, layer: number): LayerKind {
  return layerKinds[layer % layerKinds.length];
}

/** The distinct rotary embeddings of a model, the first layer's first. */
export function rotaries({ layerKinds }: Architecture): readonly Rotary[] {
  return [...new Set(layerKinds.flatMap(({ rotary }) => rotary === null ? [] : [rotary]))];
}

/** Whether a tensor is a table of which tokens pick rows: embeddings of ids and of positions. */
export function isEmbedding({ names }: Architecture, name: string): boolean {
  return name === `${names.embedding}.weight` || name === `${names.positions}.weight`;
}

/** The tensor that logits are made with: the embeddings where both are tied. */
export function headWeight({ names, tieWordEmbeddings }: Architecture): string {
  return `${tieWordEmbeddings ? names.embedding : names.head}.weight`;
}

/** Values of all queries, and of all keys, of a token. */
export function attentionWidths(
  { headDim, numAttentionHeads, numKeyValueHeads }: Architecture,
): { readonly queries: number; readonly keys: number } {
  return { queries: numAttentionHeads * headDim, keys: numKeyValueHeads * headDim };
}
