/** Puts a checkpoint's tensors back into an engine, all of them. */
import type { NamedTensor } from "../model/engine.ts";
import type { LoadedCheckpoint } from "./checkpoint_read.ts";
import { ConfigError } from "./error.ts";
import type { MovingReference } from "./reference_cache.ts";
import type { RunEngine } from "./run.ts";

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
