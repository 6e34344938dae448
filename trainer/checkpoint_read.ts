/** Finding and opening checkpoints: what is read is believed only where it equals the manifest. */
import { createHash } from "node:crypto";
import type { z } from "zod";
import type { NamedTensor } from "../model/engine.ts";
import { SafetensorsFile } from "../model/safetensors.ts";
import {
  CHECKPOINT_FILES,
  CHECKPOINT_FORMAT,
  checkpointName,
  checkpointNames,
  type CheckpointState,
  manifestSchema,
  stateSchema,
} from "./checkpoint.ts";
import { ConfigError } from "./error.ts";

const {
  weights: WEIGHTS,
  moments: MOMENTS,
  reference: REFERENCE,
  state: STATE,
  manifest: MANIFEST,
} = CHECKPOINT_FILES;

/** A checkpoint that has been found whole. */
export interface LoadedCheckpoint {
  readonly path: string;
  readonly state: CheckpointState;
  weights(): Iterable<NamedTensor>;
  moments(): Iterable<NamedTensor>;
  /** Weights of a reference that moves with the run; absent where it does not. */
  readonly reference?: () => Iterable<NamedTensor>;
}

/**
 * The newest checkpoint of a folder, checked against its manifest; undefined when there is none.
 *
 * @param allowOlder whether a damaged one may be passed over
 * @throws ConfigError when the newest one is damaged: names its file and the older one that is whole
 */
export async function newestCheckpoint(
  folder: string,
  allowOlder = false,
): Promise<LoadedCheckpoint | undefined> {
  const names = (await checkpointNames(folder)).reverse();
  let damaged: DamagedCheckpoint | undefined;
  for (const name of names) {
    try {
      const checkpoint = await openCheckpoint(`${folder}/${name}`);
      if (!damaged || allowOlder) return checkpoint;
      throw new ConfigError(
        `${damaged.message}; "${name}" before it is whole: pass --allow-older to go on from there`,
      );
    } catch (error) {
      if (!(error instanceof DamagedCheckpoint)) throw error;
      damaged ??= error;
    }
  }
  if (damaged) {
    throw new ConfigError(
      `${damaged.message}; no older one is whole: start in a new output folder`,
    );
  }
  return undefined;
}

/** A checkpoint folder that does not hold what its manifest says. */
export class DamagedCheckpoint extends ConfigError {
  override name = "DamagedCheckpoint";
}

/**
 * Opens one checkpoint folder after checking every file's size and sha256.
 *
 * @throws DamagedCheckpoint naming the file
 */
export async function openCheckpoint(path: string): Promise<LoadedCheckpoint> {
  const refuse = (file: string, problem: string): never => {
    throw new DamagedCheckpoint(`Checkpoint "${path}" is damaged: "${file}" ${problem}`);
  };
  const manifest = await readJson(path, MANIFEST, manifestSchema, refuse);
  for (const [name, { bytes, sha256 }] of Object.entries(manifest.files)) {
    if (![WEIGHTS, MOMENTS, REFERENCE, STATE].some((known) => known === name)) {
      refuse(MANIFEST, `names "${name}"`);
    }
    const found = await fileDigest(`${path}/${name}`).catch(() => refuse(name, "cannot be read"));
    if (found.bytes !== bytes) {
      refuse(name, `has ${found.bytes} bytes, not ${bytes} as written`);
    }
    if (found.sha256 !== sha256) refuse(name, "has another sha256 than when it was written");
  }
  const state = await readJson(path, STATE, stateSchema, refuse);
  if (`${checkpointName(state.step)}` !== path.slice(-checkpointName(state.step).length)) {
    refuse(STATE, `is of step ${state.step}`);
  }
  for (const name of state.resumable ? [STATE, WEIGHTS, MOMENTS] : [STATE, WEIGHTS]) {
    if (!manifest.files[name]) refuse(MANIFEST, `lacks "${name}"`);
  }
  return {
    path,
    state,
    weights: () => readTensors(`${path}/${WEIGHTS}`),
    moments: () => readTensors(`${path}/${MOMENTS}`),
    reference: manifest.files[REFERENCE] && (() => readTensors(`${path}/${REFERENCE}`)),
  };
}

async function readJson<T>(
  path: string,
  name: string,
  schema: z.ZodType<T>,
  refuse: (file: string, problem: string) => never,
): Promise<T> {
  const text = await Deno.readTextFile(`${path}/${name}`)
    .catch(() => refuse(name, "cannot be read"));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    refuse(name, "is not JSON");
  }
  const format = (value as { format?: unknown } | null)?.format;
  if (typeof format === "number" && format !== CHECKPOINT_FORMAT) {
    refuse(name, `has format ${format}, this program reads format ${CHECKPOINT_FORMAT}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  return refuse(name, `is wrong at "${issue.path.join(".")}": ${issue.message}`);
}

async function fileDigest(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    hash.update(buffer.subarray(0, read));
    bytes += read;
  }
  return { bytes, sha256: hash.digest("hex") };
}

function* readTensors(path: string): Iterable<NamedTensor> {
  using file = SafetensorsFile.open(path);
  for (const [name, { shape }] of file.tensors) {
    yield { name, shape, data: file.readF32(name) };
  }
}
