/** The files beside the checkpoints that grow with a run. */
import { JsonLinesFile } from "../report/json_lines.ts";
import type { LoadedCheckpoint } from "./checkpoint_read.ts";
import { MarginLog } from "./margin_log.ts";
import { METRICS_FILE, type TrainingRun } from "./run.ts";

export interface RunFiles {
  readonly metrics: JsonLinesFile;
  readonly margins: MarginLog | undefined;
}

/**
 * Refuses files that cannot go on from a checkpoint; changes nothing.
 *
 * @throws ReportFileError when one is shorter than when the checkpoint was made
 */
export function checkFiles(run: TrainingRun, { state }: LoadedCheckpoint): void {
  JsonLinesFile.check(`${run.outputFolder}/${METRICS_FILE}`, state.positions.metrics);
  if (run.marginLog) MarginLog.check(run.marginLog, state.positions.margins);
}

/**
 * Opens the files as they were when the checkpoint was made, or empty.
 *
 * @throws ReportFileError, FileError when the file system refuses; then none is open
 */
export function openFiles(run: TrainingRun, found: LoadedCheckpoint | undefined): RunFiles {
  const { positions, step } = found?.state ?? { positions: { metrics: 0, margins: 0 }, step: 0 };
  const metrics = JsonLinesFile.open(`${run.outputFolder}/${METRICS_FILE}`, positions.metrics);
  try {
    const margins = run.marginLog && MarginLog.open(run.marginLog, positions.margins, step);
    return { metrics, margins };
  } catch (error) {
    metrics.close();
    throw error;
  }
}
