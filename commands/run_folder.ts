/** Where a run writes. */
import { UsageError } from "./exit_code.ts";

/** The folder that holds the tuned model of a finished run. */
export const FINAL = "final";
/** The config as used; its first line marks a folder as a run's. */
export const CONFIG_FILE = "config.yaml";
const MARK = "# The config of this run as used, defaults and --set included\n";

export interface RunFolder {
  readonly path: string;
  readonly notices: readonly string[];
}

export interface FolderRequest {
  /** `--output_dir`. */
  readonly outputDir?: string;
  /** Name under `runs/` without `--output_dir`. */
  readonly name: string;
  readonly resume: boolean;
}

/** Writes the config as used, which makes the folder a run's. */
export function writeRunConfig(folder: string, text: string): void {
  Deno.writeTextFileSync(`${folder}/${CONFIG_FILE}`, MARK + text);
}

function entries(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    if (error instanceof Deno.errors.NotADirectory) {
      throw new UsageError(`Cannot write the run to "${path}": it is not a folder`);
    }
    throw error;
  }
}

/** True when a run has written the folder: nothing of anybody else may be touched. */
function isRun(path: string, names: readonly string[]): boolean {
  return names.includes(CONFIG_FILE) &&
    Deno.readTextFileSync(`${path}/${CONFIG_FILE}`).startsWith(MARK);
}

function explicitFolder(path: string, resume: boolean): RunFolder {
  const names = entries(path);
  if (names.length === 0) return { path, notices: [] };
  if (!resume) {
    throw new UsageError(
      `The output folder "${path}" is not empty: pass --resume to go on with the run in it, or ` +
        `choose another folder`,
    );
  }
  if (!isRun(path, names)) {
    throw new UsageError(
      `Cannot resume in "${path}": it has files, but no run of this program; choose another folder`,
    );
  }
  if (names.includes(FINAL)) {
    throw new UsageError(
      `The run in "${path}" is finished: its model is in "${path}/${FINAL}"; choose another ` +
        `folder for a new run`,
    );
  }
  return { path, notices: [] };
}

/**
 * The folder of a run. With `--output_dir` that one: not empty is an error unless resuming a run.
 * Without, `runs/<name>`, `runs/<name>-2` and so on: one after the last that is there, or with
 * `--resume` the last one if it is not finished.
 */
export function chooseRunFolder({ outputDir, name, resume }: FolderRequest): RunFolder {
  if (outputDir !== undefined) return explicitFolder(outputDir, resume);
  const at = (number: number) => `runs/${name}${number === 1 ? "" : `-${number}`}`;
  const parent = at(1).slice(0, at(1).lastIndexOf("/"));
  const own = at(1).slice(parent.length + 1);
  const numbers = entries(parent).map((entry) =>
    entry === own ? 1 : entry.startsWith(`${own}-`) ? Number(entry.slice(own.length + 1)) : NaN
  ).filter((number) => Number.isInteger(number) && number >= 1);
  const last = Math.max(0, ...numbers);
  if (last === 0) return { path: at(1), notices: [] };
  const names = entries(at(last));
  if (names.length === 0) return { path: at(last), notices: [] };
  const unfinished = isRun(at(last), names) && !names.includes(FINAL);
  if (resume && unfinished) return { path: at(last), notices: [] };
  const notices = unfinished
    ? [`"${at(last)}" holds an unfinished run; --resume goes on with it`]
    : [];
  return { path: at(last + 1), notices };
}
