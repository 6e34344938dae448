import { assertEquals, assertInstanceOf, assertStringIncludes, assertThrows } from "@std/assert";
import { ModelError } from "../../model/error.ts";
import type { Architecture } from "../../model/architecture.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { LLAMA_NAMES } from "../../model/parameter_names.ts";
import { storiesTest } from "./temporary_folder.ts";

const base = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 512,
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 5,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  hidden_act: "silu",
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** The base with changes; undefined removes a field. */
function parse(changes: Record<string, unknown>): Architecture {
  return parseArchitecture(JSON.stringify({ ...base, ...changes }), "some/config.json");
}

function rotating(theta: number, width = 8): Architecture["layerKinds"] {
  return [{ slidingWindow: null, rotary: { theta, width, scaling: null } }];
}

function message(changes: Record<string, unknown>): string {
  try {
    parse(changes);
  } catch (error) {
    assertInstanceOf(error, ModelError);
    return error.message;
  }
  throw new Error(`accepted: ${JSON.stringify(changes)}`);
}

Deno.test("the fields arrive under their camelCased names", () => {
  assertEquals(parse({}), {
    modelType: "llama",
    names: LLAMA_NAMES,
    hiddenSize: 64,
    intermediateSize: 172,
    numHiddenLayers: 5,
    numAttentionHeads: 8,
    numKeyValueHeads: 4,
    headDim: 8,
    vocabSize: 512,
    maxPositionEmbeddings: 512,
    norm: "rms",
    normEps: 1e-5,
    qkNorm: "none",
    parallel: false,
    activation: "silu",
    layerKinds: rotating(10000),
    embeddingScale: 1,
    attentionScale: 1 / Math.sqrt(8),
    attentionSoftcap: null,
    logitSoftcap: null,
    tieWordEmbeddings: false,
    attentionBias: false,
    outputBias: false,
    mlpBias: false,
    bosTokenId: 1,
    eosTokenIds: [2],
  });
});

Deno.test("defaults are those of transformers", () => {
  const config = parse({
    num_key_value_heads: undefined,
    max_position_embeddings: undefined,
    rms_norm_eps: undefined,
    bos_token_id: undefined,
    eos_token_id: undefined,
  });
  const { numKeyValueHeads, maxPositionEmbeddings, normEps, bosTokenId, eosTokenIds } = config;
  assertEquals(
    [numKeyValueHeads, maxPositionEmbeddings, normEps, bosTokenId, eosTokenIds],
    [8, 2048, 1e-6, 1, [2]],
  );
});

Deno.test("biases follow the model type", () => {
  const biases = (changes: Record<string, unknown>) => {
    const { attentionBias, outputBias, mlpBias } = parse(changes);
    return [attentionBias, outputBias, mlpBias];
  };
  const qwen2 = { model_type: "qwen2", architectures: ["Qwen2ForCausalLM"] };
  const mistral = { model_type: "mistral", architectures: ["MistralForCausalLM"] };
  assertEquals(biases({ attention_bias: true }), [true, true, false]);
  assertEquals(biases({ mlp_bias: true }), [false, false, true]);
  assertEquals(biases(qwen2), [true, false, false]);
  assertEquals(biases(mistral), [false, false, false]);
  assertStringIncludes(message({ ...qwen2, attention_bias: false }), `"attention_bias"`);
  assertStringIncludes(message({ ...mistral, mlp_bias: true }), `"mlp_bias"`);
});

Deno.test("other spellings of the same model are accepted", () => {
  const ofSixteen = { headDim: 16, layerKinds: rotating(10000, 16), attentionScale: 0.25 };
  const accepted: [Record<string, unknown>, Partial<Architecture>][] = [
    [{ rope_theta: 5e5 }, { layerKinds: rotating(5e5) }],
    [{ rope_parameters: { rope_type: "default", rope_theta: 1e6 } }, { layerKinds: rotating(1e6) }],
    [{ rope_parameters: { rope_theta: 1e6 }, rope_theta: 1e6 }, { layerKinds: rotating(1e6) }],
    [{ rope_scaling: { type: "default" }, rope_theta: 7 }, { layerKinds: rotating(7) }],
    [{ rope_scaling: null, dtype: "bfloat16", transformers_version: "5.0.0" }, {}],
    [{ eos_token_id: [5, 6], bos_token_id: null }, { eosTokenIds: [5, 6], bosTokenId: null }],
    [{ eos_token_id: null }, { eosTokenIds: [] }],
    [{ head_dim: 16 }, ofSixteen],
    [{ head_dim: null, num_attention_heads: 4 }, { ...ofSixteen, numAttentionHeads: 4 }],
    [{ tie_word_embeddings: true }, { tieWordEmbeddings: true }],
    [{ hidden_act: "swish", pretraining_tp: 1, use_cache: true }, {}],
    [{ sliding_window: 4096, use_sliding_window: false }, {}],
    [{ layer_types: Array(5).fill("full_attention") }, {}],
    [{ quantization_config: null, some_new_switch: false, some_new_value: null }, {}],
    [{ architectures: null }, {}],
  ];
  for (const [changes, expected] of accepted) {
    assertEquals(parse(changes), { ...parse({}), ...expected }, JSON.stringify(changes));
  }
  const mistral = { model_type: "mistral", architectures: ["MistralForCausalLM"] };
  assertEquals(parse({ ...mistral, sliding_window: null }).modelType, "mistral");
  assertEquals(parse({ ...mistral, sliding_window: 512 }).maxPositionEmbeddings, 512);
});

Deno.test("what would change the arithmetic is refused, the field named", () => {
  const mistral = { model_type: "mistral", architectures: ["MistralForCausalLM"] };
  const refused: [Record<string, unknown>, string][] = [
    [{ model_type: "gemma" }, `"model_type" is "gemma"`],
    [{ model_type: undefined }, `"model_type" is missing`],
    [{ model_type: "toString" }, `"model_type"`],
    [{ architectures: ["LlamaForSequenceClassification"] }, `"architectures"`],
    [{ rope_scaling: { type: "linear" } }, `"rope_scaling.factor" is missing`],
    [{ rope_scaling: { rope_type: "llama3", factor: 8 } }, `"rope_scaling.low_freq_factor"`],
    [{ rope_scaling: { type: "dynamic", factor: 2 } }, `"rope_scaling.type" is "dynamic"`],
    [{ rope_parameters: { rope_type: "yarn" } }, `"rope_parameters.rope_type" is "yarn"`],
    [{ rope_parameters: { rope_type: "default", factor: 2 } }, `"rope_parameters.factor"`],
    [{ rope_parameters: { partial_rotary_factor: 0.5 } }, `"rope_parameters.partial_rotary_fac`],
    [{ rope_parameters: { rope_theta: 0 } }, `"rope_parameters.rope_theta"`],
    [{ rope_parameters: { rope_theta: 5 }, rope_theta: 6 }, `"rope_theta" is 6`],
    [{ rope_parameters: "default" }, `"rope_parameters"`],
    [{ partial_rotary_factor: 0.5 }, `"partial_rotary_factor" is 0.5`],
    [{ hidden_act: "relu" }, `"hidden_act" is "relu"`],
    [{ quantization_config: { bits: 4 } }, `"quantization_config"`],
    [{ auto_map: { AutoModel: "x.Y" } }, `"auto_map"`],
    [{ sliding_window: 256, use_sliding_window: true }, `"use_sliding_window" is true`],
    [{ layer_types: ["sliding_attention"] }, `"layer_types"`],
    [{ logits_scaling: 8 }, `"logits_scaling" is 8`],
    [{ rope_interleaved: true }, `"rope_interleaved"`],
    [{ ...mistral, num_key_value_heads: undefined }, `"num_key_value_heads" is missing`],
  ];
  for (const [changes, says] of refused) {
    assertStringIncludes(message(changes), says);
    assertStringIncludes(message(changes), `"some/config.json"`);
  }
});

Deno.test("sizes that do not fit each other are refused", () => {
  const refused: [Record<string, unknown>, string][] = [
    [{ num_key_value_heads: 3 }, `"num_key_value_heads" is 3: it must divide`],
    [{ num_key_value_heads: 16 }, `"num_key_value_heads"`],
    [{ num_attention_heads: 6, num_key_value_heads: 6 }, `"num_attention_heads" is 6`],
    [{ head_dim: 7 }, `"head_dim" is 7`],
    [{ head_dim: 512 }, `"head_dim" is 512`],
    [{ hidden_size: 1024, num_attention_heads: 2, num_key_value_heads: 2 }, "heads of 512"],
    [{ hidden_size: 24 }, "heads of 3"],
    [{ num_hidden_layers: 0 }, `"num_hidden_layers" is 0`],
    [{ num_hidden_layers: 5000 }, `"num_hidden_layers"`],
    [{ eos_token_id: 512 }, `"eos_token_id" is 512`],
    [{ eos_token_id: [1, "2"] }, `"eos_token_id"`],
    [{ bos_token_id: -1 }, `"bos_token_id" is -1`],
    [{ tie_word_embeddings: "yes" }, `"tie_word_embeddings"`],
    [{ rms_norm_eps: 0 }, `"rms_norm_eps"`],
    [{ rope_theta: -1 }, `"rope_theta"`],
  ];
  for (const [changes, says] of refused) assertStringIncludes(message(changes), says);
});

Deno.test("every size refuses 14 wrong values", () => {
  const sizes = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "head_dim",
  ];
  const wrong = [0, -1, 1.5, 1e-400, 2 ** 53, 1e300, "64", "", true, false, [1], {}, [], "NaN"];
  for (const name of sizes) {
    for (const value of wrong) assertStringIncludes(message({ [name]: value }), `"${name}"`);
  }
  for (const name of ["vocab_size", "hidden_size", "intermediate_size"]) {
    assertStringIncludes(message({ [name]: undefined }), `"${name}" is missing`);
    assertStringIncludes(message({ [name]: null }), `"${name}" is null`);
  }
});

Deno.test("text that is no JSON object is refused with the file", () => {
  const refused = ["", "{", "[]", "null", "1", '{"a":1,"a":2}', "\ufeff{}", "{'a':1}", "{}x"];
  for (const text of refused) {
    assertThrows(() => parseArchitecture(text, "some/config.json"), ModelError, "some/config.json");
  }
  assertThrows(
    () => parseArchitecture('{"x":{"a":[{"b":1,"b":2}]}}', "c"),
    ModelError,
    `"b" occurs twice`,
  );
  // The same key in different objects is fine, escaped quotes do not end a key.
  const text = JSON.stringify({ ...base, id2label: { '\\"a': { '"a\\': 1 }, a: { a: "a" } } });
  assertEquals(parseArchitecture(text, "c"), parse({}));
});

storiesTest("the config of stories260K is accepted", (model) => {
  const text = Deno.readTextFileSync(`${model}/config.json`);
  assertEquals(parseArchitecture(text, "c"), { ...parse({}), tieWordEmbeddings: true });
});
