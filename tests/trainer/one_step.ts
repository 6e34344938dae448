/** A whole optimizer step, waited for: what the trainer spreads over the step after it. */
import {
  beginStep,
  type BegunStep,
  finishStep,
  type StepStart,
} from "../../trainer/optimizer_step.ts";
import type { TrainingRun } from "../../trainer/run.ts";
import type { Window } from "../../trainer/window.ts";

export type StepResult = BegunStep;

export async function optimizerStep(
  run: TrainingRun,
  window: Window,
  start: StepStart,
): Promise<StepResult> {
  const begun = await beginStep(run, window, start);
  return { ...begun, metrics: await finishStep(begun) };
}
