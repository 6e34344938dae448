/** Whether mode, data and checkpoint of a run go together. */
import { followsBest } from "./best_model.ts";
import type { CheckpointState } from "./checkpoint.ts";
import type { LoadedCheckpoint } from "./checkpoint_read.ts";
import { ConfigError } from "./error.ts";
import { modifierProblem, movesReference, runNeeds } from "./needs.ts";
import type { TrainingRun } from "./run.ts";
import { shadowNotices, shadowProblem, type ShadowState } from "./shadow.ts";

/**
 * Refuses a run that cannot give its mode, or its shadows, what they need.
 *
 * @throws ConfigError naming the mode or the shadow, and the need
 */
export function checkRun(run: TrainingRun): void {
  const { mode } = run;
  const needs = runNeeds(run);
  const refuse = (what: string) => {
    throw new ConfigError(`Cannot train with mode "${mode.name}": ${what}`);
  };
  if (run.train.length < 1) refuse("there are no training rows left; look at the dropped ones");
  if (needs.reference !== "none" && !run.reference) refuse("it needs a reference model");
  if (needs.extra === "gold") {
    refuse('it needs "gold" sequences, which no data format of this version holds');
  }
  if (followsBest(run.settings.bestModel) && !run.validation?.length) {
    refuse(
      'the best model is asked for ("load_best_model_at_end", "early_stopping_patience"), but no ' +
        'rows are held out to evaluate; set "dataset.val_ratio" or "dataset.validation_name"',
    );
  }
  const modifier = modifierProblem(run);
  if (modifier) refuse(`"${modifier.key}" does not go with it: ${modifier.text}`);
  if (movesReference(run) && !run.reference?.moving) refuse("its reference cannot be moved");
  const shadows = shadowProblem({ ...run, accumulation: run.settings.gradientAccumulation });
  if (shadows) refuse(shadows);
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

/** What the run trains on, starts from and compares with, as it stands in `state.json`. */
export function identityFacts(run: TrainingRun): CheckpointState["identities"] {
  return {
    data: run.train.fingerprint ?? null,
    policy: run.identities?.policy ?? null,
    reference: run.identities?.reference ?? null,
  };
}

/** True where both are known and not the same. */
function differ(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && one !== other;
}

/**
 * Refuses a checkpoint that another kind of run made.
 *
 * @throws ConfigError naming the checkpoint and what differs
 */
export function checkFits(run: TrainingRun, { path, state, reference }: LoadedCheckpoint): void {
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
  if (movesReference(run) && !reference) {
    refuse("it has no reference weights, it was made by a run whose reference did not move");
  }
  if (reference && !movesReference(run)) {
    refuse("its reference has moved with the run, the config keeps it where it started");
  }
  const { kind } = run.settings.optimizer;
  if (state.optimizer !== kind) {
    refuse(
      `it was made with the optimizer "${state.optimizer}", the config selects "${kind}", which ` +
        "cannot go on from its moments",
    );
  }
  for (const [name, value] of Object.entries(samplerFacts(run))) {
    const found = state.sampler[name as keyof typeof state.sampler];
    if (found !== value) {
      refuse(`it was made with "${name}" ${found}, now it is ${value}: the order of rows differs`);
    }
  }
  const [made, now] = [state.identities, identityFacts(run)];
  const back = "put it back as it was, or start in a new output folder";
  if (differ(made.data, now.data)) refuse(`the tokens of the training data have changed; ${back}`);
  if (differ(made.policy, now.policy)) {
    refuse(`training began with other weights than those of this "policy_name"; ${back}`);
  }
}

/** What does not forbid resuming but explains why the bytes may differ. */
export function resumeNotices(run: TrainingRun, state: CheckpointState): string[] {
  const texts = [`Resuming after step ${state.step}`];
  if (state.config !== run.configId) {
    texts.push("The config differs from the one the checkpoint was made with: the new one counts");
  }
  if (differ(state.identities.reference, identityFacts(run).reference)) {
    texts.push(
      "The reference differs from the one the checkpoint was made with: margins and losses before " +
        "and after it cannot be compared",
    );
  }
  if (state.engine !== run.engine.fingerprint) {
    texts.push(
      `The checkpoint was made on "${state.engine}", this is "${run.engine.fingerprint}": results ` +
        "agree within tolerances, not to the byte",
    );
  }
  const [made, now] = [state.chunkPlan, run.engine.chunkPlan];
  if (made && now && (made.tokens !== now.tokens || made.scored !== now.scored)) {
    texts.push(
      `The checkpoint was made with chunks of ${made.tokens} tokens, ${made.scored} of them scored, ` +
        `now they have ${now.tokens} and ${now.scored}: the bytes may differ`,
    );
  }
  return [...texts, ...shadowNotices(run.shadows, state.shadows as readonly ShadowState[])];
}
