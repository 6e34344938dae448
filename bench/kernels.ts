/**
 * Every kernel as a share of its bound, inside training steps of a model with two layers of the
 * SmolLM2-135M shape and one row of 512 tokens; and the head alone, forward and backward.
 */
import type { Gpu } from "../gpu/device.ts";
import { parseArchitecture } from "../model/parse_architecture.ts";
import { vocabularyChunk } from "../model/activations.ts";
import { parameterList } from "../model/param_table.ts";
import { type RowLengths, SMOL, type StepCase } from "./cases.ts";
import { between, type Ceiling, measureCeiling } from "./ceiling.ts";
import { type KernelTime, kernelTimes } from "./dispatch_times.ts";
import { kernelName, kernelWork, type StepSizes } from "./kernel_work.ts";
import { BenchRun } from "./step.ts";
import { median } from "./timing.ts";
import { sizesOf } from "./work.ts";

export interface KernelResult {
  readonly name: string;
  /** Milliseconds of a step, and dispatches. */
  readonly ms: number;
  readonly dispatches: number;
  /** One of the two: arithmetic or movement, whichever bounds it. */
  readonly gflops?: number;
  readonly gb_s?: number;
  readonly bound?: "arithmetic" | "bandwidth";
  /** Of that bound; absent where the bench knows none. */
  readonly share?: number;
}

export interface HeadResult {
  readonly tokens: number;
  readonly forward_ms: number;
  readonly backward_ms: number;
  /** Of the multiply-add ceiling: one product forward, two backward. */
  readonly forward_share: number;
  readonly backward_share: number;
}

const TOKENS = 512;

function testCase(config: StepCase["config"], lengths: RowLengths): StepCase {
  return { model: "SmolLM2-135M", kind: "sft", note: "", config, rows: [lengths], rounds: 1 };
}

/** What the kernels of a run's step have to do. */
export function runSizes(run: BenchRun, config: ReturnType<typeof parseArchitecture>): StepSizes {
  const ids = new Set(
    run.examples.flatMap((e) => [...e.prompt, ...e.answers.flatMap((a) => [...a.ids])]),
  );
  const sizes = sizesOf(run.examples, true);
  const parameters = parameterList(config)
    .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  // The last token of a prompt predicts the first one of every answer.
  const shared = run.examples.reduce((sum, { answers }) => sum + answers.length - 1, 0);
  return {
    ...sizes,
    ids: ids.size,
    sources: sizes.scored - shared,
    parameters,
    logitsTwice: config.vocabSize > vocabularyChunk(config.vocabSize),
  };
}

/** Measured times beside the bounds, longest first. */
export function compareWithBounds(
  times: ReadonlyMap<string, KernelTime>,
  work: ReturnType<typeof kernelWork>,
  ceiling: { readonly gflops: number; readonly gbs: number },
): KernelResult[] {
  const results = [...times].map(([name, { seconds, dispatches }]): KernelResult => {
    const own = work.get(name), common = { name, ms: seconds * 1000, dispatches };
    if (!own) return common;
    const arithmetic = own.operations / ceiling.gflops / 1e9,
      movement = own.bytes / ceiling.gbs / 1e9;
    const share = Math.max(arithmetic, movement) / seconds;
    return arithmetic >= movement
      ? { ...common, gflops: own.operations / seconds / 1e9, bound: "arithmetic", share }
      : { ...common, gb_s: own.bytes / seconds / 1e9, bound: "bandwidth", share };
  });
  return results.sort((a, b) => b.ms - a.ms);
}

/** Kernels of one model's step; the second of two, so that nothing compiles in it. */
export async function benchKernels(
  gpu: Gpu,
  gbs: number,
  test = testCase({ ...SMOL, num_hidden_layers: 2 }, [1, TOKENS - 1]),
): Promise<KernelResult[]> {
  const run = await BenchRun.create(gpu, test);
  await run.step();
  await run.finish();
  const before = await measureCeiling(gpu);
  const times = await kernelTimes(gpu, async () => {
    await run.step();
    await run.finish();
  }, kernelName);
  const { gflops } = between(before, await measureCeiling(gpu));
  const config = parseArchitecture(JSON.stringify(test.config), test.model);
  const work = kernelWork(config, runSizes(run, config));
  run.engine.destroy();
  return times ? compareWithBounds(times, work, { gflops, gbs }) : [];
}

/** Seconds of score and learn when `scored` of the tokens are. */
async function partsOfStep(gpu: Gpu, scored: number): Promise<{ score: number; learn: number }> {
  const config = { ...SMOL, num_hidden_layers: 1 };
  const run = await BenchRun.create(gpu, testCase(config, [TOKENS - scored, scored]));
  const seeds = new Float32Array(scored).fill(1e-3);
  const score: number[] = [], learn: number[] = [];
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    await run.engine.score(run.examples);
    const scoredAt = performance.now();
    await run.engine.learn(run.examples, seeds);
    await gpu.device.queue.onSubmittedWorkDone();
    // The first round compiles.
    if (round === 0) continue;
    score.push((scoredAt - start) / 1000);
    learn.push((performance.now() - scoredAt) / 1000);
  }
  run.engine.destroy();
  return { score: median(score), learn: median(learn) };
}

/** The head for 511 tokens: what a step takes longer when it scores them all and not one of them. */
export async function benchHead(gpu: Gpu): Promise<HeadResult> {
  const before: Ceiling = await measureCeiling(gpu);
  const all = await partsOfStep(gpu, TOKENS - 1), one = await partsOfStep(gpu, 1);
  const { gflops } = between(before, await measureCeiling(gpu));
  const forward = all.score - one.score, backward = all.learn - one.learn;
  const giga = 2 * (TOKENS - 2) * 576 * 49152 / 1e9;
  return {
    tokens: TOKENS - 1,
    forward_ms: forward * 1000,
    backward_ms: backward * 1000,
    forward_share: giga / forward / gflops,
    backward_share: 2 * giga / backward / gflops,
  };
}
