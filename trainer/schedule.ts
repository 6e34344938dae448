/**
 * Learning-rate schedules: pure functions of the optimizer step, with the formulas of the
 * `get_scheduler` family in transformers, so that curves can be laid over those of TRL.
 */

export type ScheduleKind = "linear" | "cosine" | "constant";

export interface ScheduleSettings {
  readonly kind: ScheduleKind;
  /** Optimizer steps over which the factor rises linearly from 0. */
  readonly warmupSteps: number;
}

/**
 * Factor on the base learning rate for the optimizer step after `finished` finished ones.
 *
 * With a warm-up of w steps and T steps in all: `finished / max(1, w)` while `finished < w`, then
 * - `linear`: `max(0, (T - finished) / max(1, T - w))`;
 * - `cosine`: `max(0, (1 + cos(pi p)) / 2)` with `p = (finished - w) / max(1, T - w)`;
 * - `constant`: 1.
 *
 * As there, the first step of a run with warm-up has factor 0.
 *
 * @param finished number of optimizer steps already made, from 0
 * @param totalSteps T, the number of optimizer steps of the run
 */
export function scheduleFactor(
  schedule: ScheduleSettings,
  finished: number,
  totalSteps: number,
): number {
  const { kind, warmupSteps } = schedule;
  if (finished < warmupSteps) return finished / Math.max(1, warmupSteps);
  if (kind === "constant") return 1;
  const decaySteps = Math.max(1, totalSteps - warmupSteps);
  if (kind === "linear") return Math.max(0, (totalSteps - finished) / decaySteps);
  const progress = (finished - warmupSteps) / decaySteps;
  return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
}
