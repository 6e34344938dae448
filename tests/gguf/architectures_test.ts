/** The tiny models of every architecture through GGUF files: sizes, constants and values come back. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ModelError } from "../../model/error.ts";
import { exportGguf } from "../../model/gguf/export.ts";
import { GgufFile } from "../../model/gguf/file.ts";
import { openModelFolder } from "../../model/model_folder.ts";
import { type ArchitectureName, folderOf } from "../model/architectures.ts";
import { fileTest } from "../model_files/temporary_folder.ts";
import { writeSmallModel } from "./small_model.ts";

/** Fields without which readers of GGUF files know the model, by golden. */
const PLAIN: Readonly<Partial<Record<ArchitectureName, Record<string, unknown>>>> = {
  llama: {},
  llama_linear_rope: { hidden_act: "silu" },
  mistral: { sliding_window: null },
  qwen2: { use_sliding_window: false, layer_types: null },
  qwen3: {},
  gemma2: { query_pre_attn_scalar: 16 },
  gemma3_text: { query_pre_attn_scalar: 16, layer_types: null },
  phi3: {},
  gpt_neox: {},
  // Read as the exact GELU, which readers of GGUF replace by the hyperbolic tangent anyway.
  gpt_neox_serial: { hidden_act: "gelu" },
  gpt2: {},
  olmo2: {},
  smollm3: { use_sliding_window: false, layer_types: null, no_rope_layers: null },
};

/** A golden's folder with other fields in its config. */
function copyModel(name: ArchitectureName, dir: string, fields: Record<string, unknown>): string {
  Deno.mkdirSync(`${dir}/${name}`);
  const source = folderOf(name),
    config = JSON.parse(Deno.readTextFileSync(`${source}/config.json`));
  Deno.writeTextFileSync(`${dir}/${name}/config.json`, JSON.stringify({ ...config, ...fields }));
  Deno.copyFileSync(`${source}/model.safetensors`, `${dir}/${name}/model.safetensors`);
  return `${dir}/${name}`;
}

function exportModel(place: string, out: string): void {
  using folder = openModelFolder(place);
  const tokens = Array.from({ length: folder.config.vocabSize }, (_, i) => `t${i}`);
  const vocabulary = {
    model: "gpt2",
    pre: "gpt-2",
    tokens,
    merges: [],
    bosId: folder.config.bosTokenId ?? undefined,
    eosId: folder.config.eosTokenIds[0],
  };
  exportGguf(folder, { out, dtype: "F32", name: "tiny", vocabulary });
}

for (const [name, fields] of Object.entries(PLAIN) as [ArchitectureName, object][]) {
  fileTest(`${name}: a GGUF file holds sizes, constants and every value`, (dir) => {
    const place = copyModel(name, dir, fields as Record<string, unknown>), out = `${dir}/x.gguf`;
    exportModel(place, out);
    using before = openModelFolder(place), after = openModelFolder(out);
    const { modelType, ...sizes } = before.config;
    // Mistral without a window is a Llama.
    assertEquals(after.config.modelType, modelType === "mistral" ? "llama" : modelType);
    assertEquals({ ...after.config, modelType }, { modelType, ...sizes });
    const shifted = before.config.norm === "rms_one_plus";
    for (const { name } of before.parameters) {
      const [own, other] = [before.readParameter(name), after.readParameter(name)];
      // 1 + w in float32 keeps 24 bits of the sum.
      const bound = shifted && name.endsWith("norm.weight") ? 2 ** -24 : 0;
      assertEquals(own.length, other.length);
      const far = own.findIndex((x, i) => !(Math.abs(x - other[i]) <= bound));
      assertEquals(far, -1, `${name}: ${own[far]} came back as ${other[far]}`);
    }
  });
}

fileTest("Gemma 3 with a layer of full attention keeps both rotary embeddings", (dir) => {
  const place = `${dir}/m`, out = `${dir}/x.gguf`;
  writeSmallModel(place, {
    model_type: "gemma3_text",
    num_hidden_layers: 7,
    head_dim: 8,
    query_pre_attn_scalar: 8,
    sliding_window: 16,
    rope_theta: 1e6,
    rope_local_base_freq: 500,
    rope_scaling: { rope_type: "linear", factor: 8 },
    tie_word_embeddings: true,
  });
  exportModel(place, out);
  using before = openModelFolder(place), after = openModelFolder(out);
  assertEquals(after.config.layerKinds, before.config.layerKinds);
  const kinds = before.config.layerKinds.map(({ slidingWindow, rotary }) => [
    slidingWindow,
    rotary!.theta,
  ]);
  assertEquals(kinds[4], [16, 500]);
  assertEquals(kinds[5], [null, 1e6]);
  // transformers refuses whole numbers here.
  for (
    const text of [`"rope_theta": 1000000.0`, `"rope_local_base_freq": 500.0`, `"factor": 8.0`]
  ) {
    assert(after.configText.includes(text), after.configText);
  }
});

fileTest("a norm of Gemma lies in the file as 1 + w", (dir) => {
  const place = copyModel("gemma2", dir, PLAIN.gemma2!), out = `${dir}/x.gguf`;
  exportModel(place, out);
  using folder = openModelFolder(place);
  using file = GgufFile.open(out);
  const norm = folder.readParameter("model.layers.1.post_feedforward_layernorm.weight");
  const stored = file.readRows("blk.1.post_ffw_norm.weight", 0, 1);
  assertEquals([...stored], [...norm.map((w) => 1 + w)]);
});

fileTest("what a GGUF file cannot say is refused by name", (dir) => {
  const cases: [ArchitectureName, Record<string, unknown>, string][] = [
    ["mistral", {}, "let layer 0 see everything, this model only 7 tokens"],
    ["qwen2", {}, "let layer 1 see everything"],
    ["llama_linear_rope", {}, "know silu, this model has gelu"],
    ["gemma2", { query_pre_attn_scalar: 9 }, "scale attention by 0.25, this model by 0.333"],
    ["smollm3", { ...PLAIN.smollm3, no_rope_layer_interval: 2 }, "rotary embedding in layer 1"],
  ];
  for (const [name, fields, says] of cases) {
    const place = copyModel(name, dir, fields);
    const error = assertThrows(() => exportModel(place, `${dir}/x.gguf`), ModelError);
    assert(error.message.includes(says), `${name}: ${error.message}`);
    Deno.removeSync(place, { recursive: true });
  }
  assertEquals([...Deno.readDirSync(dir)].length, 0);
});
