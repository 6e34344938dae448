import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { exportModel, run } from "../../commands/export.ts";
import { UsageError } from "../../commands/exit_code.ts";
import { openTokenizer, pretrainedModel } from "../../commands/model_source.ts";
import { loadTokenizer } from "../../data/tokenizer.ts";
import { ModelError } from "../../model/error.ts";
import { GgufFile } from "../../model/gguf/file.ts";
import { openModelFolder } from "../../model/model_folder.ts";
import { fileTest, storiesTest } from "../model_files/temporary_folder.ts";
import { valuesOf, writeSmallModel } from "./small_model.ts";
import { byteLevel, idsOf, sentencePiece } from "./small_tokenizers.ts";

const TEXTS = [
  "the thing",
  "  and\n the  ",
  "Ünïcödé 😀 漢字",
  "'s the\t12345 ings",
  "</s><|end|>",
  "",
];

async function exported(dir: string, dtype: string): Promise<string> {
  const out = `${dir}.${dtype}.gguf`;
  await exportModel({ model: dir, dtype, out });
  return out;
}

function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

const MODELS: readonly (readonly [string, Record<string, unknown>])[] = [
  ["llama", { model_type: "llama" }],
  ["llama with biases and a tied head", {
    model_type: "llama",
    attention_bias: true,
    mlp_bias: true,
    tie_word_embeddings: true,
  }],
  ["llama with heads of their own size", { model_type: "llama", head_dim: 12 }],
  ["qwen2", { model_type: "qwen2", rope_theta: 1e6, bos_token_id: null }],
];

for (const [name, fields] of MODELS) {
  fileTest(`${name}: written as GGUF and read again it is the same model`, async (dir) => {
    const values = writeSmallModel(`${dir}/m`, fields);
    const file = await exported(`${dir}/m`, "f32");
    const back = valuesOf(file);
    assertEquals([...back.keys()].sort(), [...values.keys()].sort());
    for (const [key, data] of values) assertEquals(bits(back.get(key)!), bits(data), key);
    using before = openModelFolder(`${dir}/m`), after = openModelFolder(file);
    assertEquals({ ...after.config }, { ...before.config, bosTokenId: after.config.bosTokenId });
  });
}

fileTest("Llama's queries and keys lie in pairs in the file, Qwen's in halves", async (dir) => {
  for (const [type, source] of [["llama", 4], ["qwen2", 1]] as const) {
    const values = writeSmallModel(`${dir}/${type}`, { model_type: type });
    using file = GgufFile.open(await exported(`${dir}/${type}`, "f32"));
    const query = values.get("model.layers.1.self_attn.q_proj.weight")!;
    // Heads of 8: the second row of a head is its fifth (the second half's first), or its second.
    const row = file.readRows("blk.1.attn_q.weight", 9, 10);
    assertEquals([...row], [...query.subarray((8 + source) * 32, (9 + source) * 32)], type);
  }
});

fileTest("rows of a reordered tensor are read alone", async (dir) => {
  const values = writeSmallModel(`${dir}/m`, { model_type: "llama" });
  using model = openModelFolder(await exported(`${dir}/m`, "f32"));
  for (const name of ["self_attn.k_proj", "mlp.up_proj"]) {
    const full = `model.layers.0.${name}.weight`, data = values.get(full)!;
    assertEquals(bits(model.readParameter(full, 3, 11)), bits(data.slice(3 * 32, 11 * 32)), name);
    assertEquals(model.readParameter(full, 5, 5).length, 0);
  }
});

fileTest("f16 and q8_0 store matrices in fewer bits, norms as they are", async (dir) => {
  const values = writeSmallModel(`${dir}/m`, { model_type: "llama" });
  for (const [dtype, type, tolerance] of [["f16", "F16", 2 ** -11], ["q8_0", "Q8_0", 1]] as const) {
    const path = await exported(`${dir}/m`, dtype);
    using file = GgufFile.open(path);
    const types = [...file.tensors].map(([name, tensor]) => [name, tensor.type] as const);
    for (const [name, found] of types) assertEquals(found, /norm/.test(name) ? "F32" : type, name);
    for (const [name, back] of valuesOf(path)) {
      const data = values.get(name)!, largest = Math.max(...data.map(Math.abs));
      // Half a step of a block's scale, at most largest / 127 and itself rounded to 11 bits.
      const bound = (x: number) =>
        dtype === "f16" ? Math.abs(x) * tolerance + 1e-7 : largest / 254 + largest * 2 ** -11;
      const far = data.findIndex((x, i) => Math.abs(back[i] - x) > bound(x));
      assertEquals(far, -1, `${dtype} ${name}`);
    }
  }
});

fileTest("a row that blocks do not divide is stored as F16", async (dir) => {
  writeSmallModel(`${dir}/m`, { model_type: "llama", intermediate_size: 48 });
  using file = GgufFile.open(await exported(`${dir}/m`, "q8_0"));
  const type = (name: string) => file.tensors.get(`blk.0.${name}.weight`)!.type;
  assertEquals([type("ffn_down"), type("ffn_up")], ["F16", "Q8_0"]);
});

for (const files of [sentencePiece(), byteLevel()]) {
  fileTest(`the ${files.name} tokenizer of a GGUF file gives the same ids`, async (dir) => {
    writeSmallModel(`${dir}/m`, { model_type: "llama", eos_token_id: 2 }, files);
    const model = pretrainedModel(await exported(`${dir}/m`, "f16"));
    model.close();
    const before = loadTokenizer(files), after = openTokenizer(model);
    assertEquals(idsOf(after, TEXTS), idsOf(before, TEXTS));
    assertEquals([after.bosId, after.eosId, after.eosToken], [
      before.bosId,
      before.eosId,
      before.eosToken,
    ]);
    for (const text of TEXTS) {
      assertEquals(after.decode(after.encode(text)), before.decode(before.encode(text)));
    }
    const talk = [{ role: "user", content: "hi" }];
    assertEquals(after.chatTemplate?.(talk), before.chatTemplate?.(talk));
  });
}

fileTest("a tokenizer.json beside the file is taken instead", async (dir) => {
  writeSmallModel(`${dir}/m`, { model_type: "llama" });
  const path = await exported(`${dir}/m`, "f16");
  assertEquals(Object.keys(pretrainedAndClosed(path).ownFiles), [
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  Deno.copyFileSync(`${dir}/m/tokenizer.json`, `${dir}/tokenizer.json`);
  const { ownFiles, companions } = pretrainedAndClosed(path);
  assertEquals([ownFiles, companions], [{}, [`${dir}/tokenizer.json`]]);
});

function pretrainedAndClosed(path: string) {
  const model = pretrainedModel(path);
  model.close();
  return model;
}

fileTest("a folder with one GGUF file is a model, one with two is asked about", async (dir) => {
  writeSmallModel(`${dir}/m`, { model_type: "llama" });
  const path = await exported(`${dir}/m`, "f16");
  Deno.mkdirSync(`${dir}/g`);
  Deno.renameSync(path, `${dir}/g/a.gguf`);
  openModelFolder(`${dir}/g`).close();
  Deno.copyFileSync(`${dir}/g/a.gguf`, `${dir}/g/b.gguf`);
  assertThrows(() => openModelFolder(`${dir}/g`), ModelError, "a.gguf, b.gguf; name one of them");
});

fileTest("export refuses what it does not know and never writes over a file", async (dir) => {
  writeSmallModel(`${dir}/m`, { model_type: "llama" });
  const out = `${dir}/x.gguf`, model = ["--model", `${dir}/m`];
  const refused: [string[], string][] = [
    [["--out", out], "which model"],
    [model, "which file"],
    [[...model, "--out", out, "--format", "onnx"], `unknown format "onnx"`],
    [[...model, "--out", out, "--dtype", "q4_0"], `unknown dtype "q4_0"`],
    [[...model, "--out", `${dir}/m`], "exists already"],
    [[...model, "--out", out, "--quick"], `unknown argument "--quick"`],
  ];
  for (const [args, says] of refused) {
    const error = await run(args).then(() => undefined, (error) => error);
    assert(error instanceof UsageError, says);
    assertStringIncludes(error.message, says);
  }
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["m"]);
});

fileTest("a value too large for float16 is named, and no file is left", async (dir) => {
  writeSmallModel(`${dir}/m`, { model_type: "llama" });
  const path = `${dir}/m/model.safetensors`, bytes = Deno.readFileSync(path);
  new DataView(bytes.buffer).setFloat32(bytes.length - 4, 7e4, true);
  Deno.writeFileSync(path, bytes);
  const error = await exported(`${dir}/m`, "f16").then(() => undefined, (error) => error);
  assert(error instanceof ModelError);
  assertStringIncludes(error.message, `tensor "output.weight"`);
  assertStringIncludes(error.message, "too large for F16; choose --dtype q8_0 or f32");
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["m"]);
});

storiesTest(
  "stories260K comes back from GGUF bit by bit, with its tokenizer",
  async (model, dir) => {
    const out = `${dir}/stories.gguf`;
    await exportModel({ model, dtype: "f32", out });
    const before = valuesOf(model), after = valuesOf(out);
    for (const [name, data] of before) assertEquals(bits(after.get(name)!), bits(data), name);
    const texts = [...TEXTS, "Once upon a time, there was a little girl named Lily. She loved it!"];
    const [own, theirs] = [model, out].map((place) => openTokenizer(pretrainedAndClosed(place)));
    assertEquals(idsOf(theirs, texts), idsOf(own, texts));
  },
);
