/** Adapters as PEFT's folders: written and read again, merged, and what is refused. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Architecture } from "../../model/architecture.ts";
import { mergeAdapter, readAdapter, writeAdapter } from "../../model/adapter_files.ts";
import { ModelError } from "../../model/error.ts";
import {
  adapterList,
  initAdapter,
  loraModules,
  loraScale,
  type LoraSettings,
  storedRank,
  withRank,
} from "../../model/lora.ts";
import { SMALL } from "../model/small_engine.ts";
import { FILES_ALLOWED, withFolder } from "../trainer/fake_run.ts";

const SETTINGS: LoraSettings = {
  rank: 3,
  alpha: 6,
  targetModules: ["q_proj", "layers.1.mlp.down_proj"],
  rankStabilized: false,
};

/** Stored tensors whose values tell where they stand; B is not zero. */
function tensors(config: Architecture, settings: LoraSettings) {
  return adapterList(config, settings).map((spec) => {
    const values = initAdapter({ ...spec, start: "normal" }, { rank: 99, seed: 5 });
    const data = withRank({ name: spec.name, shape: spec.shape }, values, settings.rank);
    const isA = spec.name.includes("lora_A");
    const shape = isA ? [settings.rank, spec.shape[1]] : [spec.shape[0], settings.rank];
    return { ...spec, data: withRank({ name: spec.name, shape }, data, storedRank(settings)) };
  });
}

async function written(folder: string, settings = SETTINGS, config: Architecture = SMALL) {
  const dir = `${folder}/adapter`;
  await writeAdapter(dir, {
    config,
    settings,
    baseModel: "base",
    tensors: tensors(config, settings),
    extraFiles: { "mode_state.json": "{}" },
  });
  return dir;
}

function test(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test({
    name: `${name} (needs files)`,
    ignore: !FILES_ALLOWED,
    fn: () => withFolder(fn),
  });
}

Deno.test("targets are names or their ends; one that nothing is called by is refused", () => {
  const names = loraModules(SMALL, SETTINGS).map(({ name }) => name);
  assertEquals(names, [
    "model.layers.0.self_attn.q_proj",
    "model.layers.1.self_attn.q_proj",
    "model.layers.1.mlp.down_proj",
  ]);
  assertEquals(loraModules(SMALL, { targetModules: "all-linear" }).length, 14);
  assertThrows(
    () => loraModules(SMALL, { targetModules: ["q_proj", "c_attn"] }),
    ModelError,
    'Cannot adapt module "c_attn"',
  );
  // The end of a word is no name.
  assertThrows(() => loraModules(SMALL, { targetModules: ["proj"] }), ModelError, "down_proj");
});

Deno.test("the scale is alpha / r, or alpha / sqrt(r)", () => {
  assertEquals(loraScale(SETTINGS), 2);
  assertEquals(loraScale({ ...SETTINGS, rank: 4, rankStabilized: true }), 3);
});

Deno.test("a new A is uniform within 1/sqrt(in), beyond the rank zero; a new B is zero", () => {
  const [a, b] = adapterList(SMALL, { ...SETTINGS, targetModules: ["q_proj"] });
  assertEquals([a.shape, b.shape], [[4, 32], [32, 4]]);
  const values = initAdapter(a, { rank: 3, seed: 1 }), bound = 1 / Math.sqrt(32);
  assertEquals(values.subarray(96), new Float32Array(32));
  assertEquals(values.subarray(0, 96).every((x) => x !== 0 && Math.abs(x) < bound), true);
  const spread = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / 96);
  assertAlmostEquals(spread / bound, 1 / Math.sqrt(3), 0.1);
  assertEquals(initAdapter(b, { rank: 3, seed: 1 }), new Float32Array(128));
});

test("an adapter comes back as it was written, of its rank alone", async (folder) => {
  for (const rankStabilized of [false, true]) {
    const settings = { ...SETTINGS, rankStabilized };
    const dir = await written(`${folder}`, settings);
    const adapter = readAdapter(dir, SMALL);
    assertEquals(adapter.settings, {
      ...settings,
      targetModules: loraModules(SMALL, settings).map(({ name }) => name),
    });
    assertEquals([adapter.baseModel, adapter.notices], ["base", []]);
    for (const { name, shape, data } of tensors(SMALL, settings)) {
      assertEquals(adapter.tensor(name), withRank({ name, shape }, data, 3), name);
    }
    const raw = JSON.parse(Deno.readTextFileSync(`${dir}/adapter_config.json`));
    assertEquals([raw.peft_type, raw.r, raw.lora_alpha, raw.fan_in_fan_out], ["LORA", 3, 6, false]);
    Deno.removeSync(dir, { recursive: true });
  }
});

test("merging adds scale B A, to a transposed matrix transposed", async (folder) => {
  const adapter = readAdapter(await written(folder), SMALL);
  const module = "model.layers.1.mlp.down_proj", [inputs, outputs] = [44, 32];
  const weight = new Float32Array(inputs * outputs).fill(1);
  const a = adapter.tensor(`${module}.lora_A.weight`);
  const b = adapter.tensor(`${module}.lora_B.weight`);
  const plain = mergeAdapter(weight, module, adapter, { scale: 2, transposed: false });
  const turned = mergeAdapter(weight, module, adapter, { scale: 2, transposed: true });
  for (const [o, i] of [[0, 0], [31, 43], [7, 20]]) {
    const sum = [0, 1, 2].reduce((s, r) => s + b[o * 3 + r] * a[r * inputs + i], 0);
    assertAlmostEquals(plain[o * inputs + i], 1 + 2 * sum, 1e-6);
    assertEquals(turned[i * outputs + o], plain[o * inputs + i]);
  }
});

/** Fields that are changed in `adapter_config.json`, and what is said. */
const FIELDS: readonly [Record<string, unknown>, string][] = [
  [{ r: 0 }, '"r" is 0: it must be a positive integer'],
  [{ r: 4 }, 'has shape [3,32], the model and "r" ask for [4,32]'],
  [{ r: "3" }, '"r" is "3"'],
  [{ lora_alpha: null }, '"lora_alpha" is null'],
  [{ peft_type: "IA3" }, '"peft_type" is "IA3": only "LORA"'],
  [{ use_dora: true }, '"use_dora" is true: only false'],
  [{ bias: "all" }, '"bias" is "all"'],
  [{ rank_pattern: { q_proj: 8 } }, '"rank_pattern"'],
  [{ modules_to_save: ["lm_head"] }, '"modules_to_save"'],
];

test("what an adapter does that this program does not is refused by its field", async (folder) => {
  const dir = await written(folder), path = `${dir}/adapter_config.json`;
  const raw = JSON.parse(Deno.readTextFileSync(path));
  for (const [fields, message] of FIELDS) {
    Deno.writeTextFileSync(path, JSON.stringify({ ...raw, ...fields }));
    assertThrows(() => readAdapter(dir, SMALL), ModelError, message);
  }
  Deno.writeTextFileSync(path, JSON.stringify({ ...raw, lora_dropout: 0.1, rank_pattern: {} }));
  assertEquals(readAdapter(dir, SMALL).notices.length, 1);
});

test("a truncated file and an adapter of another model are refused by name", async (folder) => {
  const dir = await written(folder), path = `${dir}/adapter_model.safetensors`;
  const wider = { ...SMALL, hiddenSize: 64, headDim: 16 };
  assertThrows(() => readAdapter(dir, wider), ModelError, "lora_A.weight");
  const shorter = { ...SMALL, numHiddenLayers: 1 };
  assertThrows(() => readAdapter(dir, shorter), ModelError, "an adapter of another model");
  const bytes = Deno.readFileSync(path);
  for (const size of [0, 7, 100, bytes.length - 1]) {
    Deno.writeFileSync(path, bytes.subarray(0, size));
    assertThrows(() => readAdapter(dir, SMALL), ModelError, "adapter_model.safetensors");
  }
  Deno.removeSync(path);
  assertThrows(() => readAdapter(dir, SMALL), ModelError, "adapter_model.safetensors");
});
