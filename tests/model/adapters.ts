/**
 * Adapters on a model of every architecture, against the model that they amount to: W + scale B A has the
 * same log-probabilities, and its gradient dW gives dB = scale dW A^T and dA = scale B^T dW.
 */
import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../gpu/device.ts";
import { mergeAdapter } from "../../model/adapter_files.ts";
import { LlamaEngine, type LoraOptions } from "../../model/llama.ts";
import {
  adapterList,
  adapterNames,
  loraModules,
  loraScale,
  storedRank,
  withRank,
} from "../../model/lora.ts";
import { openModelFolder } from "../../model/model_folder.ts";
import { assertSameBits, noteMargin } from "../assert_close.ts";
import { Random } from "../reference/random.ts";
import {
  type ArchitectureName,
  engineOf,
  folderOf,
  goldenOf,
  rowsOf,
  seedsOf,
} from "./architectures.ts";
import { collect, gradientsOf } from "./small_engine.ts";

/** Of a gradient's length, and of max(1, |log-probability|): two ways to the same number in float32. */
const TOLERANCE = 2e-5;

/** A rank that is no multiple of 4, so that some stored rows are empty. */
export const LORA: LoraOptions = {
  rank: 3,
  alpha: 5,
  targetModules: "all-linear",
  rankStabilized: false,
  seed: 7,
};

type Tensors = ReadonlyMap<string, Float32Array>;

/** Values of all adapters, of the rank proper, none of them zero. */
export function randomAdapters(name: ArchitectureName, settings = LORA, seed = 3): Tensors {
  using folder = openModelFolder(folderOf(name));
  const random = new Random(seed);
  return new Map(
    adapterList(folder.config, settings, settings.rank).map(({ name, shape }) => {
      const [rows, columns] = shape;
      const scale = 0.3 / Math.sqrt(columns);
      return [name, random.normals(rows * columns).map((x) => x * scale)];
    }),
  );
}

/** The tensors as the engine stores them. */
function stored(name: ArchitectureName, adapters: Tensors, settings = LORA) {
  using folder = openModelFolder(folderOf(name));
  return adapterList(folder.config, settings, settings.rank).map((spec) => ({
    name: spec.name,
    shape: [],
    data: withRank(spec, adapters.get(spec.name)!, storedRank(settings)),
  }));
}

/** C [rows, columns] = A B, or A^T B, in float64. */
function product(
  a: Float32Array,
  b: Float32Array,
  [rows, inner, columns]: readonly [number, number, number],
  at: (row: number, k: number) => number,
): Float64Array {
  const c = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = a[at(i, k)];
      for (let j = 0; j < columns; j++) c[i * columns + j] += factor * b[k * columns + j];
    }
  }
  return c;
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) turned[j * rows + i] = values[i * columns + j];
  }
  return turned;
}

function assertNear(found: Float32Array, expected: Float64Array, place: string): void {
  let square = 0, length = 0;
  for (const [i, value] of expected.entries()) {
    square += (found[i] - value) ** 2;
    length += value ** 2;
  }
  assert(length > 0, `${place}: nothing to compare with`);
  const error = Math.sqrt(square / length);
  noteMargin("adapters, gradients", error / TOLERANCE);
  assert(error <= TOLERANCE, `${place}: error ${error} of the gradient's length`);
}

/** Log-probabilities and gradients of the adapters against those of the merged model. */
export async function checkAdapters(gpu: Gpu, name: ArchitectureName): Promise<void> {
  using folder = openModelFolder(folderOf(name));
  const golden = goldenOf(name), rows = rowsOf(golden), seeds = seedsOf(golden);
  const adapters = randomAdapters(name), scale = loraScale(LORA);
  const isTransposed = folder.config.names.transposed === true;
  const modules = loraModules(folder.config, LORA);
  const merged = new Map(modules.map(({ name: module }) => {
    const weight = `${module}.weight`;
    const adapter = { settings: LORA, tensor: (tensor: string) => adapters.get(tensor)! } as never;
    const options = { scale, transposed: isTransposed };
    return [weight, mergeAdapter(folder.readParameter(weight), module, adapter, options)];
  }));
  const options = { budget: 1e9, tokens: 120, scored: 60, leastTokens: 1, leastScored: 1 };
  const whole = await LlamaEngine.create(
    gpu,
    folder.config,
    { ...options, optimizer: "adamw", sharePrompt: true },
    (tensor) => merged.get(tensor) ?? folder.readParameter(tensor),
  );
  const expected = await whole.score(rows);
  await whole.learn(rows, seeds);
  const dense = await gradientsOf(whole);
  whole.destroy();

  const engine = await engineOf(gpu, folder, { lora: LORA });
  const base = await engineOf(gpu, folder, { optimizer: undefined });
  // A new adapter is no adapter, to the bit.
  const [fresh, bare] = [await engine.score(rows), await base.score(rows)];
  assertSameBits(fresh.logps, bare.logps, `${name}, new adapters`);
  base.destroy();
  await engine.restore(stored(name, adapters));
  const { logps } = await engine.score(rows);
  let moved = 0;
  logps.forEach((logp, i) => {
    const allowed = TOLERANCE * Math.max(1, Math.abs(expected.logps[i]));
    const error = Math.abs(logp - expected.logps[i]);
    noteMargin("adapters, log-probabilities", error / allowed);
    assert(error <= allowed, `${name}: log-probability ${i} is ${error} off`);
    moved = Math.max(moved, Math.abs(logp - bare.logps[i]));
  });
  assert(moved > 0.01, `${name}: the adapters do nothing`);
  await engine.learn(rows, seeds);
  const gradients = await gradientsOf(engine), rank = storedRank(LORA);
  for (const { name: module, inputs, outputs } of modules) {
    const names = adapterNames(module), dW = dense.get(`${module}.weight`)!;
    const own = isTransposed ? transposed(dW, inputs, outputs) : dW;
    const a = adapters.get(names.a)!.map((x) => scale * x);
    const b = adapters.get(names.b)!.map((x) => scale * x);
    const dB = product(
      own,
      transposed(a, LORA.rank, inputs),
      [outputs, inputs, LORA.rank],
      (i, k) => i * inputs + k,
    );
    const dA = product(b, own, [LORA.rank, outputs, inputs], (i, k) => k * LORA.rank + i);
    const found = (tensor: string, shape: number[]) =>
      withRank({ name: tensor, shape }, gradients.get(tensor)!, LORA.rank);
    assertNear(found(names.b, [outputs, rank]), dB, `${name} ${names.b}`);
    assertNear(found(names.a, [rank, inputs]), dA, `${name} ${names.a}`);
  }
  assertEquals(gradients.size, 2 * modules.length);
  await checkStep(engine, name);
  engine.destroy();
}

/** A step moves adapters and nothing else: rows and columns beyond the rank stay zero. */
async function checkStep(engine: LlamaEngine, name: ArchitectureName): Promise<void> {
  const before = await collect(engine.weights());
  const { finite } = await engine.update({
    ...{ kind: "adamw", learningRate: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8 },
    ...{ weightDecay: 0, alpha: 0.99, maxGradNorm: 1, step: 1 },
  }).status();
  assertEquals(finite, true);
  for (const [tensor, values] of await collect(engine.weights())) {
    const old = before.get(tensor)!;
    const changed = values.filter((value, i) => value !== old[i]).length;
    const empty = old.filter((value) => value === 0).length;
    assertEquals(changed, old.length - empty, `${name} ${tensor}`);
    assertEquals(empty, old.length / 4, `${name} ${tensor}`);
  }
}
