/** The hand-written kernels, loaded by entry point. */
import type { Gpu } from "../device.ts";
import { withStorage } from "../input_textures.ts";
import { type Constants, type Kernel, loadKernel } from "../pipeline.ts";
import blend from "./blend.wgsl" with { type: "text" };
import columnSum from "./column_sum.wgsl" with { type: "text" };
import gatherRows from "./gather_rows.wgsl" with { type: "text" };
import halve from "./halve.wgsl" with { type: "text" };
import layerNorm from "./layer_norm.wgsl" with { type: "text" };
import logMix from "./log_mix.wgsl" with { type: "text" };
import logSoftmax from "./log_softmax.wgsl" with { type: "text" };
import optimizer from "./optimizer.wgsl" with { type: "text" };
import rmsNorm from "./rms_norm.wgsl" with { type: "text" };
import rope from "./rope.wgsl" with { type: "text" };
import scale from "./scale.wgsl" with { type: "text" };
import swiglu from "./swiglu.wgsl" with { type: "text" };

/** WGSL files and their entry points, by operation. */
export const SOURCES = {
  gather_rows: { code: gatherRows, entries: ["forward", "forward_add", "backward"] },
  rms_norm: {
    code: rmsNorm,
    entries: [
      "forward",
      "forward_add",
      "backward_input",
      "backward_input_apart",
      "backward_input_over",
      "backward_weight",
    ],
  },
  layer_norm: { code: layerNorm, entries: ["forward", "backward_input", "backward_weight"] },
  scale: { code: scale, entries: ["scale"] },
  column_sum: { code: columnSum, entries: ["blocks", "total"] },
  rope: {
    code: rope,
    entries: ["rotate", "rotate4", "rotate_f16", "rotate_part", "rotate_part4", "rotate_part_f16"],
  },
  swiglu: { code: swiglu, entries: ["forward", "backward", "backward_apart"] },
  log_softmax: { code: logSoftmax, entries: ["accumulate", "finish", "backward"] },
  log_mix: { code: logMix, entries: ["accumulate", "finish"] },
  blend: { code: blend, entries: ["blend"] },
  halve: { code: halve, entries: ["halve"] },
  optimizer: { code: optimizer, entries: ["squares", "fold", "norm", "adamw", "rmsprop"] },
} as const;

export type Operation = keyof typeof SOURCES;
export type Entry<O extends Operation> = typeof SOURCES[O]["entries"][number];

/** Rows summed by one invocation in the first stage of a column sum (`BLOCK_ROWS` in the WGSL). */
export const BLOCK_ROWS = 32;

/**
 * The kernel of an entry point, e.g. `kernel(gpu, "rms_norm", "forward")`; with `textures` its inputs are
 * read there, and what `halves` names in its WGSL is stored as f16; `constants` choose a variant.
 */
export function kernel<O extends Operation>(
  gpu: Gpu,
  operation: O,
  entry: Entry<O>,
  textures = false,
  halves: readonly string[] = [],
  constants: Constants = {},
): Kernel {
  const { code } = SOURCES[operation];
  const file = `${operation}.wgsl${textures ? " in textures" : ""}` +
    (halves.length > 0 ? ` with f16 ${halves.join(" ")}` : "");
  return loadKernel(gpu, file, withStorage(code, { textures, halves }), entry, constants);
}
