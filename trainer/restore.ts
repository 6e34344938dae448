/** Puts a checkpoint's tensors back into an engine, all of them. */
import type { NamedTensor } from "../model/engine.ts";
import type { BestModel } from "./best_model.ts";
import { checkpointName, checkpointNames, type CheckpointState } from "./checkpoint.ts";
import { type LoadedCheckpoint, openCheckpoint } from "./checkpoint_read.ts";
import { ConfigError } from "./error.ts";
import type { MovingReference } from "./reference_cache.ts";
import type { RunEngine, TrainingRun } from "./run.ts";

/** Moments are saved as `<kind>.<name of the weight>`. */
const MOMENT = /^(exp_avg|exp_avg_sq)\.(.+)$/;

/**
 * Restores weights and moments. The engine refuses names it does not know; here it is refused that one
 * it does know is missing, which would silently keep the value it was loaded with.
 *
 * @throws ConfigError naming the first tensor that is missing; what the engine throws
 */
export async function restoreCheckpoint(
  engine: RunEngine,
  checkpoint: LoadedCheckpoint,
): Promise<void> {
  const weights = await putBack(engine, checkpoint.weights());
  const moments = await putBack(engine, checkpoint.moments());
  const kinds = new Set(moments.flatMap((name) => MOMENT.exec(name)?.[1] ?? []));
  // Every optimizer has second moments, from its first step on.
  if (checkpoint.state.step > 0) kinds.add("exp_avg_sq");
  const wanted = (await weightNames(engine)).flatMap(
    (name) => [name, ...[...kinds].map((kind) => `${kind}.${name}`)],
  );
  checkComplete(checkpoint, new Set([...weights, ...moments]), wanted, "model");
}

/**
 * Restores the weights of a reference that moves with the run.
 *
 * @throws ConfigError naming the first tensor that is missing; what the engine throws
 */
export async function restoreReference(
  reference: MovingReference,
  checkpoint: LoadedCheckpoint & Required<Pick<LoadedCheckpoint, "reference">>,
): Promise<void> {
  const found = await putBack(reference, checkpoint.reference());
  checkComplete(checkpoint, new Set(found), await weightNames(reference), "reference");
}

/**
 * The best evaluation of a run that goes on: null where its weights are wanted at the end and its
 * checkpoint is not there, because the run did not keep it until now.
 */
export async function bestStillThere(
  { settings }: Pick<TrainingRun, "settings">,
  found: LoadedCheckpoint | undefined,
  folder: string,
): Promise<BestModel | null> {
  const best = found?.state.best ?? null;
  if (best === null || !settings.bestModel.loadAtEnd) return best;
  const names = await checkpointNames(folder);
  return names.includes(checkpointName(best.step)) ? best : null;
}

/**
 * Puts back the weights of the checkpoint of `step`; the optimizer's moments stay, training is over.
 *
 * @returns the checkpoint's state
 * @throws DamagedCheckpoint naming the file; ConfigError naming a tensor that is missing
 */
export async function restoreBest(
  engine: RunEngine,
  folder: string,
  step: number,
): Promise<CheckpointState> {
  const checkpoint = await openCheckpoint(`${folder}/${checkpointName(step)}`);
  const found = await putBack(engine, checkpoint.weights());
  checkComplete(checkpoint, new Set(found), await weightNames(engine), "model");
  return checkpoint.state;
}

function checkComplete(
  { path }: LoadedCheckpoint,
  found: ReadonlySet<string>,
  wanted: readonly string[],
  owner: string,
): void {
  const missing = wanted.find((name) => !found.has(name));
  if (missing === undefined) return;
  throw new ConfigError(
    `Cannot resume from "${path}": it lacks the tensor "${missing}", which the ${owner} has; it ` +
      "was made with another model",
  );
}

/** What tensors are put back into. */
type Restorable = Pick<RunEngine, "weights" | "restore" | "parameterShapes">;

/** Restores the tensors; returns the names that the engine took. */
async function putBack(engine: Restorable, tensors: Iterable<NamedTensor>): Promise<string[]> {
  const names: string[] = [];
  await engine.restore(
    (function* () {
      for (const tensor of tensors) {
        yield tensor;
        names.push(tensor.name);
      }
    })(),
  );
  return names;
}

async function weightNames(engine: Restorable): Promise<string[]> {
  if (engine.parameterShapes) return [...engine.parameterShapes.keys()];
  const names: string[] = [];
  for await (const { name } of engine.weights()) names.push(name);
  return names;
}
