/**
 * `run.json`: what a page says of a run that is not in its other files. Written when training begins, so
 * that a report can be made of whatever a crash leaves.
 */
import { attemptReport, ReportFileError } from "./json_lines.ts";

/** Name of the file in the run's folder. */
export const FACTS_FILE = "run.json";

const FORMAT = 1;

/** An account of a dataset: counts by their names, and dropped rows by reason. */
export type DataAccount = object;

export interface RunFacts {
  readonly format: typeof FORMAT;
  readonly mode: string;
  readonly modeOptions: Readonly<Record<string, number | boolean | string>>;
  readonly lossTypes: readonly string[];
  readonly policy: string;
  /** Absent when the mode needs none. */
  readonly reference?: string;
  readonly totalSteps: number;
  /** What was printed before the first step. */
  readonly plan: readonly string[];
  readonly data: { readonly train: DataAccount; readonly validation?: DataAccount };
  readonly machine: Readonly<Record<string, string | number>>;
  /** The rows that margins belong to; absent without margin logs. */
  readonly margins?: {
    /** Folder of the margin logs, relative to the run's. */
    readonly folder: string;
    /** The dataset's file. */
    readonly dataset: string;
    /** Form of its rows, see `data/formats.ts`. */
    readonly form: string;
  };
}

/** @throws ReportFileError when the file system refuses */
export function writeFacts(folder: string, facts: Omit<RunFacts, "format">): void {
  const path = `${folder}/${FACTS_FILE}`;
  const text = JSON.stringify({ format: FORMAT, ...facts }, null, 2) + "\n";
  attemptReport("write", path, () => Deno.writeTextFileSync(path, text));
}

/**
 * The facts of a run; undefined when there are none (yet).
 *
 * @throws ReportFileError when the file cannot be read or is not one of this program
 */
export function readFacts(folder: string): RunFacts | undefined {
  const path = `${folder}/${FACTS_FILE}`;
  const text = attemptReport("read", path, () => {
    try {
      return Deno.readTextFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  });
  if (text === undefined) return undefined;
  return attemptReport("read", path, () => {
    const facts: unknown = JSON.parse(text);
    if (typeof facts !== "object" || facts === null || (facts as RunFacts).format !== FORMAT) {
      throw new ReportFileError(`it is no file of this version; delete it, a report does without`);
    }
    return facts as RunFacts;
  });
}
