/**
 * Low-rank adapters (LoRA, arXiv 2106.09685): a frozen matrix W [out, in] acts as W + scale B A, with
 * A [r, in] and B [out, r] trained. Which modules have one, what its tensors are called and how they
 * start, as in PEFT. Not their kernels (`adapters.ts`), nor PEFT's files (`adapter_files.ts`).
 */
import { type Architecture, attentionWidths } from "./architecture.ts";
import { ModelError, quoted } from "./error.ts";
import type { ParameterSpec } from "./param_table.ts";
import type { LayerNames } from "./parameter_names.ts";
import { philox, streamOf } from "./philox.ts";

export interface LoraSettings {
  /** Columns of B, from 1 on. */
  readonly rank: number;
  readonly alpha: number;
  /** Module names or their last parts, or every linear module but the head. */
  readonly targetModules: "all-linear" | readonly string[];
  /** The scale is alpha / sqrt(r) instead of alpha / r (arXiv 2312.03732). */
  readonly rankStabilized: boolean;
}

/** A linear module that can have an adapter. */
export interface LinearModule {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
}

/** What B A is multiplied by. */
export function loraScale({ rank, alpha, rankStabilized }: LoraSettings): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

/** Rows of A, and columns of B, on the GPU: whole vectors of four, those beyond the rank zero. */
export function storedRank({ rank }: Pick<LoraSettings, "rank">): number {
  return Math.ceil(rank / 4) * 4;
}

export const adapterNames = (module: string) => ({
  a: `${module}.lora_A.weight`,
  b: `${module}.lora_B.weight`,
});

/** All linear modules of a model's layers, in the order of the forward pass. */
export function linearModules(config: Architecture): LinearModule[] {
  const { names, hiddenSize: C, intermediateSize: F } = config;
  const { queries, keys } = attentionWidths(config);
  const sizes: [keyof LayerNames, number, number][] = [
    ["query", queries, C],
    ["key", keys, C],
    ["value", keys, C],
    ["queryKeyValue", queries + 2 * keys, C],
    ["output", C, queries],
    ["gate", F, C],
    ["up", F, C],
    ["gateUp", 2 * F, C],
    ["down", C, F],
  ];
  return Array.from({ length: config.numHiddenLayers }, (_, i) => i).flatMap((layer) =>
    sizes.flatMap(([part, outputs, inputs]) => {
      const own = names.layer[part];
      return own === undefined
        ? []
        : [{ name: `${names.layers}.${layer}.${own}`, inputs, outputs }];
    })
  );
}

/**
 * The modules that get an adapter. A target is a module's whole name, or the end of it from a dot on, as
 * in PEFT.
 *
 * @throws ModelError naming a target that no module is called by, with those there are
 */
export function loraModules(
  config: Architecture,
  { targetModules }: Pick<LoraSettings, "targetModules">,
): LinearModule[] {
  const modules = linearModules(config);
  if (targetModules === "all-linear") return modules;
  const isCalled = (name: string, target: string) => name === target || name.endsWith(`.${target}`);
  for (const target of targetModules) {
    if (modules.some(({ name }) => isCalled(name, target))) continue;
    const known = new Set(modules.map(({ name }) => name.split(".").at(-1)!));
    throw new ModelError(
      `Cannot adapt module ${
        quoted(target)
      }: ${config.modelType} models have no linear module of ` +
        `that name; there are ${[...known].join(", ")}, or "all-linear" for all of them`,
    );
  }
  return modules.filter(({ name }) => targetModules.some((target) => isCalled(name, target)));
}

/** The adapters' parameters, A before B, of `rows` rows: the rank, or the rank as stored on the GPU. */
export function adapterList(
  config: Architecture,
  settings: LoraSettings,
  rows = storedRank(settings),
): ParameterSpec[] {
  return loraModules(config, settings).flatMap(({ name, inputs, outputs }): ParameterSpec[] => {
    const { a, b } = adapterNames(name);
    return [
      { name: a, shape: [rows, inputs], decay: true, start: "normal" },
      { name: b, shape: [outputs, rows], decay: true, start: "zeros" },
    ];
  });
}

/**
 * Initial values of an adapter's tensor as in PEFT: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5),
 * B zero, so that the model starts as its base. Values depend on seed, name and place only.
 *
 * @param shape [rows, columns] as stored; those beyond `rank` are zero
 */
export function initAdapter(
  { name, shape, start }: Pick<ParameterSpec, "name" | "shape" | "start">,
  { rank, seed }: { readonly rank: number; readonly seed: number },
): Float32Array<ArrayBuffer> {
  const [rows, columns] = shape, values = new Float32Array(rows * columns);
  if (start === "zeros") return values;
  const bound = 1 / Math.sqrt(columns), { key, stream } = streamOf(name, seed);
  const bits = new Uint32Array(4);
  for (let i = 0; i < rank * columns; i++) {
    if (i % 4 === 0) {
      philox([(i / 4) >>> 0, Math.floor(i / 4 / 2 ** 32), ...stream], key, bits);
    }
    values[i] = bound * (2 * ((bits[i % 4] + 0.5) / 2 ** 32) - 1);
  }
  return values;
}

/** A tensor with another number of rows for A, or columns for B: more are zero, fewer are cut off. */
export function withRank(
  { name, shape }: Pick<ParameterSpec, "name" | "shape">,
  data: Float32Array,
  rank: number,
): Float32Array<ArrayBuffer> {
  const isA = name.endsWith(".lora_A.weight");
  const [rows, columns] = isA ? [rank, shape[1]] : [shape[0], rank];
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < Math.min(rows, shape[0]); row++) {
    const from = data.subarray(row * shape[1], row * shape[1] + Math.min(columns, shape[1]));
    values.set(from, row * columns);
  }
  return values;
}
