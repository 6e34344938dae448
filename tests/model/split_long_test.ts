/** Parameters larger than a binding are split by rows, the vocabulary into chunks: same bytes. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Gpu, openGpu } from "../../gpu/device.ts";
import type { Architecture } from "../../model/architecture.ts";
import type { LlamaOptions } from "../../model/llama.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { parameterList } from "../../model/param_table.ts";
import { layOut } from "../../model/slabs.ts";
import { assertSameBits } from "../assert_close.ts";
import {
  adamw,
  assertSameTensors,
  collect,
  engineOf,
  gradientsOf,
  type Model,
  openForTests,
  randomModel,
  randomPairs,
  randomSeeds,
  row,
  SMALL,
  withHeadDim,
} from "./small_engine.ts";

const ordinary = await openForTests();

/** Names and row ranges of the parameters that a limit splits. */
function splits(config: Architecture, limit: number): Record<string, number[]> {
  const { parameters } = layOut(parameterList(config), limit, 64);
  return Object.fromEntries(
    [...parameters.values()].filter(({ parts }) => parts.length > 1).map(({ name, parts }) => [
      name,
      parts.map(({ rowBegin, rowEnd }) => rowEnd - rowBegin),
    ]),
  );
}

/** Everything a model computes, in a step without clipping (the norm adds slabs in their order). */
async function everything(gpu: Gpu, model: Model, options: Partial<LlamaOptions>) {
  const engine = await engineOf(gpu, model, options);
  const rows = randomPairs(2, 3, model.config.vocabSize);
  const scores = await engine.score(rows);
  await engine.learn(rows, randomSeeds(3, scores));
  const gradients = await gradientsOf(engine);
  const logits = await engine.nextLogits(rows.map(({ prompt }) => prompt));
  const { gradNorm } = await engine.update(adamw(1, { maxGradNorm: 0 })).status();
  const weights = await collect(engine.weights());
  const moments = await collect(engine.moments());
  engine.destroy();
  return { logps: scores.logps, gradients, logits, gradNorm, weights, moments };
}

async function compare(model: Model, limit: number, options: Partial<LlamaOptions>): Promise<void> {
  const narrow = await openGpu({ bindingLimit: limit });
  const found = await everything(narrow, model, options);
  narrow.destroy();
  const expected = await everything(ordinary, model, options);
  assertSameBits(found.logps, expected.logps, "log-probabilities");
  assertSameBits(found.logits, expected.logits, "logits");
  for (const part of ["gradients", "weights", "moments"] as const) {
    assertSameTensors(found[part], expected[part], part);
  }
  assert(Math.abs(found.gradNorm / expected.gradNorm - 1) < 1e-6);
}

/** Most of its matrices have more rows than a part holds. */
const WIDE: Architecture = {
  ...withHeadDim(SMALL, 16),
  hiddenSize: 320,
  intermediateSize: 260,
  numHiddenLayers: 1,
  numAttentionHeads: 20,
  numKeyValueHeads: 4,
  vocabSize: 301,
};

Deno.test("matrices that stand as [in, out], split by rows, give the same bytes: GPT-2", async () => {
  const text = JSON.stringify({
    model_type: "gpt2",
    vocab_size: 61,
    n_embd: 320,
    n_layer: 1,
    n_head: 20,
    n_positions: 64,
    n_inner: 800,
  });
  const config = parseArchitecture(text, "config.json"), limit = 256 * 960 * 4;
  assertEquals(splits(config, limit), {
    "transformer.h.0.attn.c_attn.weight": [256, 64],
    "transformer.h.0.mlp.c_fc.weight": [256, 64],
    "transformer.h.0.mlp.c_proj.weight": [768, 32],
  });
  await compare(randomModel(config, 9), limit, { tokens: 200, scored: 100 });
});

Deno.test("fused matrices, split by rows, give the same bytes: Phi-3", async () => {
  const text = JSON.stringify({
    model_type: "phi3",
    vocab_size: 61,
    hidden_size: 320,
    intermediate_size: 260,
    num_hidden_layers: 1,
    num_attention_heads: 20,
    num_key_value_heads: 4,
    max_position_embeddings: 64,
  });
  const config = parseArchitecture(text, "config.json"), limit = 256 * 320 * 4;
  assertEquals(splits(config, limit), {
    "model.layers.0.self_attn.qkv_proj.weight": [256, 192],
    "model.layers.0.self_attn.o_proj.weight": [256, 64],
    "model.layers.0.mlp.gate_up_proj.weight": [256, 256, 8],
    "model.layers.0.mlp.down_proj.weight": [256, 64],
  });
  await compare(randomModel(config, 10), limit, { tokens: 150, scored: 100 });
});

for (const tieWordEmbeddings of [false, true]) {
  const config = {
    ...WIDE,
    tieWordEmbeddings,
    attentionBias: true,
    outputBias: true,
    mlpBias: true,
  };
  const tied = tieWordEmbeddings ? "tied" : "untied";

  Deno.test(`matrices split by rows give the same bytes: ${tied}, biases`, async () => {
    const limit = 256 * 320 * 4;
    assertEquals(splits(config, limit), {
      "model.embed_tokens.weight": [256, 45],
      "model.layers.0.self_attn.q_proj.weight": [256, 64],
      "model.layers.0.self_attn.o_proj.weight": [256, 64],
      "model.layers.0.mlp.gate_proj.weight": [256, 4],
      "model.layers.0.mlp.up_proj.weight": [256, 4],
      "model.layers.0.mlp.down_proj.weight": [256, 64],
      ...tieWordEmbeddings ? {} : { "lm_head.weight": [256, 45] },
    });
    await compare(randomModel(config, 6), limit, { tokens: 200, scored: 100 });
  });
}

Deno.test("log-probabilities do not depend on the chunks of the vocabulary", async () => {
  // Whole: one chunk of 701 columns; split: 256, 256 and 189.
  const config = { ...withHeadDim(SMALL, 16), hiddenSize: 64, vocabSize: 701 };
  assertEquals(splits(config, 1 << 16)["lm_head.weight"], [256, 256, 189]);
  // 64 KiB hold 21 rows of 768 logits.
  const few = { tokens: 150, scored: 21 };
  const { weights } = randomModel(config, 7);
  await compare({ config, weights }, 1 << 16, few);
});

Deno.test("a vocabulary above 2304 goes through the head in chunks of any size", async () => {
  const config: Architecture = {
    ...withHeadDim(SMALL, 4),
    hiddenSize: 8,
    intermediateSize: 12,
    numAttentionHeads: 2,
    numKeyValueHeads: 1,
    vocabSize: 8451,
  };
  // Whole: three chunks of 2304 and one of 1539; split: parts of 6144 and 2307.
  assertEquals(splits(config, 200_000)["lm_head.weight"], [6144, 2307]);
  const model = randomModel(config, 8);
  const narrow = await openGpu({ bindingLimit: 200_000 });
  const rows = [row(0, [1, 2304, 2303], [[8450], [2304, 6143, 2]]), row(1, [6144, 5], [[0]])];
  const results: Float32Array[] = [], gradients: Map<string, Float32Array>[] = [];
  for (const gpu of [ordinary, narrow]) {
    const engine = await engineOf(gpu, model, { tokens: 60, scored: 6 });
    const scores = await engine.score(rows);
    results.push(scores.logps);
    await engine.learn(rows, randomSeeds(9, scores));
    gradients.push(await gradientsOf(engine));
    // The log-probabilities are those of the logits, summed in float64.
    const sequences = [[1, 2304, 2303], [1, 2304, 2303], [1, 2304, 2303, 2304]];
    const logits = await engine.nextLogits(sequences.map((ids) => Uint32Array.from(ids)));
    for (const [i, target] of [8450, 2304, 6143].entries()) {
      const own = logits.subarray(i * 8451, (i + 1) * 8451);
      const expected = own[target] - Math.log(own.reduce((sum, x) => sum + Math.exp(x), 0));
      assert(Math.abs(scores.logps[i] - expected) < 1e-5, `${scores.logps[i]}, not ${expected}`);
    }
    engine.destroy();
  }
  narrow.destroy();
  assertSameBits(results[1], results[0], "log-probabilities");
  assertSameTensors(gradients[1], gradients[0], "gradients");
});

Deno.test("a binding too small for 256 rows is refused by name", () => {
  assertThrows(
    () => layOut(parameterList(WIDE), 256 * 320 * 4 - 1, 64),
    Error,
    'Cannot place tensor "model.embed_tokens.weight": 256 rows of 1280 bytes exceed a binding of ' +
      "327679 bytes",
  );
});
