/** Whether mode, data and checkpoint of a run go together. */
import type { CheckpointState } from "./checkpoint.ts";
import type { LoadedCheckpoint } from "./checkpoint_read.ts";
import { ConfigError } from "./error.ts";
import type { TrainingRun } from "./run.ts";

/**
 * Refuses a run that cannot give its mode what it needs.
 *
 * @throws ConfigError naming the mode and the need
 */
export function checkRun(run: TrainingRun): void {
  const { mode, modeOptions } = run;
  const needs = mode.needs(modeOptions);
  const refuse = (what: string) => {
    throw new ConfigError(`Cannot train with mode "${mode.name}": ${what}`);
  };
  if (run.train.length < 1) refuse("there are no training rows left; look at the dropped ones");
  if (needs.reference !== "none" && !run.reference) refuse("it needs a reference model");
  if (needs.rows === "unpaired") {
    refuse("it needs rows with a label, which this version cannot read");
  }
  if (needs.extra) refuse(`it needs "${needs.extra}" sequences, which this version does not make`);
  if (needs.tokens?.length) {
    refuse(`it needs "${needs.tokens.join(", ")}" for each token, which the engine does not give`);
  }
}

/** What the sampler's position means nothing without. */
export function samplerFacts(run: TrainingRun) {
  const { batchSize, gradientAccumulation, dataSeed } = run.settings;
  return {
    rows: run.train.length,
    batchSize,
    accumulation: gradientAccumulation,
    seed: dataSeed,
  };
}

/**
 * Refuses a checkpoint that another kind of run made.
 *
 * @throws ConfigError naming the checkpoint and what differs
 */
export function checkFits(run: TrainingRun, { path, state }: LoadedCheckpoint): void {
  const refuse = (what: string) => {
    throw new ConfigError(`Cannot resume from "${path}": ${what}`);
  };
  if (!state.resumable) refuse("it has no optimizer state, it was saved with save_only_model");
  if (state.mode.name !== run.mode.name) {
    refuse(`it is of mode "${state.mode.name}", the config selects "${run.mode.name}"`);
  }
  if (state.mode.version !== run.mode.version) {
    refuse(
      `its state of mode "${run.mode.name}" has version ${state.mode.version}, this program has ` +
        `version ${run.mode.version}`,
    );
  }
  for (const [name, value] of Object.entries(samplerFacts(run))) {
    const found = state.sampler[name as keyof typeof state.sampler];
    if (found !== value) {
      refuse(`it was made with "${name}" ${found}, now it is ${value}: the order of rows differs`);
    }
  }
}

/** What does not forbid resuming but explains why the bytes may differ. */
export function resumeNotices(run: TrainingRun, state: CheckpointState): string[] {
  const texts = [`Resuming after step ${state.step}`];
  if (state.config !== run.configId) {
    texts.push("The config differs from the one the checkpoint was made with: the new one counts");
  }
  if (state.engine !== run.engine.fingerprint) {
    texts.push(
      `The checkpoint was made on "${state.engine}", this is "${run.engine.fingerprint}": results ` +
        "agree within tolerances, not to the byte",
    );
  }
  return texts;
}
