import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { NamedTensor } from "../../model/engine.ts";
import { ModelError } from "../../model/error.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { openModelFolder, type Precision, writeModelFolder } from "../../model/model_folder.ts";
import { initParameter, parameterList } from "../../model/param_table.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import { encodeSafetensors } from "../../model/safetensors_write.ts";
import { fileTest, storiesTest, writeFiles } from "./temporary_folder.ts";

const configText = `{"model_type":"llama","vocab_size":10,"hidden_size":8,"intermediate_size":6,
  "num_hidden_layers":1,"num_attention_heads":2,"rope_theta":10000.0,"rms_norm_eps":1e-05,
  "attention_dropout":0.0,"torch_dtype":"float16"}`;
const tiedText = configText.replace("{", `{"tie_word_embeddings":true,`);

function tensorsOf(text: string): NamedTensor[] {
  return parameterList(parseArchitecture(text, "config.json")).map((spec) => (
    { name: spec.name, shape: spec.shape, data: initParameter(spec, { seed: 5 }) }
  ));
}

function writeModel(dir: string, text: string, tensors: readonly NamedTensor[]): void {
  writeFiles(dir, {
    "config.json": text,
    "model.safetensors": encodeSafetensors(tensors.map((t) => ({ ...t, dtype: "F32" }))),
  });
}

function listFolder(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

fileTest("a folder is opened and its parameters are read, whole or by rows", (dir) => {
  const tensors = tensorsOf(configText);
  writeModel(dir, configText, tensors);
  writeFiles(dir, { "tokenizer.json": "{}", "notes.txt": "" });
  using model = openModelFolder(dir);
  assertEquals(model.parameters.length, 12);
  assertEquals(model.parameterCount, tensors.reduce((n, { data }) => n + data.length, 0));
  assertEquals([model.dtypes, model.companions, model.notices], [["F32"], ["tokenizer.json"], []]);
  for (const { name, data } of tensors) assertEquals([...model.readParameter(name)], [...data]);
  const head = tensors.at(-1)!.data;
  assertEquals([...model.readParameter("lm_head.weight", 3, 5)], [...head.subarray(24, 40)]);
  assertThrows(() => model.readParameter("other"), ModelError, `no "other"`);
});

fileTest("weights that do not fit config.json are refused with the tensor named", (dir) => {
  const tensors = tensorsOf(configText);
  const refused: [NamedTensor[], string][] = [
    [
      tensors.slice(0, -1),
      `tensor "lm_head.weight" [10,8], which config.json asks for, is missing`,
    ],
    [tensors.slice(1), `tensor "model.embed_tokens.weight" [10,8]`],
    [
      tensors.with(0, { ...tensors[0], shape: [8, 10] }),
      `"model.embed_tokens.weight" has shape [8,10], config.json asks for [10,8]`,
    ],
    [tensors.with(0, { ...tensors[0], shape: [80] }), "has shape [80]"],
    [
      [...tensors, {
        name: "model.layers.1.mlp.up_proj.weight",
        shape: [1],
        data: Float32Array.of(1),
      }],
      `tensor "model.layers.1.mlp.up_proj.weight" is not part of the model`,
    ],
  ];
  for (const [list, says] of refused) {
    writeModel(dir, configText, list);
    assertThrows(() => openModelFolder(dir), ModelError, says);
  }
});

fileTest("tensors of old files that follow from the config are ignored with a notice", (dir) => {
  const name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  writeModel(dir, configText, [
    ...tensorsOf(configText),
    { name, shape: [2], data: Float32Array.of(1, 0.01) },
  ]);
  using model = openModelFolder(dir);
  assertEquals(model.notices, [
    `Ignored 1 stored tensors of "${dir}" that follow from config.json`,
  ]);
  assertThrows(() => model.readParameter(name), ModelError);
});

const gpt2Text = `{"model_type":"gpt2","vocab_size":10,"n_embd":8,"n_layer":1,"n_head":2,
  "n_positions":6}`;

fileTest("GPT-2 without its names' beginning, with its masks, is read as with it", (dir) => {
  const tensors = tensorsOf(gpt2Text);
  const bare = tensors.map((one) => ({ ...one, name: one.name.replace("transformer.", "") }));
  const mask = { name: "h.0.attn.bias", shape: [1, 1, 6, 6], data: new Float32Array(36) };
  writeModel(dir, gpt2Text, [...bare, mask]);
  using model = openModelFolder(dir);
  assertEquals(model.notices.length, 1);
  for (const { name, data } of tensors) assertEquals(model.readParameter(name), data, name);
  assertEquals([...model.readParameter("transformer.wte.weight", 1, 2)], [
    ...tensors[0].data.subarray(8, 16),
  ]);
  // Both at once are two models.
  writeModel(dir, gpt2Text, [...tensors, bare[0]]);
  assertThrows(() => openModelFolder(dir), ModelError, `"wte.weight" is not part of the model`);
});

fileTest("a tied model may store an equal head, not another one", (dir) => {
  const tensors = tensorsOf(tiedText);
  const head = { ...tensors[0], name: "lm_head.weight", data: tensors[0].data.slice() };
  writeModel(dir, tiedText, [...tensors, head]);
  openModelFolder(dir).close();
  head.data[57] += 1;
  writeModel(dir, tiedText, [...tensors, head]);
  assertThrows(() => openModelFolder(dir), ModelError, `"model.embed_tokens.weight" in row 7`);
  writeModel(dir, tiedText, [...tensors, { ...head, shape: [80] }]);
  assertThrows(() => openModelFolder(dir), ModelError, `"lm_head.weight" has shape [80]`);
});

fileTest("NaN and infinity in weights are refused with tensor and index", (dir) => {
  for (const value of [NaN, Infinity, -Infinity]) {
    const tensors = tensorsOf(configText);
    tensors[0].data[42] = value;
    writeModel(dir, configText, tensors);
    using model = openModelFolder(dir);
    const says = `tensor "model.embed_tokens.weight" has ${value} at index 42`;
    assertThrows(() => model.readParameter(tensors[0].name), ModelError, says);
    assertThrows(() => model.readParameter(tensors[0].name, 5), ModelError, says);
    assertEquals(model.readParameter(tensors[0].name, 0, 5).length, 40);
  }
});

fileTest("missing and malformed config.json are ModelErrors with the path", (dir) => {
  assertThrows(() => openModelFolder(`${dir}/none`), ModelError, `${dir}/none`);
  assertThrows(() => openModelFolder(dir), ModelError, `${dir}/config.json`);
  writeFiles(dir, { "config.json": "{" });
  assertThrows(() => openModelFolder(dir), ModelError, "not valid JSON");
  assertThrows(() => openModelFolder(`${dir}/config.json`), ModelError, "not a folder");
  Deno.writeFileSync(`${dir}/config.json`, Uint8Array.of(0x7b, 0xc3, 0x28, 0x7d));
  assertThrows(() => openModelFolder(dir), ModelError, "UTF-8");
});

fileTest(
  "a written folder opens again, with rounded values and the dtype of its precision",
  async (dir) => {
    const tensors = tensorsOf(configText);
    writeFiles(dir, { "tokenizer.json": "{1}", "generation_config.json": "{2}" });
    const filesToCopy = [`${dir}/tokenizer.json`, `${dir}/generation_config.json`];
    const expected: [Precision, string, number][] = [
      ["f32", "float32", 0],
      ["fp16", "float16", 2 ** -11],
      ["bf16", "bfloat16", 2 ** -8],
    ];
    for (const [precision, torch, tolerance] of expected) {
      const out = `${dir}/${precision}/final/`;
      const extraFiles = { "mode_state.json": "{}" };
      // Order of arrival does not matter.
      const options = { configText, precision, filesToCopy, extraFiles };
      await writeModelFolder(out, { ...options, tensors: tensors.toReversed() });
      assertEquals(listFolder(`${dir}/${precision}`), ["final"]);
      assertEquals(listFolder(out), [
        "config.json",
        "generation_config.json",
        "mode_state.json",
        "model.safetensors",
        "tokenizer.json",
      ]);
      assertEquals(Deno.readTextFileSync(`${out}/tokenizer.json`), "{1}");
      const text = Deno.readTextFileSync(`${out}/config.json`);
      assertEquals(JSON.parse(text), { ...JSON.parse(configText), torch_dtype: torch });
      for (const part of [`"rope_theta": 10000.0`, `"rms_norm_eps": 1e-05`]) {
        assertEquals(text.includes(part), true, text);
      }
      using model = openModelFolder(out);
      for (const { name, data } of tensors) {
        const back = model.readParameter(name);
        const far = data.findIndex((x, i) => Math.abs(back[i] - x) > tolerance * Math.abs(x));
        // Below 6e-5 float16 has a fixed step.
        if (far >= 0) {
          assertEquals(
            Math.abs(data[far]) < 6.2e-5 && precision === "fp16",
            true,
            name,
          );
        }
      }
    }
  },
);

fileTest("a limit makes several files with an index, which is the same model", async (dir) => {
  const tensors = tensorsOf(configText);
  const write = (name: string, maxShardBytes: number) =>
    writeModelFolder(`${dir}/${name}`, { configText, precision: "fp16", tensors, maxShardBytes });
  // Of 12 tensors the largest, embedding and head, have 160 bytes each.
  await write("whole", 1e9);
  await write("parts", 300);
  await write("each", 1);
  assertEquals(listFolder(`${dir}/whole`), ["config.json", "model.safetensors"]);
  const parts = listFolder(`${dir}/parts`);
  assertEquals([parts.length, parts[1], parts.at(-1)], [
    7,
    "model-00001-of-00005.safetensors",
    "model.safetensors.index.json",
  ]);
  assertEquals(listFolder(`${dir}/each`).length, 12 + 2);
  const index = JSON.parse(Deno.readTextFileSync(`${dir}/parts/model.safetensors.index.json`));
  assertEquals(index.metadata.total_size, 2 * tensors.reduce((n, { data }) => n + data.length, 0));
  assertEquals(Object.keys(index.weight_map).length, 12);
  for (const name of parts.filter((name) => name.startsWith("model-"))) {
    using file = SafetensorsFile.open(`${dir}/parts/${name}`);
    const bytes = [...file.tensors.values()].reduce((n, { begin, end }) => n + end - begin, 0);
    assertEquals(bytes <= 300, true, `${name} has ${bytes} bytes`);
  }
  using whole = openModelFolder(`${dir}/whole`);
  for (const name of ["parts", "each"]) {
    using model = openModelFolder(`${dir}/${name}`);
    for (const { name } of whole.parameters) {
      assertEquals(model.readParameter(name), whole.readParameter(name));
    }
  }
  const missing = { configText, precision: "f32" as const, maxShardBytes: 300 };
  await assertRejects(
    () => writeModelFolder(`${dir}/x`, { ...missing, tensors: tensors.slice(1) }),
    ModelError,
    `tensor "model.embed_tokens.weight" was never written`,
  );
  assertEquals(listFolder(dir), ["each", "parts", "whole"]);
});

fileTest("the dtype is updated under the names the config has", async (dir) => {
  const spellings: [string, Record<string, string>][] = [
    [configText.replace("torch_dtype", "dtype"), { dtype: "bfloat16" }],
    [configText.replace(`,"torch_dtype":"float16"`, ""), { torch_dtype: "bfloat16" }],
  ];
  for (const [i, [text, expected]] of spellings.entries()) {
    const tensors = tensorsOf(text);
    await writeModelFolder(`${dir}/${i}`, { configText: text, precision: "bf16", tensors });
    const written = JSON.parse(Deno.readTextFileSync(`${dir}/${i}/config.json`));
    const { dtype, torch_dtype } = written;
    assertEquals(JSON.parse(JSON.stringify({ dtype, torch_dtype })), expected);
  }
});

fileTest("nothing is written over, and a failure leaves nothing", async (dir) => {
  const tensors = tensorsOf(configText);
  const write = (list: Iterable<NamedTensor>, precision: Precision = "f32", more = {}) =>
    writeModelFolder(`${dir}/out`, { configText, precision, tensors: list, ...more });
  const changed = (value: number) =>
    tensors.with(2, { ...tensors[2], data: tensors[2].data.with(9, value) });
  const failures: [() => Promise<void>, string][] = [
    [() => write(tensors.slice(1)), `tensor "model.embed_tokens.weight" was never written`],
    [() => write([...tensors, tensors[0]]), "written twice"],
    [() => write(changed(NaN)), `"model.layers.0.self_attn.q_proj.weight" has NaN at index 9`],
    [() => write(changed(1e5), "fp16"), "too large for F16"],
    [() => write(tensors, "f32", { filesToCopy: [`${dir}/none`] }), "does not exist"],
  ];
  for (const [attempt, says] of failures) {
    await assertRejects(attempt, ModelError, says);
    assertEquals(listFolder(dir), []);
  }
  // A leftover of a killed run is no obstacle, an empty folder neither.
  Deno.mkdirSync(`${dir}/out.partial`);
  Deno.mkdirSync(`${dir}/out`);
  writeFiles(`${dir}/out.partial`, { "model.safetensors.tmp": "torn" });
  await write(tensors);
  assertEquals(listFolder(dir), ["out"]);
  const before = Deno.readFileSync(`${dir}/out/model.safetensors`);
  await assertRejects(() => write(changed(3)), ModelError, "not empty");
  assertEquals(Deno.readFileSync(`${dir}/out/model.safetensors`), before);
  writeFiles(dir, { file: "" });
  await assertRejects(
    () => writeModelFolder(`${dir}/file`, { configText, precision: "f32", tensors }),
    ModelError,
    "a file is in the way",
  );
});

fileTest("an error of the tensors' source passes through, and nothing is left", async (dir) => {
  async function* failing(): AsyncGenerator<NamedTensor> {
    yield* tensorsOf(configText).slice(0, 2);
    await Promise.resolve();
    throw new TypeError("the source failed");
  }
  const model = { configText, precision: "f32", tensors: failing() } as const;
  await assertRejects(() => writeModelFolder(`${dir}/out`, model), TypeError, "the source failed");
  assertEquals(listFolder(dir), []);
});

storiesTest(
  "stories260K: 47 tensors, and the same bytes when written again",
  async (source, dir) => {
    using model = openModelFolder(source);
    assertEquals([model.parameters.length, model.parameterCount], [47, 260_032]);
    assertEquals(model.notices, []);
    const first = model.readParameter("model.embed_tokens.weight").subarray(0, 2);
    const filesToCopy = model.companions.map((name) => `${source}/${name}`);
    const tensors = model.parameters.map(({ name, shape }) => (
      { name, shape, data: model.readParameter(name) }
    ));
    const { configText } = model;
    await writeModelFolder(`${dir}/f`, { configText, precision: "f32", tensors, filesToCopy });
    const read = (folder: string, name: string) => Deno.readFileSync(`${folder}/${name}`);
    for (const name of [...model.companions, "model.safetensors"]) {
      const [before, after] = [read(source, name), read(`${dir}/f`, name)];
      assertEquals(before.length, after.length, name);
      assertEquals(before.findIndex((byte, i) => byte !== after[i]), -1, name);
    }
    assertEquals(model.companions.includes("tokenizer.json"), true);
    const bytes = read(source, "model.safetensors");
    const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const view = new DataView(bytes.buffer, start);
    assertEquals([...first], [view.getFloat32(0, true), view.getFloat32(4, true)]);
  },
);
