/**
 * Checkpoints: folders `checkpoints/step-000035/` that are whole or invisible.
 *
 * Everything is written into a temporary folder, each file synced, `manifest.json` with sizes and
 * sha256 last; then the folder gets its name by a rename. Old ones are deleted only after that.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { firstNonFinite } from "../model/dtype.ts";
import type { TrainingEngine } from "../model/engine.ts";
import { layoutSafetensors, type TensorSpec } from "../model/safetensors_write.ts";
import {
  atomicWriteFolder,
  type FileOperations,
  TEMPORARY_PREFIX,
  writeWholeFile,
} from "./atomic_write.ts";
import { NumbersError } from "./error.ts";
import { attempt } from "./file_error.ts";

/** Version of the folder's layout and of `state.json`. */
export const CHECKPOINT_FORMAT = 4;

const metricsSchema = z.record(z.string(), z.number()).nullable();
const count = z.number().int().min(0);
/** Identifies a model or data; null where the caller gave none. */
const identity = z.string().nullable();

/** Schema of `state.json`. */
export const stateSchema = z.strictObject({
  format: z.literal(CHECKPOINT_FORMAT),
  /** Finished optimizer steps. */
  step: count,
  /** Decision sets finished, all epochs together. */
  microStep: count,
  /** Tokens trained on. */
  tokens: count,
  /** `index` rows of `epoch` are done, in the order that length, batch size and seed give. */
  sampler: z.strictObject({
    epoch: count,
    index: count,
    rows: count,
    batchSize: count,
    accumulation: count,
    seed: count,
  }),
  mode: z.strictObject({ name: z.string(), version: count, state: z.json() }),
  /** What looked on, in the order of the config; none of it is used by the run itself. */
  shadows: z.array(
    z.strictObject({ name: z.string(), version: count, failed: z.boolean(), state: z.json() }),
  ),
  /** Bytes of the files that grow with the run. */
  positions: z.strictObject({ metrics: count, margins: count }),
  /** Adapter, engine and kernels that computed the run. */
  engine: z.string(),
  /** Capacities of a chunk on the GPU; null where the engine has no such plan. */
  chunkPlan: z.strictObject({ tokens: count, scored: count }).nullable(),
  /** Kind of the optimizer whose moments are saved. */
  optimizer: z.string(),
  /** What the run trains on, starts from, and compares with. */
  identities: z.strictObject({ data: identity, policy: identity, reference: identity }),
  /** Identifies the config as used. */
  config: z.string(),
  /** The best evaluation and how many came after it; null where nothing asks for it. */
  best: z.strictObject({ metric: z.string(), value: z.number(), step: count, since: count })
    .nullable(),
  /** False where only the weights were saved. */
  resumable: z.boolean(),
  /** Metrics of the first and last step, of the evaluations before training and the last one. */
  metrics: z.strictObject({
    first: metricsSchema,
    last: metricsSchema,
    before: metricsSchema,
    evaluation: metricsSchema,
  }),
});

/** `state.json`: all of a run that is not a tensor. */
export type CheckpointState = Readonly<z.output<typeof stateSchema>>;

/** Schema of `manifest.json`. */
export const manifestSchema = z.strictObject({
  format: z.literal(CHECKPOINT_FORMAT),
  files: z.record(
    z.string(),
    z.strictObject({ bytes: count, sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
});
type Manifest = z.output<typeof manifestSchema>;

/** Names of the files in a checkpoint. */
export const CHECKPOINT_FILES = {
  weights: "model.safetensors",
  moments: "optimizer.safetensors",
  reference: "reference.safetensors",
  state: "state.json",
  manifest: "manifest.json",
} as const;

/** Folder name of a step. */
export function checkpointName(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

export interface SaveRequest {
  /** The folder of all checkpoints; made when missing. */
  readonly folder: string;
  readonly operations: FileOperations;
  readonly engine: Pick<TrainingEngine, "weights" | "moments">;
  /** A reference that moves with the run. */
  readonly reference?: Pick<TrainingEngine, "weights">;
  readonly state: CheckpointState;
  /** Number of checkpoints to keep, this one and those before it; absent keeps all. */
  readonly limit?: number;
  /** The step of a checkpoint that is kept whatever the limit, as one of them; absent: none. */
  readonly keep?: number;
}

/**
 * Writes a checkpoint and deletes those beyond the limit.
 *
 * @returns path of the new folder
 * @throws NumbersError naming a tensor that is not finite; FileError when the file system refuses:
 * then the older checkpoints are as they were
 */
export async function saveCheckpoint(request: SaveRequest): Promise<string> {
  const { folder, operations, engine, reference, state, limit, keep } = request;
  const path = `${folder}/${checkpointName(state.step)}`;
  await attempt("create", folder, () => operations.mkdir(folder));
  // Only a damaged one that resuming passed over can be there.
  await removeCheckpoint(operations, folder, checkpointName(state.step));
  await atomicWriteFolder(operations, path, async (temporary) => {
    const files: Manifest["files"] = {};
    const add = async (name: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => {
      const hash = createHash("sha256");
      let bytes = 0;
      await writeWholeFile(operations, `${temporary}/${name}`, chunks, (chunk) => {
        hash.update(chunk);
        bytes += chunk.length;
      });
      files[name] = { bytes, sha256: hash.digest("hex") };
    };
    await add(CHECKPOINT_FILES.weights, tensorChunks(engine, "weights", state.step));
    if (state.resumable) {
      await add(CHECKPOINT_FILES.moments, tensorChunks(engine, "moments", state.step));
      if (reference) {
        await add(CHECKPOINT_FILES.reference, tensorChunks(reference, "weights", state.step));
      }
    }
    await add(CHECKPOINT_FILES.state, [encodeJson(state)]);
    const manifest: Manifest = { format: CHECKPOINT_FORMAT, files };
    await writeWholeFile(operations, `${temporary}/${CHECKPOINT_FILES.manifest}`, [
      encodeJson(manifest),
    ]);
  });
  if (limit !== undefined) {
    // A later step than this one is no newer checkpoint but one that resuming passed over.
    const names = (await checkpointNames(folder)).filter((name) => stepOf(name) <= state.step);
    const old = names.filter((name) => stepOf(name) !== keep && stepOf(name) !== state.step);
    // The newest one is for resuming, the one to keep for the end: both stay even where one may.
    const kept = Math.max(0, limit - (names.length - old.length));
    for (const name of old.slice(0, Math.max(0, old.length - kept))) {
      await removeCheckpoint(operations, folder, name);
    }
  }
  return path;
}

function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value, null, 1) + "\n");
}

/** Names and shapes of an engine's tensors: they stay, and each walk over them reads the GPU. */
const knownSpecs = new WeakMap<object, Partial<Record<"weights" | "moments", TensorSpec[]>>>();

type Kind = "weights" | "moments";

/** Something with tensors of a kind. */
type Holder<K extends Kind> = Pick<TrainingEngine, K>;

async function specsOf<K extends Kind>(
  engine: Holder<K>,
  kind: K,
): Promise<readonly TensorSpec[]> {
  const known = knownSpecs.get(engine) ?? {};
  knownSpecs.set(engine, known);
  if (known[kind]) return known[kind];
  const specs: TensorSpec[] = [];
  for await (const { name, shape } of engine[kind]()) specs.push({ name, shape, dtype: "F32" });
  // There are no moments before the first step.
  if (specs.length > 0) known[kind] = specs;
  return specs;
}

/**
 * A safetensors file of an engine's tensors as float32, one tensor in memory at a time. The header
 * comes first and needs all shapes, so the first time the tensors are walked twice.
 */
async function* tensorChunks<K extends Kind>(
  engine: Holder<K>,
  kind: K,
  step: number,
): AsyncIterable<Uint8Array> {
  const specs = await specsOf(engine, kind);
  yield layoutSafetensors(specs).head;
  let count = 0;
  for await (const { name, data } of engine[kind]()) {
    if (specs[count++]?.name !== name) {
      throw new Error(`Cannot save tensor "${name}": the engine gave other tensors before`);
    }
    const bad = firstNonFinite(data);
    if (bad >= 0) {
      throw new NumbersError(
        `Numbers are not finite after step ${step}: tensor "${name}" holds "${data[bad]}" at ` +
          `index ${bad}; no checkpoint of this step is written, resume from an older one with a ` +
          "lower learning rate",
      );
    }
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
}

/** Takes a checkpoint's name away first, so that a half deleted one is never seen. */
async function removeCheckpoint(
  operations: FileOperations,
  folder: string,
  name: string,
): Promise<void> {
  if (!(await checkpointNames(folder)).includes(name)) return;
  const [from, to] = [`${folder}/${name}`, `${folder}/${TEMPORARY_PREFIX}removed-${name}`];
  await attempt("remove", from, async () => {
    await operations.remove(to);
    await operations.rename(from, to);
    await operations.remove(to);
  });
}

/**
 * Removes the checkpoints of later steps than `step`: the damaged ones that resuming knowingly passed
 * over, which the run is about to make anew.
 *
 * @throws FileError when the file system refuses
 */
export async function removeCheckpointsAbove(
  operations: FileOperations,
  folder: string,
  step: number,
): Promise<void> {
  for (const name of await checkpointNames(folder)) {
    if (stepOf(name) > step) await removeCheckpoint(operations, folder, name);
  }
}

/**
 * Names of the checkpoints in a folder, oldest first; none when there is no folder.
 *
 * @throws FileError when the folder cannot be read
 */
export async function checkpointNames(folder: string): Promise<string[]> {
  return (await entriesOf(folder))
    .filter(({ name, isDirectory }) => isDirectory && /^step-\d{6,}$/.test(name))
    .map(({ name }) => name)
    .sort((a, b) => stepOf(a) - stepOf(b));
}

async function entriesOf(folder: string): Promise<Deno.DirEntry[]> {
  return await attempt("read", folder, async () => {
    try {
      return await Array.fromAsync(Deno.readDir(folder));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
}

function stepOf(name: string): number {
  return Number(name.slice("step-".length));
}

/** Removes what interrupted writes and deletions left behind. */
export async function cleanCheckpoints(operations: FileOperations, folder: string): Promise<void> {
  const left = (await entriesOf(folder)).filter(({ name }) => name.startsWith(TEMPORARY_PREFIX));
  for (const { name } of left) {
    const path = `${folder}/${name}`;
    await attempt("remove", path, () => operations.remove(path));
  }
}
