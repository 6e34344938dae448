/** Seconds of GPU work, the fixed cost of waiting for it taken off; and what the process has used. */
import { cpuUsage, resourceUsage } from "node:process";
import type { Gpu } from "../gpu/device.ts";

async function seconds(gpu: Gpu, work: () => void): Promise<number> {
  const start = performance.now();
  work();
  await gpu.device.queue.onSubmittedWorkDone();
  return (performance.now() - start) / 1000;
}

/** Seconds of a wait for an idle queue: Deno's waits take about 11 ms whatever they wait for. */
export async function waitSeconds(gpu: Gpu): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await seconds(gpu, () => {}));
  return Math.min(...times);
}

/** How a measurement is repeated. */
export interface Rounds {
  readonly rounds?: number;
  /** Seconds of a round: the work is repeated until it takes so long. */
  readonly least?: number;
}

/**
 * Median seconds of `work`, which queues GPU work. It is repeated until a round takes long enough that
 * the wait for the queue does not count, and that wait is taken off.
 */
export async function medianSeconds(
  gpu: Gpu,
  work: () => void,
  { rounds = 5, least = 0.1 }: Rounds = {},
): Promise<number> {
  await seconds(gpu, work);
  const idle = await waitSeconds(gpu);
  const once = Math.max(1e-5, await seconds(gpu, work) - idle);
  const repeats = Math.max(1, Math.ceil(least / once));
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const took = await seconds(gpu, () => {
      for (let i = 0; i < repeats; i++) work();
    });
    times.push(Math.max(1e-9, took - idle) / repeats);
  }
  return median(times);
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/**
 * Processor seconds this process has used, all threads: on software Vulkan the GPU's work is in it.
 * Beside the wall time it says whether others had the processor.
 */
export function cpuSeconds(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
}

/** The most memory this process ever held, bytes; on software Vulkan the GPU's is in it. */
export function peakBytes(): number {
  return resourceUsage().maxRSS * 1024;
}
