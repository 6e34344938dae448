/**
 * Shadows: other modes and pair losses that look at the log-probabilities of every training decision
 * set and say what they would have done. They cost the GPU nothing and change nothing: each sees a
 * copy of the scores, has its own state and its own random numbers, and leaves only metrics.
 *
 * A shadow that fails, or gives numbers that are not finite, is told once and left out for the rest
 * of the run, resumed or not: what looks on must not end what it looks at.
 */
import { uniformStream } from "../data/philox.ts";
import type {
  Json,
  LossMode,
  Needs,
  Options,
  ScoreBatch,
  StepContext,
} from "../losses/loss_mode.ts";
import { type PairLossChoice, pairLossNamed } from "../losses/pair_loss.ts";
import { firstState, runMode, runOptimizerStep } from "../losses/run_mode.ts";
import { type NeedsRequest, runNeeds } from "./needs.ts";
import type { TrainingRun } from "./run.ts";
import { WeightedMeans } from "./weighted_means.ts";

/** A mode or a pair loss that looks on. */
export interface Shadow {
  readonly name: string;
  /** Absent for a pair loss, which takes the beta the run used, and all pairs alike. */
  readonly mode?: LossMode;
  readonly options: Options;
  /** The pair losses of a mode without a loss of its own; of a pair loss itself. */
  readonly lossTypes: readonly PairLossChoice[];
}

/** What a checkpoint keeps of a shadow. */
export interface ShadowState {
  readonly name: string;
  /** Version of the mode's state. */
  readonly version: number;
  /** True once it was left out; the state is then null. */
  readonly failed: boolean;
  readonly state: Json;
}

type Beta = number | Float64Array | undefined;

/** The shadow that takes a pair loss at the run's beta. */
export function pairLossShadow(type: string, options: Options): Shadow {
  return { name: type, options: {}, lossTypes: [{ type, weight: 1, options }] };
}

/** A fixed beta and all pairs, as in plain DPO, for a pair loss. */
function plainMode(name: string, beta: Beta): LossMode {
  return {
    name,
    help: "",
    version: 1,
    options: {},
    needs: () => ({ reference: pairLossNamed(name).reference, scope: "pair", rows: "pairs" }),
    init: () => null,
    decide: () => ({ beta, state: null, metrics: {} }),
  };
}

function modeOf({ name, mode }: Shadow, beta?: Beta): LossMode {
  return mode ?? plainMode(name, beta);
}

/** What a shadow needs, the pair losses it takes included. */
function needsOf(shadow: Shadow): Needs {
  const mode = modeOf(shadow);
  const needs = mode.needs(shadow.options);
  const types = mode.loss ? [] : shadow.lossTypes;
  const logps = types.some(({ type }) => pairLossNamed(type).reference === "logps");
  return logps && needs.reference === "none" ? { ...needs, reference: "logps" } : needs;
}

const REFERENCES: readonly Needs["reference"][] = ["none", "logps", "live"];

/** What a shadow needs and the run does not provide. */
function lackOf(
  needs: Needs,
  run: NeedsRequest & { readonly accumulation: number },
): string | undefined {
  const provided = runNeeds(run);
  const owner = `mode "${run.mode.name}"`;
  if (needs.rows !== provided.rows) {
    return `it needs rows of the kind "${needs.rows}", ${owner} trains on "${provided.rows}"`;
  }
  if (REFERENCES.indexOf(needs.reference) > REFERENCES.indexOf(provided.reference)) {
    return needs.reference === "live"
      ? `it needs the reference's weights during training, ${owner} does not`
      : `it needs a reference model, ${owner} does not load one`;
  }
  if (needs.referenceSync) return "it moves the reference, which a shadow must not";
  if (needs.extra && needs.extra !== provided.extra) {
    return `it needs "${needs.extra}" sequences, ${owner} does not make them`;
  }
  const tokens = needs.tokens?.filter((name) => !provided.tokens?.includes(name)) ?? [];
  if (tokens.length > 0) {
    return `it needs "${tokens.join(", ")}" for each token, ${owner} does not ask for it`;
  }
  if (needs.tokens?.includes("epsilonMix") && needs.epsilon !== provided.epsilon) {
    return `it needs mixtures at epsilon ${needs.epsilon}, ${owner} has them at ${provided.epsilon}`;
  }
  if (needs.scope === "step" && provided.scope !== "step" && run.accumulation > 1) {
    return `it decides on whole optimizer steps, ${owner} on each of their ${run.accumulation} ` +
      "batches";
  }
  return undefined;
}

/**
 * Why shadows cannot run beside a mode, for all of them in one text; undefined when they can.
 *
 * @param run.accumulation batches an optimizer step
 */
export function shadowProblem(
  run: NeedsRequest & Pick<TrainingRun, "shadows"> & { readonly accumulation: number },
): string | undefined {
  const problems = (run.shadows ?? []).flatMap((shadow) => {
    const lack = lackOf(needsOf(shadow), run);
    return lack ? [`cannot run the shadow "${shadow.name}": ${lack}`] : [];
  });
  return problems.length > 0 ? `${problems.join("; ")}; take it out of "shadow"` : undefined;
}

function findSaved({ name, mode }: Shadow, saved: readonly ShadowState[]) {
  const version = mode?.version ?? 1;
  return saved.find((state) => state.name === name && state.version === version);
}

/**
 * The states that a run starts with, in the order of its shadows. One that the checkpoint does not
 * have, or has in another version, starts anew.
 *
 * @throws ModeError when a shadow's options do not go together
 */
export function openShadows(
  shadows: readonly Shadow[] = [],
  saved: readonly ShadowState[] = [],
): ShadowState[] {
  return shadows.map((shadow) =>
    findSaved(shadow, saved) ?? {
      name: shadow.name,
      version: shadow.mode?.version ?? 1,
      failed: false,
      state: shadow.mode ? firstState(shadow.mode, shadow.options) : null,
    }
  );
}

/** What to say of the shadows when a run is resumed. */
export function shadowNotices(
  shadows: readonly Shadow[] = [],
  saved: readonly ShadowState[] = [],
): string[] {
  return shadows.flatMap((shadow) => {
    const found = findSaved(shadow, saved);
    if (!found) {
      return [`The shadow "${shadow.name}" starts anew: the checkpoint has no state of it`];
    }
    return found.failed
      ? [`The shadow "${shadow.name}" failed before the checkpoint and stays left out`]
      : [];
  });
}

/** The shadows of a run during one optimizer step. */
export class ShadowStep {
  readonly #run: Pick<TrainingRun, "shadows" | "settings" | "events">;
  readonly #states: ShadowState[];
  readonly #means: readonly WeightedMeans[];

  /** @param states from {@linkcode openShadows} or the step before */
  constructor(
    run: Pick<TrainingRun, "shadows" | "settings" | "events">,
    states: readonly ShadowState[],
  ) {
    this.#run = run;
    this.#states = [...states];
    this.#means = states.map(() => new WeightedMeans());
  }

  /**
   * Shows a training decision set to every shadow.
   *
   * @param beta the beta the run used, for pair losses
   * @param context the run's; random numbers come from a stream of each shadow's own
   */
  observe(batch: ScoreBatch, beta: Beta, context: StepContext): void {
    this.#each((shadow, state, means) => {
      const mode = modeOf(shadow, structuredClone(beta));
      const scores = shownScores(batch, needsOf(shadow));
      const own = this.#contextOf(shadow, context);
      const outcome = runMode(mode, scores, state, shadow.options, own, shadow.lossTypes);
      // As for the run itself: each decision set counts the same in the loss, each pair in the rest.
      means.add("loss", outcome.loss, 1);
      if (outcome.beta !== undefined) means.add("beta", meanOf(outcome.beta), batch.size);
      const kept = outcome.weights.filter((weight) => weight !== 0).length;
      means.add("keep_ratio", kept / batch.size, batch.size);
      return outcome.state;
    });
  }

  /**
   * Ends the optimizer step.
   *
   * @returns the next states, and `shadow/<name>/loss|beta|keep_ratio` of the shadows still in
   */
  finish(context: StepContext): {
    readonly states: readonly ShadowState[];
    readonly metrics: Readonly<Record<string, number>>;
  } {
    const metrics: Record<string, number> = {};
    this.#each((shadow, state, means) => {
      const own = this.#contextOf(shadow, context);
      const after = runOptimizerStep(modeOf(shadow), state, shadow.options, own);
      const values = Object.entries(means.values());
      const bad = values.find(([, value]) => !Number.isFinite(value));
      if (bad) throw new Error(`the mean of "${bad[0]}" over the step is "${bad[1]}"`);
      for (const [name, value] of values) metrics[`shadow/${shadow.name}/${name}`] = value;
      return after.state;
    });
    return { states: this.#states, metrics };
  }

  /** Calls every shadow still in; one that throws is told and left out from then on. */
  #each(next: (shadow: Shadow, state: Json, means: WeightedMeans) => Json): void {
    this.#run.shadows?.forEach((shadow, i) => {
      const before = this.#states[i];
      if (before.failed) return;
      try {
        this.#states[i] = { ...before, state: next(shadow, before.state, this.#means[i]) };
      } catch (error) {
        this.#states[i] = { ...before, failed: true, state: null };
        const reason = error instanceof Error ? error.message : String(error);
        this.#run.events?.accept({
          type: "notice",
          text:
            `The shadow "${shadow.name}" is left out from here on, the run goes on without it: ` +
            reason,
        });
      }
    });
  }

  #contextOf({ name }: Shadow, context: StepContext): StepContext {
    const uniform = uniformStream(
      this.#run.settings.seed,
      `shadow/${name}/${context.microStep}`,
    );
    return { ...context, uniform };
  }
}

/** A copy, so that not even a mode that breaks the rules can change what the run goes on with. */
function shownScores(batch: ScoreBatch, needs: Needs): ScoreBatch {
  const copy = structuredClone(batch);
  if (needs.reference !== "none") return copy;
  // As in a run of its own, where no reference would be loaded.
  return {
    ...copy,
    chosen: { ...copy.chosen, reference: undefined },
    rejected: copy.rejected && { ...copy.rejected, reference: undefined },
  };
}

function meanOf(values: number | Float64Array): number {
  if (typeof values === "number") return values;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
