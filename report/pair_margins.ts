/**
 * The pair microscope's arithmetic: what the margin log of a run says of every single pair. A pair that
 * the model, trained on it among others, still sees the other way round probably has its answers the
 * wrong way round: the others outvote it.
 */
import { attemptReport, ReportFileError } from "./json_lines.ts";
import { type JsonRecord, LineTail } from "./line_tail.ts";
import { readNpy } from "./npy.ts";

/** A pair over the run; one entry of `steps` and `margins` for each time it was trained on. */
export interface PairCourse {
  /** Number of the row, as in the logs and the dataset's file. */
  readonly row: number;
  readonly steps: readonly number[];
  /** Policy minus reference, chosen minus rejected, without beta; nats. */
  readonly margins: readonly number[];
  readonly mean: number;
  readonly last: number;
  /** Changes of sign from one visit to the next. */
  readonly flips: number;
  /** Visits in which the mode gave it no weight. */
  readonly dropped: number;
}

/** Why a pair is suspicious. */
export type Suspicion = "negative" | "flipping" | "never_selected";

export const MARGIN_LINES = "margins.jsonl";

interface Visits {
  readonly steps: number[];
  readonly margins: number[];
  dropped: number;
}

/**
 * All pairs of a margin log, the lowest mean margin first.
 *
 * @param folder the log's folder, with `margins.jsonl` and the .npy files it names
 * @throws ReportFileError when there is no log or it cannot be read
 */
export function readPairCourses(folder: string): PairCourse[] {
  const path = `${folder}/${MARGIN_LINES}`;
  attemptReport("read", path, () => Deno.statSync(path));
  const { records, broken } = new LineTail(path).read();
  if (broken > 0) {
    throw new ReportFileError(`Cannot read "${path}": ${broken} of its lines are no JSON objects`);
  }
  const visits = new Map<number, Visits>();
  for (const record of records) addRecord(visits, folder, record);
  return [...visits].map(([row, one]) => course(row, one))
    .sort((a, b) => a.mean - b.mean || a.row - b.row);
}

function addRecord(visits: Map<number, Visits>, folder: string, record: JsonRecord): void {
  const { step, rows, dropped_rows } = record;
  const margins = marginsOf(folder, record);
  if (typeof step !== "number" || !Array.isArray(rows) || margins.length !== rows.length) {
    throw new ReportFileError(
      `Cannot read "${folder}/${MARGIN_LINES}": the line of step ${step} does not name the row of ` +
        "each margin; only logs of this program do",
    );
  }
  const dropped = new Set(Array.isArray(dropped_rows) ? dropped_rows : []);
  rows.forEach((row: number, i) => {
    let one = visits.get(row);
    if (!one) visits.set(row, one = { steps: [], margins: [], dropped: 0 });
    one.steps.push(step);
    one.margins.push(margins[i]);
    if (dropped.has(row)) one.dropped++;
  });
}

/** The line holds the first margins only; all of them are in the .npy. */
function marginsOf(folder: string, { sample, batch_size, npy }: JsonRecord): ArrayLike<number> {
  if (Array.isArray(sample) && sample.length === batch_size) return sample;
  return typeof npy === "string" ? readNpy(`${folder}/${npy}`) : [];
}

function course(row: number, { steps, margins, dropped }: Visits): PairCourse {
  const mean = margins.reduce((sum, margin) => sum + margin, 0) / margins.length;
  const flips = margins.filter((margin, i) => i > 0 && margin * margins[i - 1] < 0).length;
  return { row, steps, margins, mean, last: margins.at(-1)!, flips, dropped };
}

/** What is suspicious about a pair; empty for most. */
export function suspicions(pair: PairCourse): Suspicion[] {
  const found: Suspicion[] = [];
  if (pair.mean < 0 && pair.last < 0) found.push("negative");
  // One change is how a pair is learned.
  if (pair.flips >= 2) found.push("flipping");
  if (pair.dropped >= 2 && pair.dropped === pair.steps.length) found.push("never_selected");
  return found;
}

/** Visits after which a pair can be judged: at the first one nothing may have been learned yet. */
export const JUDGED_AFTER = 2;

/**
 * The pairs to leave out: those seen at least twice whose mean and last margin are negative, the lowest
 * mean first, at most `share` of all.
 */
export function suspects(pairs: readonly PairCourse[], share: number): PairCourse[] {
  const negative = pairs.filter((pair) =>
    pair.steps.length >= JUDGED_AFTER && suspicions(pair).includes("negative")
  );
  return negative.slice(0, Math.floor(share * pairs.length));
}
