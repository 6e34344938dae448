/**
 * Which kernels a run takes. What was measured once for an adapter, its driver and a model's shape is kept
 * in the cache folder, and beside the run, so that a resumed run takes the same.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Gpu } from "../gpu/device.ts";
import type { MatmulTile } from "../gpu/kernels/matmul.ts";
import { isMeasured, type ProductClass, type Tuning, tuningKey } from "../gpu/tuning.ts";
import { measureTuning } from "../gpu/tuning_measure.ts";
import { parentOf, writeSynced } from "../model/durable_file.ts";
import type { Architecture } from "../model/architecture.ts";
import { productSizes } from "../model/product_sizes.ts";
import type { Sink } from "../report/events.ts";

/** The file beside a run. */
export const TUNING_FILE = "kernels.json";

const TILE: z.ZodType<MatmulTile> = z.strictObject({
  rows: z.int().min(4).max(64).multipleOf(4),
  columns4: z.int().min(1).max(8),
  unroll: z.literal([4, 8]),
  eights: z.int().min(1).max(32),
  sharing: z.enum(["none", "subgroup", "workgroup"]),
});
const CLASSES = ["NN", "NT", "TN"].flatMap((form) =>
  ["narrow", "wide"].map((width) => `${form} ${width}` as ProductClass)
);
const FILE = z.strictObject({
  key: z.string(),
  textures: z.boolean(),
  tiles: z.partialRecord(z.enum(CLASSES), TILE),
});

export interface TuningPlaces {
  readonly cacheFolder: string;
  /** The folder of a run that goes on. */
  readonly resumedFolder?: string;
}

/** What was chosen: `save` writes it beside a run. */
export interface ChosenKernels {
  save(folder: string): void;
}

/**
 * Sets `gpu.tuning`, before anything is built on it. "auto" measures adapters whose best kernels are not
 * known already, "measure" any, "off" none: defaults are taken then.
 */
export async function chooseKernels(
  gpu: Gpu,
  config: Architecture,
  { setting, places, events }: {
    readonly setting: "auto" | "measure" | "off";
    readonly places: TuningPlaces;
    readonly events: Sink;
  },
): Promise<ChosenKernels> {
  const nothing = { save: () => {} };
  if (setting === "off" || (setting === "auto" && isMeasured(gpu))) return nothing;
  const notice = (text: string) => events.accept({ type: "notice", text });
  const products = productSizes(config), key = `${tuningKey(gpu)}; ${JSON.stringify(products)}`;
  const hash = createHash("sha256").update(key).digest("hex").slice(0, 32);
  const cacheFile = `${places.cacheFolder}/kernels/${hash}.json`;
  const beside = places.resumedFolder && `${places.resumedFolder}/${TUNING_FILE}`;
  const known = (beside && readTuning(beside, key, notice)) ?? readTuning(cacheFile, key, notice);
  if (known) gpu.tuning = known;
  else {
    notice("Measuring kernels for this GPU and model shape, once: half a minute at most");
    const { tuning, seconds, measured, complete } = await measureTuning(gpu, products);
    gpu.tuning = tuning;
    writeTuning(cacheFile, key, tuning);
    notice(
      `Measured ${measured} kernels in ${seconds.toFixed(0)} s, kept in "${cacheFile}"` +
        (complete ? "" : "; time ran out before the last ones, which stay as they are"),
    );
  }
  const { tuning } = gpu;
  return { save: (folder) => writeTuning(`${folder}/${TUNING_FILE}`, key, tuning!) };
}

/** What a file holds for the key; undefined when it is missing, for another key or damaged. */
function readTuning(
  path: string,
  key: string,
  notice: (text: string) => void,
): Tuning | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const parsed = FILE.safeParse(parseJson(text));
  if (!parsed.success) {
    notice(`"${path}" is not what was written there: kernels are chosen anew`);
    return undefined;
  }
  const { textures, tiles } = parsed.data;
  return parsed.data.key === key ? { textures, tiles } : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A file that is whole or absent. */
function writeTuning(path: string, key: string, tuning: Tuning): void {
  const temporary = `${path}.tmp`;
  Deno.mkdirSync(parentOf(path), { recursive: true });
  const text = JSON.stringify({ key, ...tuning }, null, 2) + "\n";
  writeSynced(temporary, new TextEncoder().encode(text));
  Deno.renameSync(temporary, path);
}
