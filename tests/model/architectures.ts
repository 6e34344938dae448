/**
 * One model of every architecture against what transformers found for it (`make_goldens.py`): what the
 * tests assert and what the table of docs/models.md shows.
 */
import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../gpu/device.ts";
import { LlamaEngine, type LlamaOptions } from "../../model/llama.ts";
import { type ModelFolder, openModelFolder, writeModelFolder } from "../../model/model_folder.ts";
import { openSafetensorsFolder } from "../../model/safetensors_folder.ts";
import { assertSameBits, noteMargin } from "../assert_close.ts";
import { collect, gradientsOf, row } from "./small_engine.ts";

/** Folders of the goldens, and what each model is there for. */
export const ARCHITECTURES = {
  llama: "Llama 2, 3, 3.2, SmolLM2: `llama3` rotary scaling, tied head",
  llama_linear_rope: "Llama with biases, GELU and `linear` rotary scaling",
  mistral: "Mistral: sliding window",
  qwen2: "Qwen2, Qwen2.5: biases, `use_sliding_window` in the upper layers",
  qwen3: "Qwen3: norms of queries and keys by head",
  gemma2: "Gemma 2: four norms of 1 + w, scaled embeddings, soft-capping, windows in turn",
  gemma3_text: "Gemma 3 (text): norms of queries and keys, two thetas, windows",
  phi3: "Phi-3: fused projections, partial rotary embedding, sliding window",
  gpt_neox: "GPT-NeoX, Pythia: parallel block, layer norms, interleaved projections",
  gpt_neox_serial: "GPT-NeoX, serial block",
  gpt2: "GPT-2: learned positions, transposed matrices",
  olmo2: "OLMo 2: norms after the blocks, norms of queries and keys over the whole width",
  smollm3: "SmolLM3: layers without rotary embedding",
} as const;
export type ArchitectureName = keyof typeof ARCHITECTURES;
export const NAMES = Object.keys(ARCHITECTURES) as ArchitectureName[];

export const CHECKS = ["load", "logits", "gradients", "save"] as const;
export type Check = typeof CHECKS[number];

const TOLERANCE = 1e-4;

interface Compact {
  readonly norm: number;
  readonly sums: readonly number[];
  readonly values?: readonly number[];
}

type Side = "chosen" | "rejected";
const SIDES: readonly Side[] = ["chosen", "rejected"];

interface Golden {
  readonly rows: readonly {
    readonly prompt: readonly number[];
    readonly chosen: readonly number[];
    readonly rejected: readonly number[];
    readonly logps: Readonly<Record<Side, readonly number[]>>;
    readonly seeds: Readonly<Record<Side, number>>;
    readonly logits: Readonly<
      Record<Side, readonly { readonly position: number; readonly values: readonly number[] }[]>
    >;
  }[];
  readonly gradients: Readonly<Record<string, Compact>>;
}

export function folderOf(name: ArchitectureName): string {
  return new URL(`../goldens/architectures/${name}`, import.meta.url).pathname;
}

export function goldenOf(name: ArchitectureName): Golden {
  return JSON.parse(Deno.readTextFileSync(`${folderOf(name)}/golden.json`));
}

export function rowsOf({ rows }: Golden) {
  return rows.map(({ prompt, chosen, rejected }, i) => row(i, prompt, [chosen, rejected]));
}

/** The DPO loss's derivative for every scored token. */
export function seedsOf({ rows }: Golden): Float32Array {
  return Float32Array.from(
    rows.flatMap((one) => SIDES.flatMap((side) => one[side].map(() => one.seeds[side]))),
  );
}

/** An engine over an opened folder; room for both rows. */
export function engineOf(
  gpu: Gpu,
  folder: ModelFolder,
  options: Partial<LlamaOptions> = {},
): Promise<LlamaEngine> {
  const all: LlamaOptions = {
    budget: 1e9,
    tokens: 120,
    scored: 60,
    leastTokens: 1,
    leastScored: 1,
    optimizer: "adamw",
    sharePrompt: true,
    ...options,
  };
  return LlamaEngine.create(gpu, folder.config, all, (name) => folder.readParameter(name));
}

/** +1 or -1 for every index, as in `make_goldens.py`. */
function sign(index: number, which: number): number {
  let h = (index * 8 + which + 1) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
  return ((h ^ (h >>> 16)) & 1) === 0 ? 1 : -1;
}

/**
 * Asserts that a gradient's error, by the root mean square of its signed sums (which is that of the error's
 * length), is within the tolerance of the golden's length; and every value where they are known.
 */
function assertGradient(found: Float32Array, expected: Compact, place: string): void {
  const { norm, sums, values } = expected;
  assert(norm > 1e-6, `${place}: the golden has no gradient`);
  const errors = sums.map((sum, which) =>
    found.reduce((total, value, i) => total + value * sign(i, which), 0) - sum
  );
  const error = Math.sqrt(errors.reduce((total, e) => total + e * e, 0) / sums.length) / norm;
  noteMargin("architectures, gradients", error / TOLERANCE);
  assert(error <= TOLERANCE, `${place}: error ${error} of the gradient's length`);
  values?.forEach((value, i) =>
    assert(
      Math.abs(found[i] - value) <= TOLERANCE * norm,
      `${place} [${i}]: found ${found[i]}, expected ${value}`,
    )
  );
}

function assertWithin(found: ArrayLike<number>, expected: readonly number[], place: string): void {
  assertEquals(found.length, expected.length, place);
  expected.forEach((value, i) => {
    const allowed = TOLERANCE * Math.max(1, Math.abs(value)), error = Math.abs(found[i] - value);
    noteMargin(`architectures, ${place.replace(/^\S+ /, "")}`, error / allowed);
    assert(error <= allowed, `${place} [${i}]: found ${found[i]}, expected ${value}`);
  });
}

/** Config and all tensors of the folder are taken. */
function checkLoad(name: ArchitectureName): void {
  using folder = openModelFolder(folderOf(name));
  const golden = goldenOf(name);
  assertEquals(
    folder.parameters.map((parameter) => parameter.name).sort(),
    Object.keys(golden.gradients).sort(),
  );
  assertEquals(folder.dtypes, ["BF16"]);
  assertEquals(folder.notices, []);
}

export interface Found {
  readonly logits: Float32Array;
  readonly logps: Float32Array;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** What an engine of the model finds for the golden's rows, logits at the golden's positions. */
export async function run(
  gpu: Gpu,
  name: ArchitectureName,
  options: Partial<LlamaOptions>,
): Promise<Found> {
  using folder = openModelFolder(folderOf(name));
  const golden = goldenOf(name), rows = rowsOf(golden);
  const engine = await engineOf(gpu, folder, options);
  const prefixes = golden.rows.flatMap((one) =>
    SIDES.flatMap((side) =>
      one.logits[side].map(({ position }) =>
        Uint32Array.from([...one.prompt, ...one[side]].slice(0, position + 1))
      )
    )
  );
  const logits = await engine.nextLogits(prefixes);
  const { logps } = await engine.score(rows);
  await engine.learn(rows, seedsOf(golden));
  const gradients = await gradientsOf(engine);
  engine.destroy();
  return { logits, logps, gradients };
}

const runs = new Map<string, Promise<Found>>();

/** The two ways to run a model that are compared with the golden, each run once. */
function runsOf(gpu: Gpu, name: ArchitectureName): Promise<Found[]> {
  return Promise.all([true, false].map((sharePrompt) => {
    const key = `${name} ${sharePrompt}`;
    const known = runs.get(key) ?? run(gpu, name, { sharePrompt });
    runs.set(key, known);
    return known;
  }));
}

async function checkLogits(gpu: Gpu, name: ArchitectureName): Promise<void> {
  const { rows } = goldenOf(name);
  const expected = rows.flatMap((one) =>
    SIDES.flatMap((side) => one.logits[side].flatMap(({ values }) => values))
  );
  for (const { logits, logps } of await runsOf(gpu, name)) {
    assertWithin(logits, expected, `${name} logits`);
    const own = rows.flatMap((one) => SIDES.flatMap((side) => one.logps[side]));
    assertWithin(logps, own, `${name} log-probabilities`);
  }
}

async function checkGradients(gpu: Gpu, name: ArchitectureName): Promise<void> {
  const golden = goldenOf(name);
  for (const { gradients } of await runsOf(gpu, name)) {
    assertEquals([...gradients.keys()].sort(), Object.keys(golden.gradients).sort());
    for (const [tensor, expected] of Object.entries(golden.gradients)) {
      assertGradient(gradients.get(tensor)!, expected, `${name} ${tensor}`);
    }
  }
}

/** What is on the GPU, written and opened again: same tensors under the source's names, same bits. */
async function checkSave(gpu: Gpu, name: ArchitectureName): Promise<void> {
  using folder = openModelFolder(folderOf(name));
  const parent = Deno.makeTempDirSync({ prefix: "architectures" });
  try {
    const engine = await engineOf(gpu, folder, { optimizer: undefined }), { configText } = folder;
    const weights = await collect(engine.weights());
    const tensors = engine.weights();
    await writeModelFolder(`${parent}/saved`, { configText, precision: "bf16", tensors });
    engine.destroy();
    using saved = openModelFolder(`${parent}/saved`);
    const source = openSafetensorsFolder(folder.dir), copy = openSafetensorsFolder(saved.dir);
    assertEquals([...copy.tensors.keys()].sort(), [...source.tensors.keys()].sort());
    for (const [tensor, { shape, dtype }] of source.tensors) {
      assertEquals(copy.tensors.get(tensor)!.shape, shape, tensor);
      assertEquals(copy.tensors.get(tensor)!.dtype, dtype, tensor);
      const expected = folder.readParameter(tensor);
      assertSameBits(saved.readParameter(tensor), expected, `${name}, ${tensor}, saved`);
      assertSameBits(weights.get(tensor)!, expected, `${name}, ${tensor}, on the GPU`);
    }
    assertEquals(JSON.parse(saved.configText), JSON.parse(configText));
    source.close();
    copy.close();
  } finally {
    Deno.removeSync(parent, { recursive: true });
  }
}

/** Runs one check; an error says what is not as it should be. */
export async function runCheck(gpu: Gpu, name: ArchitectureName, check: Check): Promise<void> {
  if (check === "load") checkLoad(name);
  else if (check === "logits") await checkLogits(gpu, name);
  else if (check === "gradients") await checkGradients(gpu, name);
  else await checkSave(gpu, name);
}
