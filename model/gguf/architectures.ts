/**
 * The architectures of GGUF files that this program runs: what they are called in `config.json`, and
 * which of their metadata belong to which field. Numbers only; `config_read.ts` and `config_write.ts`
 * do what needs more than a name.
 */
import { TENSOR_NAMES, type TensorNames } from "./names.ts";

export interface GgufArchitecture {
  /** `general.architecture`, and the beginning of its keys. */
  readonly name: string;
  readonly modelType: string;
  /** As `config.json` calls the class. */
  readonly className: string;
  readonly tensors: TensorNames;
  /** Key behind the architecture's name, and field of `config.json`. */
  readonly sizes: Readonly<Record<string, string>>;
  readonly eps: readonly [key: string, field: string];
  /** The field of theta; absent where there is no rotary embedding. */
  readonly theta?: string;
  /** The field of the share of a head that turns, where there is a choice. */
  readonly share?: string;
  /** Whether heads have a size of their own. */
  readonly headDim: boolean;
  /** Fields that are always the same. */
  readonly fixed: Readonly<Record<string, unknown>>;
}

const SIZES = {
  context_length: "max_position_embeddings",
  embedding_length: "hidden_size",
  block_count: "num_hidden_layers",
  feed_forward_length: "intermediate_size",
  "attention.head_count": "num_attention_heads",
  "attention.head_count_kv": "num_key_value_heads",
} as const;

const { "attention.head_count_kv": _, ...WITHOUT_KV } = SIZES;

const RMS = {
  sizes: SIZES,
  eps: ["attention.layer_norm_rms_epsilon", "rms_norm_eps"],
  theta: "rope_theta",
  headDim: true,
  fixed: { hidden_act: "silu" },
} as const;

function rms(name: string, modelType: string, className: string): GgufArchitecture {
  return { ...RMS, name, modelType, className, tensors: TENSOR_NAMES[name] };
}

const GEMMA_FIXED = { hidden_activation: "gelu_pytorch_tanh", attention_bias: false };

const LIST: readonly GgufArchitecture[] = [
  rms("llama", "llama", "LlamaForCausalLM"),
  { ...rms("qwen2", "qwen2", "Qwen2ForCausalLM"), headDim: false },
  rms("qwen3", "qwen3", "Qwen3ForCausalLM"),
  { ...rms("olmo2", "olmo2", "Olmo2ForCausalLM"), headDim: false },
  { ...rms("smollm3", "smollm3", "SmolLM3ForCausalLM"), headDim: false },
  { ...rms("gemma2", "gemma2", "Gemma2ForCausalLM"), fixed: GEMMA_FIXED },
  { ...rms("gemma3", "gemma3_text", "Gemma3ForCausalLM"), fixed: GEMMA_FIXED },
  { ...rms("phi3", "phi3", "Phi3ForCausalLM"), headDim: false, share: "partial_rotary_factor" },
  {
    name: "gptneox",
    modelType: "gpt_neox",
    className: "GPTNeoXForCausalLM",
    tensors: TENSOR_NAMES.gptneox,
    sizes: WITHOUT_KV,
    eps: ["attention.layer_norm_epsilon", "layer_norm_eps"],
    theta: "rotary_emb_base",
    share: "rotary_pct",
    headDim: false,
    fixed: { hidden_act: "gelu", attention_bias: true },
  },
  {
    name: "gpt2",
    modelType: "gpt2",
    className: "GPT2LMHeadModel",
    tensors: TENSOR_NAMES.gpt2,
    sizes: {
      context_length: "n_positions",
      embedding_length: "n_embd",
      block_count: "n_layer",
      feed_forward_length: "n_inner",
      "attention.head_count": "n_head",
    },
    eps: ["attention.layer_norm_epsilon", "layer_norm_epsilon"],
    headDim: false,
    fixed: { activation_function: "gelu_new" },
  },
];

/** The architecture that a GGUF file calls `name`. */
export function architectureNamed(name: string): GgufArchitecture | undefined {
  return LIST.find((known) => known.name === name);
}

/** The architecture of a `model_type`; Mistral's files are Llama's. */
export function architectureOf(modelType: string): GgufArchitecture | undefined {
  return LIST.find((known) => known.modelType === (modelType === "mistral" ? "llama" : modelType));
}

/** Names for messages. */
export const KNOWN_ARCHITECTURES: readonly string[] = LIST.map(({ name }) => name);
