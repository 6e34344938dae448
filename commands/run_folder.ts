/** Where a run writes. */
import { UsageError } from "./exit_code.ts";

/** The folder that holds the tuned model of a finished run. */
export const FINAL = "final";

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

function isEmpty(path: string): boolean {
  try {
    return Deno.readDirSync(path)[Symbol.iterator]().next().done === true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    if (error instanceof Deno.errors.NotADirectory) {
      throw new UsageError(`Cannot write the run to "${path}": it is not a folder`);
    }
    throw error;
  }
}

function isFinished(path: string): boolean {
  try {
    return Deno.statSync(`${path}/${FINAL}`).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * The folder of a run. With `--output_dir` that one: not empty is an error unless resuming. Without,
 * `runs/<name>`, then `runs/<name>-2` and so on: the first that is free, or with `--resume` the last
 * unfinished one.
 */
export function chooseRunFolder(request: FolderRequest): RunFolder {
  const { outputDir, resume } = request;
  if (outputDir !== undefined) {
    if (!isEmpty(outputDir) && !resume) {
      throw new UsageError(
        `The output folder "${outputDir}" is not empty: pass --resume to go on with the run in it, ` +
          `or choose another folder`,
      );
    }
    if (isFinished(outputDir)) {
      throw new UsageError(
        `The run in "${outputDir}" is finished: its model is in "${outputDir}/${FINAL}"; choose ` +
          `another folder for a new run`,
      );
    }
    return { path: outputDir, notices: [] };
  }
  let unfinished: string | undefined;
  for (let number = 1;; number++) {
    const path = `runs/${request.name}${number === 1 ? "" : `-${number}`}`;
    if (isEmpty(path)) {
      if (unfinished && resume) return { path: unfinished, notices: [] };
      const notices = unfinished
        ? [`"${unfinished}" holds an unfinished run; --resume goes on with it`]
        : [];
      return { path, notices };
    }
    if (!isFinished(path)) unfinished = path;
  }
}
