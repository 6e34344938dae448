import { assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { ModelError } from "../../model/error.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { initParameter, parameterList } from "../../model/param_table.ts";
import { philox } from "../../model/philox.ts";

const text = {
  model_type: "llama",
  vocab_size: 100,
  hidden_size: 12,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
};

function list(changes: Record<string, unknown>) {
  return parameterList(parseArchitecture(JSON.stringify({ ...text, ...changes }), "config.json"));
}

Deno.test("names, shapes and decay of a model with all biases", () => {
  const rows = list({ attention_bias: true, mlp_bias: true, num_hidden_layers: 1 });
  const lines = rows.map(({ name, shape, decay }) => `${name} ${shape} ${decay}`);
  assertEquals(lines, [
    "model.embed_tokens.weight 100,12 true",
    "model.layers.0.input_layernorm.weight 12 false",
    "model.layers.0.self_attn.q_proj.weight 32,12 true",
    "model.layers.0.self_attn.q_proj.bias 32 false",
    "model.layers.0.self_attn.k_proj.weight 16,12 true",
    "model.layers.0.self_attn.k_proj.bias 16 false",
    "model.layers.0.self_attn.v_proj.weight 16,12 true",
    "model.layers.0.self_attn.v_proj.bias 16 false",
    "model.layers.0.self_attn.o_proj.weight 12,32 true",
    "model.layers.0.self_attn.o_proj.bias 12 false",
    "model.layers.0.post_attention_layernorm.weight 12 false",
    "model.layers.0.mlp.gate_proj.weight 20,12 true",
    "model.layers.0.mlp.gate_proj.bias 20 false",
    "model.layers.0.mlp.up_proj.weight 20,12 true",
    "model.layers.0.mlp.up_proj.bias 20 false",
    "model.layers.0.mlp.down_proj.weight 12,20 true",
    "model.layers.0.mlp.down_proj.bias 12 false",
    "model.norm.weight 12 false",
    "lm_head.weight 100,12 true",
  ]);
});

Deno.test("without biases and with a tied head: 9 tensors a layer and 2 more", () => {
  assertEquals(list({ tie_word_embeddings: true, num_hidden_layers: 5 }).length, 47);
  const qwen2 = list({ model_type: "qwen2" }).filter(({ name }) => name.endsWith(".bias"));
  assertEquals(qwen2.length, 6);
  assertEquals(qwen2.some(({ name }) => name.includes("o_proj")), false);
});

Deno.test("philox gives the known answers of its authors", () => {
  // kat_vectors of Random123, philox4x32 with 10 rounds
  const known = [
    [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const;
  const out = new Uint32Array(4);
  for (const [counter, key, expected] of known) {
    philox(counter, key, out);
    assertEquals([...out], [...expected]);
  }
});

function matrix(name: string, shape: readonly number[]) {
  return { name, shape, start: "normal" } as const;
}

Deno.test("matrices start normal with the standard deviation asked for", () => {
  for (const std of [0.02, 1]) {
    const values = initParameter(matrix("up_proj.weight", [500, 401]), { std, seed: 1 });
    const n = values.length;
    const moment = (k: number) => values.reduce((sum, x) => sum + (x / std) ** k, 0) / n;
    // Tolerances are 4.5 standard errors: sqrt(1/n), sqrt(2/n), sqrt(15/n), sqrt(96/n).
    const errors = [1, 2, 15, 96].map((variance) => 4.5 * Math.sqrt(variance / n));
    [0, 1, 0, 3].forEach((expected, i) => assertAlmostEquals(moment(i + 1), expected, errors[i]));
    // Neighbours, which share a block, are not correlated.
    let product = 0;
    for (let i = 1; i < n; i++) product += values[i] * values[i - 1] / std ** 2;
    assertAlmostEquals(product / n, 0, errors[0]);
  }
});

Deno.test("values depend on seed, name and index, not on size or order", () => {
  const make = (name: string, length: number, seed: number) =>
    initParameter(matrix(name, [length]), { seed });
  const first = make("a.weight", 1001, 7);
  assertEquals([...make("a.weight", 10, 7)], [...first.subarray(0, 10)]);
  assertEquals([...make("a.weight", 1001, 7)], [...first]);
  for (const other of [make("b.weight", 1001, 7), make("a.weight", 1001, 8)]) {
    assertEquals(first.filter((x, i) => x === other[i]).length < 5, true);
  }
  assertNotEquals(make("a.weight", 4, 2 ** 32), make("a.weight", 4, 0));
  for (const seed of [-1, 0.5, 2 ** 53, NaN]) {
    assertThrows(() => make("a.weight", 4, seed), ModelError, "seed");
  }
});

Deno.test("norms start at one, biases at zero", () => {
  for (const spec of list({ attention_bias: true })) {
    const values = initParameter(spec, { seed: 3 });
    const expected = spec.name.endsWith("bias") ? 0 : 1;
    assertEquals(values.every((x) => x === expected), !spec.decay, spec.name);
  }
});

Deno.test("norms that are added to one start at zero, those of GPT-2 at one with biases", () => {
  const starts = (text: Record<string, unknown>, name: string) =>
    parameterList(parseArchitecture(JSON.stringify(text), "config.json"))
      .find((spec) => spec.name === name)?.start;
  const gemma = { ...text, model_type: "gemma2" };
  const norm = "model.layers.1.pre_feedforward_layernorm.weight";
  assertEquals(starts(gemma, norm), "zeros");
  const gpt2 = { model_type: "gpt2", vocab_size: 9, n_embd: 8, n_layer: 1, n_head: 2 };
  assertEquals(starts(gpt2, "transformer.h.0.ln_1.weight"), "ones");
  assertEquals(starts(gpt2, "transformer.ln_f.bias"), "zeros");
  assertEquals(starts(gpt2, "transformer.h.0.attn.c_attn.weight"), "normal");
});
