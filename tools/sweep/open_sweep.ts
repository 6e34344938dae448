/** Opens a sweep: its file, the base config it names, and the list of its runs. */
import { findConfig } from "../../commands/find_config.ts";
import { toPath } from "../../commands/model_source.ts";
import { ConfigError } from "../../trainer/error.ts";
import { planSweep, type SweepPlan } from "./plan.ts";
import { readSweep, type SweepFile } from "./sweep_file.ts";
import { tunedSettings } from "./tuned.ts";

export interface OpenedSweep {
  readonly file: SweepFile;
  readonly plan: SweepPlan;
  /** Path of the sweep file, of the base config, and of the folder of the runs. */
  readonly path: string;
  readonly config: string;
  readonly out: string;
}

/** Folder of a sweep's runs where none is given: `runs/sweeps/noise`, or `noise-quick`. */
export function sweepFolder(path: string, quick: boolean): string {
  const name = path.split(/[\\/]/).at(-1)!.replace(/\.ya?ml$/, "");
  return `runs/sweeps/${name}${quick ? "-quick" : ""}`;
}

/** @throws ConfigError when a file is missing or wrong, or a sweep it builds on is not finished */
export async function openSweep(
  path: string,
  { quick, out = sweepFolder(path, quick), untuned = false }: {
    readonly quick: boolean;
    readonly out?: string;
    /** The names and axes of the runs only: settings that another sweep chose are left out. */
    readonly untuned?: boolean;
  },
): Promise<OpenedSweep> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new ConfigError(`Cannot read sweep "${path}": there is no such file; see sweeps/`);
  }
  const file = readSweep(text, path, quick);
  const config = toPath(await findConfig(file.config));
  const tuned = file.tuned && !untuned && await tunedSettings(path, file.tuned, { quick, out });
  const plan = planSweep(file, await Deno.readTextFile(config), tuned || undefined);
  return { file, plan, path, config, out };
}
