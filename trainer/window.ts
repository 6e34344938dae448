/** The rows of one optimizer step, and at which steps something is due. */
import type { Sampler } from "../data/sampler.ts";

/** Rows of one optimizer step. */
export interface Window {
  readonly epoch: number;
  /** Indices into the training data, a batch each; fewer than the accumulation at an epoch's end. */
  readonly batches: readonly Uint32Array[];
}

/** The batches of the next optimizer step: never across the end of an epoch. */
export function nextWindow(sampler: Sampler, accumulation: number): Window {
  const { epoch, rows } = sampler.next();
  const batches = [rows];
  while (batches.length < accumulation && sampler.position.index < sampler.length) {
    batches.push(sampler.next().rows);
  }
  return { epoch, batches };
}

/** True at every `every`-th step (0: none) and at the last one. */
export function isDue(step: number, every: number, totalSteps: number): boolean {
  return step === totalSteps || (every > 0 && step % every === 0);
}
