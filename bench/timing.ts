/** Seconds of GPU work, the fixed cost of waiting for it taken off. */
import type { Gpu } from "../gpu/device.ts";

async function seconds(gpu: Gpu, work: () => void): Promise<number> {
  const start = performance.now();
  work();
  await gpu.device.queue.onSubmittedWorkDone();
  return (performance.now() - start) / 1000;
}

/**
 * Median seconds of `work`, which queues GPU work. It is repeated until a round takes long enough that
 * the wait for the queue (some 11 ms whatever it held) does not count, and that wait is taken off.
 */
export async function medianSeconds(gpu: Gpu, work: () => void, rounds = 5): Promise<number> {
  await seconds(gpu, work);
  const idle = await seconds(gpu, () => {});
  const once = Math.max(1e-5, await seconds(gpu, work) - idle);
  const repeats = Math.max(1, Math.ceil(0.1 / once));
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const took = await seconds(gpu, () => {
      for (let i = 0; i < repeats; i++) work();
    });
    times.push((took - idle) / repeats);
  }
  return times.sort((a, b) => a - b)[rounds >> 1];
}
