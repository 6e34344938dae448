/**
 * The model types of `config.json` that this program runs: what each always is, what it takes where the
 * file says nothing (the defaults of transformers), and which fields of its own it reads.
 */
import type { ActivationKind, NormKind } from "./architecture.ts";
import {
  GEMMA2_NAMES,
  GEMMA3_NAMES,
  GPT2_NAMES,
  GPT_NEOX_NAMES,
  LLAMA_NAMES,
  OLMO2_NAMES,
  type ParameterNames,
  PHI3_NAMES,
  QWEN3_NAMES,
} from "./parameter_names.ts";

export interface ModelRules {
  readonly architecture: string;
  readonly names: ParameterNames;
  readonly maxPositions: number;
  readonly bos: number | null;
  readonly eos: number | null;
  readonly tied: boolean;
  readonly norm: NormKind;
  /** Field and default of the norms' epsilon. */
  readonly eps: readonly [string, number];
  readonly qkNorm?: "head" | "width";
  /** Field and default of the activation, as the file spells it. */
  readonly activation: readonly [string, string];
  /** Absent: hidden_size / num_attention_heads. */
  readonly headDim?: number;
  /** Without num_key_value_heads there are as many as heads; otherwise the field must be there. */
  readonly allHeads: boolean;
  /** Biases of q, k, v, and of the output; a default where the file may choose. */
  readonly attentionBias: "none" | "qkv" | "all" | { readonly default: boolean };
  readonly mlpBias: "none" | "all" | { readonly default: boolean };
  /** Theta's field and default; absent: no rotary embedding. */
  readonly rope?: readonly [field: string, theta: number];
  /** Share of a head that turns: field and default, where the type has a choice. */
  readonly rotaryShare?: readonly [field: string, share: number];
  /** Further fields that become part of the description. */
  readonly fields: readonly string[];
}

/** How GPT-2 calls what the others call otherwise. */
export const GPT2_SIZES: Readonly<Record<string, string>> = {
  hidden_size: "n_embd",
  num_hidden_layers: "n_layer",
  num_attention_heads: "n_head",
  max_position_embeddings: "n_positions",
};

const LLAMA: ModelRules = {
  architecture: "LlamaForCausalLM",
  names: LLAMA_NAMES,
  maxPositions: 2048,
  bos: 1,
  eos: 2,
  tied: false,
  norm: "rms",
  eps: ["rms_norm_eps", 1e-6],
  activation: ["hidden_act", "silu"],
  allHeads: true,
  attentionBias: { default: false },
  mlpBias: { default: false },
  rope: ["rope_theta", 10000],
  fields: [],
};

const SWITCHED_WINDOW = ["sliding_window", "use_sliding_window", "max_window_layers"];

const QWEN2: ModelRules = {
  ...LLAMA,
  architecture: "Qwen2ForCausalLM",
  maxPositions: 32768,
  bos: null,
  eos: null,
  allHeads: false,
  attentionBias: "qkv",
  mlpBias: "none",
  fields: SWITCHED_WINDOW,
};

const GEMMA2: ModelRules = {
  ...LLAMA,
  architecture: "Gemma2ForCausalLM",
  names: GEMMA2_NAMES,
  maxPositions: 8192,
  bos: 2,
  eos: 1,
  tied: true,
  norm: "rms_one_plus",
  activation: ["hidden_activation", "gelu_pytorch_tanh"],
  headDim: 256,
  allHeads: false,
  mlpBias: "none",
  fields: [
    "query_pre_attn_scalar",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "sliding_window",
  ],
};

const LAYER_NORM = { norm: "layer", attentionBias: "all", mlpBias: "all", allHeads: true } as const;

export const MODEL_TYPES: Readonly<Record<string, ModelRules>> = {
  llama: LLAMA,
  mistral: {
    ...LLAMA,
    architecture: "MistralForCausalLM",
    maxPositions: 131072,
    allHeads: false,
    attentionBias: "none",
    mlpBias: "none",
    fields: ["sliding_window"],
  },
  qwen2: QWEN2,
  qwen3: {
    ...QWEN2,
    architecture: "Qwen3ForCausalLM",
    names: QWEN3_NAMES,
    qkNorm: "head",
    headDim: 128,
    attentionBias: { default: false },
  },
  gemma2: GEMMA2,
  gemma3_text: {
    ...GEMMA2,
    architecture: "Gemma3ForCausalLM",
    names: GEMMA3_NAMES,
    maxPositions: 131072,
    qkNorm: "head",
    rope: ["rope_theta", 1e6],
    fields: [
      ...GEMMA2.fields,
      "sliding_window_pattern",
      "_sliding_window_pattern",
      "rope_local_base_freq",
    ],
  },
  phi3: {
    ...LLAMA,
    architecture: "Phi3ForCausalLM",
    names: PHI3_NAMES,
    maxPositions: 4096,
    eos: 32000,
    eps: ["rms_norm_eps", 1e-5],
    attentionBias: "none",
    mlpBias: "none",
    rotaryShare: ["partial_rotary_factor", 1],
    // Its files name the code they came with before transformers had it; that is the same model.
    fields: ["sliding_window", "auto_map"],
  },
  gpt2: {
    ...LAYER_NORM,
    architecture: "GPT2LMHeadModel",
    names: GPT2_NAMES,
    maxPositions: 1024,
    bos: 50256,
    eos: 50256,
    tied: true,
    eps: ["layer_norm_epsilon", 1e-5],
    activation: ["activation_function", "gelu_new"],
    fields: ["n_inner", "scale_attn_weights", ...Object.values(GPT2_SIZES)],
  },
  gpt_neox: {
    ...LAYER_NORM,
    architecture: "GPTNeoXForCausalLM",
    names: GPT_NEOX_NAMES,
    maxPositions: 2048,
    bos: 0,
    eos: 2,
    tied: false,
    eps: ["layer_norm_eps", 1e-5],
    activation: ["hidden_act", "gelu"],
    attentionBias: { default: true },
    rope: ["rotary_emb_base", 10000],
    rotaryShare: ["rotary_pct", 0.25],
    fields: ["use_parallel_residual"],
  },
  olmo2: {
    ...LLAMA,
    architecture: "Olmo2ForCausalLM",
    names: OLMO2_NAMES,
    bos: null,
    eos: 50279,
    eps: ["rms_norm_eps", 1e-5],
    qkNorm: "width",
    mlpBias: "none",
  },
  smollm3: {
    ...LLAMA,
    architecture: "SmolLM3ForCausalLM",
    maxPositions: 32768,
    bos: 128000,
    eos: 128001,
    tied: true,
    allHeads: false,
    rope: ["rope_theta", 2e6],
    fields: ["sliding_window", "use_sliding_window", "no_rope_layers", "no_rope_layer_interval"],
  },
};

/** Spellings of activations, and what they are. */
export const ACTIVATIONS: Readonly<Record<string, ActivationKind>> = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_fast: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
};
