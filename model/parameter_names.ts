/**
 * What the parts of a decoder are called in Hugging Face's files, by model type. Each name is a module's:
 * its tensors are `<name>.weight` and, where it has one, `<name>.bias`. A part that has no name does not
 * exist in that model: that is how a description says where norms stand and which matrices are fused.
 */

/** Parts of one layer, their names behind the layer's own. */
export interface LayerNames {
  readonly preAttentionNorm?: string;
  /** Three matrices, or one. */
  readonly query?: string;
  readonly key?: string;
  readonly value?: string;
  readonly queryKeyValue?: string;
  readonly queryNorm?: string;
  readonly keyNorm?: string;
  readonly output: string;
  readonly postAttentionNorm?: string;
  readonly preMlpNorm?: string;
  /** A gated MLP has `gate` and `up`, or both in one; a plain one has only `up`. */
  readonly gate?: string;
  readonly up?: string;
  readonly gateUp?: string;
  readonly down: string;
  readonly postMlpNorm?: string;
}

export interface ParameterNames {
  readonly embedding: string;
  /** Learned embeddings of absolute positions. */
  readonly positions?: string;
  /** Layer i is `<layers>.<i>`. */
  readonly layers: string;
  readonly layer: LayerNames;
  readonly finalNorm: string;
  readonly head: string;
  /** Matrices of layers stand as [in, out] (GPT-2's Conv1D). */
  readonly transposed?: boolean;
  /**
   * Rows of `queryKeyValue`: all queries, all keys, all values; or query, key and value of one head after
   * the other's.
   */
  readonly fusedOrder?: "blocks" | "heads";
}

const ATTENTION = {
  query: "self_attn.q_proj",
  key: "self_attn.k_proj",
  value: "self_attn.v_proj",
  output: "self_attn.o_proj",
} as const;
const QK_NORMS = { queryNorm: "self_attn.q_norm", keyNorm: "self_attn.k_norm" } as const;
const MLP = { gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj" } as const;
const PRE_NORMS = {
  preAttentionNorm: "input_layernorm",
  preMlpNorm: "post_attention_layernorm",
} as const;
const POST_NORMS = {
  postAttentionNorm: "post_attention_layernorm",
  postMlpNorm: "post_feedforward_layernorm",
} as const;
const SANDWICH_NORMS = {
  ...POST_NORMS,
  preAttentionNorm: "input_layernorm",
  preMlpNorm: "pre_feedforward_layernorm",
} as const;

/** A model whose modules outside the layers are called as Llama's. */
function inModel(layer: LayerNames): ParameterNames {
  return {
    embedding: "model.embed_tokens",
    layers: "model.layers",
    layer,
    finalNorm: "model.norm",
    head: "lm_head",
    fusedOrder: "blocks",
  };
}

export const LLAMA_NAMES = inModel({ ...PRE_NORMS, ...ATTENTION, ...MLP });
export const QWEN3_NAMES = inModel({ ...PRE_NORMS, ...ATTENTION, ...QK_NORMS, ...MLP });
export const GEMMA2_NAMES = inModel({ ...SANDWICH_NORMS, ...ATTENTION, ...MLP });
export const GEMMA3_NAMES = inModel({ ...SANDWICH_NORMS, ...ATTENTION, ...QK_NORMS, ...MLP });
export const OLMO2_NAMES = inModel({ ...POST_NORMS, ...ATTENTION, ...QK_NORMS, ...MLP });
export const PHI3_NAMES = inModel({
  ...PRE_NORMS,
  queryKeyValue: "self_attn.qkv_proj",
  output: ATTENTION.output,
  gateUp: "mlp.gate_up_proj",
  down: MLP.down,
});

export const GPT_NEOX_NAMES: ParameterNames = {
  embedding: "gpt_neox.embed_in",
  layers: "gpt_neox.layers",
  layer: {
    ...PRE_NORMS,
    queryKeyValue: "attention.query_key_value",
    output: "attention.dense",
    up: "mlp.dense_h_to_4h",
    down: "mlp.dense_4h_to_h",
  },
  finalNorm: "gpt_neox.final_layer_norm",
  head: "embed_out",
  fusedOrder: "heads",
};

export const GPT2_NAMES: ParameterNames = {
  embedding: "transformer.wte",
  positions: "transformer.wpe",
  layers: "transformer.h",
  layer: {
    preAttentionNorm: "ln_1",
    queryKeyValue: "attn.c_attn",
    output: "attn.c_proj",
    preMlpNorm: "ln_2",
    up: "mlp.c_fc",
    down: "mlp.c_proj",
  },
  finalNorm: "transformer.ln_f",
  head: "lm_head",
  transposed: true,
  fusedOrder: "blocks",
};
