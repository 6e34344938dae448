/** Hand-written derivatives against differences of the loss. */
import { assert } from "@std/assert";
import type { LossResult, ScoreBatch } from "../../losses/loss_mode.ts";
import { NARROW_STEP, numericSeeds, STEP } from "../../losses/numeric_seeds.ts";

/** Beside a kink the step must be narrow, and rounding then counts for more. */
const BESIDE_A_KINK = 1e-6;

/**
 * Asserts that seeds equal differences of the loss, relative to the largest of the batch.
 *
 * @returns how many seeds were off with the usual step, and right with a narrow one beside a kink
 */
export function assertSeeds(
  batch: ScoreBatch,
  evaluate: (batch: ScoreBatch) => LossResult,
  tolerance: number,
  name: string,
): number {
  const { seeds } = evaluate(batch);
  const differences = (step: number) => numericSeeds(batch, (b) => evaluate(b).loss, step);
  const wide = differences(STEP);
  let kinks = 0;
  let scale = 0;
  for (const part of ["chosen", "rejected", "prompt"] as const) {
    for (const seed of wide[part] ?? []) scale = Math.max(scale, Math.abs(seed));
  }
  for (const part of ["chosen", "rejected", "prompt"] as const) {
    wide[part]?.forEach((wanted, i) => {
      const found = seeds![part]![i];
      if (Math.abs(found - wanted) <= tolerance * scale) return;
      const narrow = differences(NARROW_STEP)[part]![i];
      assert(
        Math.abs(found - narrow) <= BESIDE_A_KINK * scale,
        `${name}: seed of ${part} ${i} is ${found}, differences give ${wanted} and ${narrow}`,
      );
      kinks++;
    });
  }
  return kinks;
}
