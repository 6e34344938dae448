/** The report of a run's folder: read from the run's own files, so it can be made again at any time. */
import { attemptReport } from "../report/json_lines.ts";
import { pageHtml, type PageRun } from "../report/page/page.ts";
import { RunReader } from "../report/run_reader.ts";
import type { Sink } from "../report/events.ts";
import { UsageError } from "./exit_code.ts";
import { CONFIG_FILE } from "./run_folder.ts";

export const REPORT_FILE = "report.html";

/** The last part of a path, which names a run. */
export function runName(folder: string): string {
  return folder.split(/[\\/]/).filter((part) => part !== "" && part !== ".").at(-1) ?? folder;
}

/**
 * Reads a run.
 *
 * @throws UsageError when the folder is not a run's; ReportFileError when the file system refuses
 */
export function openRun(folder: string): RunReader {
  try {
    Deno.statSync(`${folder}/${CONFIG_FILE}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
      throw error;
    }
    throw new UsageError(
      `Cannot read a run in "${folder}": there is no ${CONFIG_FILE}; give the output folder of a ` +
        "training run, such as runs/beta_dpo_example",
    );
  }
  const reader = new RunReader(folder);
  reader.update();
  return reader;
}

/** A run as a page shows it. */
export function pageRun(name: string, reader: RunReader): PageRun {
  return { name, facts: reader.facts, config: reader.config(), data: reader.all() };
}

/** One line about a run. */
export function subtitleOf(reader: RunReader): string {
  const { facts, lastStep: done } = reader;
  if (!facts) return `${done} steps`;
  return `mode ${facts.mode}, ${done} of ${facts.totalSteps} steps, ${facts.policy}`;
}

/**
 * Writes `report.html` into a run's folder.
 *
 * @returns its path
 * @throws UsageError when the folder is not a run's; ReportFileError when the file system refuses
 */
export function writeReport(folder: string): string {
  const reader = openRun(folder);
  const html = pageHtml({
    kind: "run",
    title: runName(folder),
    subtitle: subtitleOf(reader),
    runs: [pageRun(runName(folder), reader)],
  });
  const path = `${folder}/${REPORT_FILE}`;
  attemptReport("write", path, () => Deno.writeTextFileSync(path, html));
  return path;
}

/** A sink that writes the report at every evaluation and at the end; a failure is told once. */
export function reportSink(folder: string, tell: (text: string) => void): Sink {
  // Nothing to read before the start; nothing more to say after the end.
  let open = false;
  const write = () => {
    if (!open) return undefined;
    try {
      return writeReport(folder);
    } catch (error) {
      open = false;
      tell(`The report is not written: ${error instanceof Error ? error.message : error}`);
      return undefined;
    }
  };
  return {
    accept(event) {
      if (event.type === "start") open = true;
      if (event.type === "samples" || event.type === "checkpoint") write();
      // Here the terminal still shows what comes last.
      if (event.type === "end") {
        const path = write();
        if (path) tell(`Report: ${path}`);
        open = false;
      }
    },
    close: () => void write(),
  };
}
