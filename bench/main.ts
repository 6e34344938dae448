/**
 * `deno task bench`: what the adapter reaches and what the program makes of it, as ratios taken in one
 * run, because absolute figures move with the machine.
 *
 *     --json                print one object instead of lines
 *     --only NAME,...       matmul, kernels, steps, or a model: stories260K, SmolLM2-135M, Qwen2.5-0.5B
 *     --full                also the long steps
 *     --tune                measure kernels first, as a first run does on adapters not known yet
 *     --memory_budget N     bytes a step may take, activations recomputed where need be
 *     --peers               also TRL and jax-js, in turn with this program; --python PATH has TRL
 */
import { parseArgs } from "@std/cli/parse-args";
import { preparePlatform } from "../commands/platform.ts";
import type { Gpu } from "../gpu/device.ts";
import { isMeasured, tuningName } from "../gpu/tuning.ts";
import { measureTuning, type TuningReport } from "../gpu/tuning_measure.ts";
import { parseArchitecture } from "../model/parse_architecture.ts";
import { productSizes } from "../model/product_sizes.ts";
import { SMOL, type StepCase, STEPS } from "./cases.ts";
import { type Bandwidth, measureBandwidth, measureCeiling } from "./ceiling.ts";
import { openTimedGpu } from "./dispatch_times.ts";
import { benchHead, benchKernels, type HeadResult, type KernelResult } from "./kernels.ts";
import { benchMatmul, type MatmulResult } from "./matmul.ts";
import { benchPeers, type PeerResults } from "./peers/mod.ts";
import { ceilingLine, headLine, kernelLine, matmulLine, stepLine, tuningLine } from "./print.ts";
import { benchStep, BUDGET, type StepResult } from "./step.ts";

export interface BenchOptions {
  /** Empty for everything. */
  readonly only: readonly string[];
  readonly full: boolean;
  /** Kernels are measured first; where the adapter's are not known already, in any case. */
  readonly tune: boolean;
  readonly peers: boolean;
  readonly python: string;
  readonly budget: number;
  readonly steps: readonly StepCase[];
  /** Where lines for a person go. */
  readonly say: (line: string) => void;
}

export interface BenchReport {
  readonly adapter: string;
  readonly ceiling_gflops: number;
  /** The larger of both copies. */
  readonly copy_gb_s: number;
  /** What measuring kernels took, where they were measured. */
  readonly tuning?: Omit<TuningReport, "tuning">;
  readonly matmul: readonly MatmulResult[];
  readonly kernels: readonly KernelResult[];
  readonly head?: HeadResult;
  readonly steps: readonly StepResult[];
  readonly peers: PeerResults;
}

const PARTS = ["matmul", "kernels", "steps"];

/** Is a part, or a step of a model, asked for? */
function wants(only: readonly string[], ...names: string[]): boolean {
  return only.length === 0 || names.some((name) => only.includes(name));
}

/** Takes the kernels that are fastest at the shapes of the 135M model. */
async function tune(gpu: Gpu, say: BenchOptions["say"]): Promise<BenchReport["tuning"]> {
  const config = parseArchitecture(JSON.stringify(SMOL), "SmolLM2-135M");
  const { tuning, ...taken } = await measureTuning(gpu, productSizes(config));
  gpu.tuning = tuning;
  say(tuningLine(taken, tuningName(gpu)));
  return taken;
}

export async function bench(options: BenchOptions): Promise<BenchReport> {
  const { only, say, budget } = options;
  const gpu = await openTimedGpu();
  const ceiling = await measureCeiling(gpu), copy: Bandwidth = await measureBandwidth(gpu);
  const copy_gb_s = Math.max(copy.kernel, copy.command);
  say(ceilingLine(gpu.adapterName, ceiling, copy));
  const tuning = options.tune || !isMeasured(gpu) ? await tune(gpu, say) : undefined;
  const matmul = wants(only, "matmul") ? await benchMatmul(gpu) : [];
  for (const result of matmul) say(matmulLine(result));
  const kernels = wants(only, "kernels") ? await benchKernels(gpu, copy_gb_s) : [];
  for (const result of kernels) say(kernelLine(result));
  const head = wants(only, "kernels") ? await benchHead(gpu) : undefined;
  if (head) say(headLine(head));
  const steps: StepResult[] = [];
  for (const test of options.steps) {
    if (!wants(only, "steps", test.model) || (test.full && !options.full)) continue;
    const result = await benchStep(gpu, test, budget);
    steps.push(result);
    say(stepLine(result));
  }
  const peers = options.peers ? await benchPeers(gpu, options) : {};
  gpu.destroy();
  return {
    adapter: gpu.adapterName,
    ceiling_gflops: ceiling.gflops,
    copy_gb_s,
    ...(tuning ? { tuning } : {}),
    matmul,
    kernels,
    ...(head ? { head } : {}),
    steps,
    peers,
  };
}

/** Checks the command line; throws with what is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions & { readonly json: boolean } {
  const flags = parseArgs([...args], {
    boolean: ["json", "full", "tune", "peers"],
    string: ["only", "python", "memory_budget"],
    unknown: (name) => {
      throw new Error(`Unknown argument "${name}"; see bench/main.ts`);
    },
  });
  const only = flags.only?.split(",") ?? [];
  const names = [...PARTS, ...new Set(STEPS.map(({ model }) => model)), "peers"];
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new Error(`Unknown part "${unknown}" in --only; there are ${names.join(", ")}`);
  }
  const budget = Number(flags.memory_budget ?? BUDGET);
  if (!(budget > 0)) throw new Error(`--memory_budget must be bytes, not "${flags.memory_budget}"`);
  const { json, full, tune, python = "python3" } = flags;
  // Progress goes to stderr when stdout is the one object.
  const say = json ? console.error : console.log;
  return { json, full, tune, peers: flags.peers, python, only, budget, steps: STEPS, say };
}

if (import.meta.main) {
  const { json, ...options } = parseOptions(Deno.args);
  preparePlatform();
  const report = await bench(options);
  if (json) console.log(JSON.stringify(report));
}
