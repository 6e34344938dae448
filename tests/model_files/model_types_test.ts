/** What each model type's `config.json` is turned into: files as they are published, and odd ones. */
import { assertAlmostEquals, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Architecture, LayerKind } from "../../model/architecture.ts";
import { ModelError } from "../../model/error.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { rotaryFrequencies } from "../../model/rotary.ts";

type Fields = Readonly<Record<string, unknown>>;

const SIZES = {
  vocab_size: 100,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 8192,
};
const LLAMA3 = {
  factor: 32,
  high_freq_factor: 4,
  low_freq_factor: 1,
  original_max_position_embeddings: 8192,
  rope_type: "llama3",
};

/** The fields of published files beside their sizes, by model type. */
const PUBLISHED: Readonly<Record<string, Fields>> = {
  llama: { ...SIZES, rope_scaling: LLAMA3, rope_theta: 5e5, tie_word_embeddings: true },
  mistral: { ...SIZES, sliding_window: 4096, rope_theta: 1e4 },
  qwen2: { ...SIZES, max_window_layers: 2, sliding_window: 4096, use_sliding_window: true },
  qwen3: { ...SIZES, head_dim: 128, max_window_layers: 28, use_sliding_window: false },
  gemma2: {
    ...SIZES,
    attn_logit_softcapping: 50,
    cache_implementation: "hybrid",
    final_logit_softcapping: 30,
    head_dim: 32,
    hidden_act: "gelu_pytorch_tanh",
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: 64,
    sliding_window: 4096,
  },
  gemma3_text: {
    ...SIZES,
    num_hidden_layers: 7,
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
    hidden_activation: "gelu_pytorch_tanh",
    rope_local_base_freq: 1e4,
    rope_scaling: { factor: 8, rope_type: "linear" },
    rope_theta: 1e6,
    sliding_window: 512,
    sliding_window_pattern: 6,
  },
  phi3: {
    ...SIZES,
    auto_map: { AutoConfig: "configuration_phi3.Phi3Config" },
    embd_pdrop: 0,
    eos_token_id: 7,
    original_max_position_embeddings: 4096,
    resid_pdrop: 0,
    sliding_window: 2047,
  },
  gpt_neox: {
    vocab_size: 100,
    hidden_size: 64,
    intermediate_size: 256,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    hidden_act: "gelu",
    layer_norm_eps: 1e-5,
    max_position_embeddings: 2048,
    rotary_emb_base: 10000,
    rotary_pct: 0.25,
    use_parallel_residual: true,
  },
  gpt2: {
    vocab_size: 100,
    activation_function: "gelu_new",
    attn_pdrop: 0.1,
    layer_norm_epsilon: 1e-5,
    n_ctx: 1024,
    n_embd: 64,
    n_head: 4,
    n_layer: 4,
    n_positions: 1024,
    summary_first_dropout: 0.1,
    summary_use_proj: true,
  },
  olmo2: { ...SIZES, rms_norm_eps: 1e-6, rope_theta: 5e5 },
  smollm3: { ...SIZES, no_rope_layer_interval: 4, rope_theta: 5e6, use_sliding_window: false },
};

function parse(type: string, changes: Fields = {}): Architecture {
  const fields = { model_type: type, ...PUBLISHED[type], ...changes };
  return parseArchitecture(JSON.stringify(fields), "some/config.json");
}

function message(type: string, changes: Fields): string {
  return assertThrows(() => parse(type, changes), ModelError).message;
}

const windows = (a: Architecture) => a.layerKinds.map(({ slidingWindow }) => slidingWindow);
const thetas = ({ layerKinds }: Architecture) => layerKinds.map(({ rotary }) => rotary?.theta);

Deno.test("published files say what their models are", () => {
  const rotary = (theta: number, width: number): LayerKind["rotary"] => (
    { theta, width, scaling: null }
  );
  const expected: Readonly<Record<string, Partial<Architecture>>> = {
    mistral: { layerKinds: [{ slidingWindow: 4096, rotary: rotary(1e4, 16) }] },
    qwen3: {
      qkNorm: "head",
      headDim: 128,
      layerKinds: [{ slidingWindow: null, rotary: rotary(1e4, 128) }],
    },
    gemma2: {
      norm: "rms_one_plus",
      activation: "gelu_tanh",
      embeddingScale: 8,
      attentionScale: 1 / 8,
      attentionSoftcap: 50,
      logitSoftcap: 30,
      tieWordEmbeddings: true,
    },
    gemma3_text: { qkNorm: "head", attentionScale: 1 / 16, attentionSoftcap: null, headDim: 256 },
    phi3: { layerKinds: [{ slidingWindow: 2047, rotary: rotary(1e4, 16) }], activation: "silu" },
    gpt_neox: {
      norm: "layer",
      parallel: true,
      activation: "gelu",
      attentionBias: true,
      outputBias: true,
      mlpBias: true,
      numKeyValueHeads: 4,
      layerKinds: [{ slidingWindow: null, rotary: rotary(1e4, 4) }],
    },
    gpt2: {
      norm: "layer",
      parallel: false,
      activation: "gelu_tanh",
      intermediateSize: 256,
      layerKinds: [{ slidingWindow: null, rotary: null }],
      tieWordEmbeddings: true,
    },
    olmo2: { qkNorm: "width", normEps: 1e-6, attentionBias: false },
  };
  for (const [type, fields] of Object.entries(expected)) {
    const found = parse(type);
    for (const [field, value] of Object.entries(fields)) {
      assertEquals(found[field as keyof Architecture], value, `${type} ${field}`);
    }
  }
});

Deno.test("layers that see a window are those of transformers", () => {
  assertEquals(windows(parse("qwen2")), [null, null, 4096, 4096]);
  assertEquals(windows(parse("qwen2", { use_sliding_window: false })), [null]);
  assertEquals(windows(parse("qwen2", { max_window_layers: 28 })), [null]);
  assertEquals(windows(parse("gemma2")), [4096, null, 4096, null]);
  assertEquals(windows(parse("gemma3_text")), [512, 512, 512, 512, 512, null, 512]);
  const types = ["full_attention", "sliding_attention", "full_attention", "full_attention"];
  assertEquals(windows(parse("gemma2", { layer_types: types })), [null, 4096, null, null]);
  // No text is longer than this one.
  assertEquals(windows(parse("mistral", { sliding_window: 8192 })), [null]);
  assertEquals(windows(parse("mistral", { sliding_window: null })), [null]);
  const switched = { use_sliding_window: true, sliding_window: 64 };
  assertEquals(windows(parse("smollm3", switched)), [null, null, null, 64]);
});

Deno.test("rotary embeddings by layer", () => {
  assertEquals(thetas(parse("gemma3_text")), [1e4, 1e4, 1e4, 1e4, 1e4, 1e6, 1e4]);
  const [local, global] = [0, 5].map((i) => parse("gemma3_text").layerKinds[i].rotary?.scaling);
  assertEquals([local, global], [null, { kind: "linear", factor: 8 }]);
  assertEquals(thetas(parse("smollm3")), [5e6, 5e6, 5e6, undefined]);
  assertEquals(thetas(parse("smollm3", { no_rope_layers: [0, 1, 1, 1] })), [
    undefined,
    5e6,
    5e6,
    5e6,
  ]);
  const half = { rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } };
  assertEquals(parse("phi3", half).layerKinds[0].rotary?.width, 8);
});

Deno.test("llama3 scaling leaves short waves, divides long ones by 32, and joins both", () => {
  const rotary = parse("llama").layerKinds[0].rotary!;
  const plain = rotaryFrequencies({ ...rotary, scaling: null }), scaled = rotaryFrequencies(rotary);
  const turns = plain.map((frequency) => 8192 * frequency / (2 * Math.PI));
  assertEquals(scaled.length, 8);
  for (const [i, frequency] of plain.entries()) {
    // Between one turn and four over the original context the factor goes from 1/32 to 1.
    const kept = Math.min(1, Math.max(0, (turns[i] - 1) / 3));
    assertAlmostEquals(scaled[i], frequency * (kept + (1 - kept) / 32), 1e-15);
  }
  assertEquals([scaled[0], scaled[7]], [plain[0], plain[7] / 32]);
  const linear = rotaryFrequencies({ ...rotary, scaling: { kind: "linear", factor: 4 } });
  assertEquals([...linear], [...plain.map((frequency) => frequency / 4)]);
});

Deno.test("what a model type does not have, or this program does not do, is refused by name", () => {
  const refused: [string, Fields, string][] = [
    ["gpt2", { hidden_size: 64 }, `"hidden_size" is 64`],
    ["gpt2", { scale_attn_weights: false }, `"scale_attn_weights" is false`],
    ["gpt2", { scale_attn_by_inverse_layer_idx: true }, `"scale_attn_by_inverse_layer_idx"`],
    ["gpt2", { add_cross_attention: true }, `"add_cross_attention"`],
    ["gpt2", { head_dim: 8 }, `"head_dim" is 8`],
    ["gpt2", { rope_theta: 1e4 }, `"rope_theta"`],
    ["gpt2", { n_head: 5 }, `"n_head" is 5`],
    ["gpt_neox", { num_key_value_heads: 2 }, `"num_key_value_heads" is 2`],
    ["gpt_neox", { rotary_pct: 0.1 }, `"rotary_pct" is 0.1: of a head of 16 values 1 turn`],
    ["gpt_neox", { hidden_act: "relu" }, `"hidden_act" is "relu"`],
    ["gpt_neox", { partial_rotary_factor: 0.5 }, `"partial_rotary_factor" is 0.5`],
    ["llama", { attn_logit_softcapping: 30 }, `"attn_logit_softcapping" is 30`],
    ["llama", { query_pre_attn_scalar: 30 }, `"query_pre_attn_scalar" is 30`],
    ["llama", { no_rope_layers: [1, 1, 1, 0] }, `"no_rope_layers"`],
    ["llama", { sliding_window_pattern: 6 }, `"sliding_window_pattern" is 6`],
    [
      "llama",
      { rope_scaling: { ...LLAMA3, low_freq_factor: 4 } },
      `"rope_scaling.high_freq_factor"`,
    ],
    ["llama", { rope_scaling: { ...LLAMA3, beta_fast: 32 } }, `"rope_scaling.beta_fast"`],
    ["llama", { rope_parameters: { rope_type: "linear", factor: 2 } }, `its rope_type differs`],
    ["phi3", { rope_scaling: { type: "longrope", long_factor: [1] } }, `"rope_scaling.type"`],
    ["phi3", { rope_scaling: { type: "linear", factor: 2 } }, `"rope_scaling.type" is "linear"`],
    ["phi3", { mlp_bias: true }, `"mlp_bias"`],
    ["gemma2", { use_bidirectional_attention: true }, `"use_bidirectional_attention"`],
    ["gemma2", { hidden_act: "gelu" }, `"hidden_act" is "gelu"`],
    ["gemma2", { attn_logit_softcapping: -1 }, `"attn_logit_softcapping" is -1`],
    ["gemma2", { sliding_window: null }, `"sliding_window" is null`],
    ["gemma2", { layer_types: ["full_attention"] }, `"layer_types"`],
    ["gemma3_text", { rope_parameters: { rope_theta: 5 } }, `"rope_parameters.rope_theta"`],
    [
      "qwen2",
      { layer_types: Array(4).fill("sliding_attention"), use_sliding_window: false },
      `"use_sliding_window"`,
    ],
    ["olmo2", { sliding_window: 8, use_sliding_window: true }, `"use_sliding_window"`],
    ["olmo2", { layer_types: Array(4).fill("sliding_attention") }, `"layer_types"`],
    ["smollm3", { no_rope_layers: [1, 0] }, `"no_rope_layers"`],
    ["mistral", { layer_types: Array(4).fill("full_attention") }, `"layer_types"`],
  ];
  for (const [type, changes, says] of refused) {
    assertStringIncludes(message(type, changes), says, type);
    assertStringIncludes(message(type, changes), `"some/config.json"`);
  }
});

Deno.test("softcaps: absent takes the type's own, null switches off", () => {
  const caps = (type: string, changes: Fields) => {
    const { attentionSoftcap, logitSoftcap } = parse(type, changes);
    return [attentionSoftcap, logitSoftcap];
  };
  const absent = { attn_logit_softcapping: undefined, final_logit_softcapping: undefined };
  assertEquals(caps("gemma2", absent), [50, 30]);
  assertEquals(caps("gemma2", { attn_logit_softcapping: null }), [null, 30]);
  assertEquals(caps("gemma3_text", absent), [null, null]);
  assertEquals(caps("gemma3_text", { final_logit_softcapping: 20 }), [null, 20]);
});
