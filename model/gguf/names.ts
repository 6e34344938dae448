/**
 * What tensors are called in GGUF files and in those of Hugging Face, by architecture, and what happens
 * to values on the way. A name stands for `<name>.weight` and `<name>.bias`.
 */

/**
 * How values differ between the two:
 * - `queries`, `keys`: rows of a head are interleaved in GGUF (first half, second half in Hugging Face)
 * - `transposed`: a weight is [out, in] in GGUF, [in, out] in Hugging Face
 * - `heads`: all queries, keys, values in GGUF; query, key, value head by head in Hugging Face
 * - `one`: GGUF stores 1 + w of a norm
 */
export type Change = "queries" | "keys" | "transposed" | "heads" | "one";

/** GGUF name, Hugging Face name, change. */
type Name = readonly [gguf: string, hf: string, change?: Change];

/** The tensors of an architecture: outside the layers, and inside (behind `blk.<i>` and `layers`). */
export interface TensorNames {
  readonly outside: readonly Name[];
  readonly layers: string;
  readonly inside: readonly Name[];
}

const OUTSIDE: readonly Name[] = [
  ["token_embd", "model.embed_tokens"],
  ["output_norm", "model.norm"],
  ["output", "lm_head"],
];
const ATTENTION: readonly Name[] = [
  ["attn_q", "self_attn.q_proj"],
  ["attn_k", "self_attn.k_proj"],
  ["attn_v", "self_attn.v_proj"],
  ["attn_output", "self_attn.o_proj"],
];
const QK_NORMS: readonly Name[] = [
  ["attn_q_norm", "self_attn.q_norm"],
  ["attn_k_norm", "self_attn.k_norm"],
];
const MLP: readonly Name[] = [
  ["ffn_gate", "mlp.gate_proj"],
  ["ffn_up", "mlp.up_proj"],
  ["ffn_down", "mlp.down_proj"],
];
const PRE_NORMS: readonly Name[] = [
  ["attn_norm", "input_layernorm"],
  ["ffn_norm", "post_attention_layernorm"],
];
const POST_NORMS: readonly Name[] = [
  ["post_attention_norm", "post_attention_layernorm"],
  ["post_ffw_norm", "post_feedforward_layernorm"],
];
const SANDWICH: readonly Name[] = [
  ["attn_norm", "input_layernorm"],
  ["ffn_norm", "pre_feedforward_layernorm"],
  ...POST_NORMS,
];

function changed(names: readonly Name[], change: Change): Name[] {
  return names.map(([gguf, hf]) => [gguf, hf, change]);
}

function inModel(...inside: (readonly Name[])[]): TensorNames {
  return { outside: OUTSIDE, layers: "model.layers", inside: inside.flat() };
}

const LLAMA_ATTENTION: readonly Name[] = [
  ["attn_q", "self_attn.q_proj", "queries"],
  ["attn_k", "self_attn.k_proj", "keys"],
  ...ATTENTION.slice(2),
];
const GEMMA_OUTSIDE: readonly Name[] = [
  OUTSIDE[0],
  ...changed([OUTSIDE[1]], "one"),
  OUTSIDE[2],
];

/** By the name of the architecture in `general.architecture`. */
export const TENSOR_NAMES: Readonly<Record<string, TensorNames>> = {
  llama: inModel(PRE_NORMS, LLAMA_ATTENTION, MLP),
  qwen2: inModel(PRE_NORMS, ATTENTION, MLP),
  qwen3: inModel(PRE_NORMS, ATTENTION, QK_NORMS, MLP),
  olmo2: inModel(POST_NORMS, ATTENTION, QK_NORMS, MLP),
  smollm3: inModel(PRE_NORMS, LLAMA_ATTENTION, MLP),
  gemma2: { ...inModel(changed(SANDWICH, "one"), ATTENTION, MLP), outside: GEMMA_OUTSIDE },
  gemma3: {
    ...inModel(changed(SANDWICH, "one"), ATTENTION, changed(QK_NORMS, "one"), MLP),
    outside: GEMMA_OUTSIDE,
  },
  phi3: inModel(PRE_NORMS, [
    ["attn_qkv", "self_attn.qkv_proj"],
    ["attn_output", "self_attn.o_proj"],
    ["ffn_up", "mlp.gate_up_proj"],
    ["ffn_down", "mlp.down_proj"],
  ]),
  gptneox: {
    outside: [
      ["token_embd", "gpt_neox.embed_in"],
      ["output_norm", "gpt_neox.final_layer_norm"],
      ["output", "embed_out"],
    ],
    layers: "gpt_neox.layers",
    inside: [
      ...PRE_NORMS,
      ["attn_qkv", "attention.query_key_value", "heads"],
      ["attn_output", "attention.dense"],
      ["ffn_up", "mlp.dense_h_to_4h"],
      ["ffn_down", "mlp.dense_4h_to_h"],
    ],
  },
  gpt2: {
    outside: [
      ["token_embd", "transformer.wte"],
      ["position_embd", "transformer.wpe"],
      ["output_norm", "transformer.ln_f"],
      ["output", "lm_head"],
    ],
    layers: "transformer.h",
    inside: [
      ["attn_norm", "ln_1"],
      ["attn_qkv", "attn.c_attn", "transposed"],
      ["attn_output", "attn.c_proj", "transposed"],
      ["ffn_norm", "ln_2"],
      ["ffn_up", "mlp.c_fc", "transposed"],
      ["ffn_down", "mlp.c_proj", "transposed"],
    ],
  },
};

/** A tensor under its other name. */
export interface RenamedTensor {
  readonly name: string;
  readonly change?: Change;
}

/** The Hugging Face tensor that a GGUF tensor is; undefined when the architecture has none such. */
export function hfTensor(names: TensorNames, gguf: string): RenamedTensor | undefined {
  const [, stem, end] = /^(.*)\.(weight|bias)$/.exec(gguf) ?? [];
  if (stem === undefined) return undefined;
  const layer = /^blk\.(0|[1-9]\d*)\.(.*)$/.exec(stem);
  const list = layer ? names.inside : names.outside, short = layer ? layer[2] : stem;
  const found = list.find(([name]) => name === short);
  if (found === undefined) return undefined;
  const prefix = layer ? `${names.layers}.${layer[1]}.` : "";
  return renamed(`${prefix}${found[1]}`, end, found[2]);
}

/** The GGUF tensor that a Hugging Face tensor is; undefined when the architecture has none such. */
export function ggufTensor(names: TensorNames, hf: string): RenamedTensor | undefined {
  const [, stem, end] = /^(.*)\.(weight|bias)$/.exec(hf) ?? [];
  if (stem === undefined) return undefined;
  const rest = stem.startsWith(`${names.layers}.`) ? stem.slice(names.layers.length + 1) : "";
  const layer = /^(\d+)\.(.*)$/.exec(rest);
  const list = layer ? names.inside : names.outside, long = layer ? layer[2] : stem;
  const found = list.find(([, name]) => name === long);
  if (found === undefined) return undefined;
  return renamed(`${layer ? `blk.${layer[1]}.` : ""}${found[0]}`, end, found[2]);
}

function renamed(stem: string, end: string, change: Change | undefined): RenamedTensor {
  // A bias is one row: there is nothing to transpose.
  const applies = change !== undefined && !(change === "transposed" && end === "bias");
  return { name: `${stem}.${end}`, ...applies && { change } };
}
