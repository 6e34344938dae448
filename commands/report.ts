/** `report`: makes the page of a run again, of a finished one, one that crashed or one in progress. */
import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "./exit_code.ts";
import { writeReport } from "./run_page.ts";

const HELP = `Writes report.html into the folder of a run.

  deno task report RUN...

  RUN                  the output folder of a training run, such as runs/beta_dpo_example`;

/** Runs the command; returns the exit code. */
export function run(rawArgs: string[]): Promise<number> {
  const { _: folders, help } = parseArgs(rawArgs, {
    boolean: ["help"],
    alias: { h: "help" },
    unknown: (arg) => {
      if (!arg.startsWith("-")) return true;
      throw new UsageError(`report: unknown argument "${arg}"; see "deno task report --help"`);
    },
  });
  if (help) {
    console.log(HELP);
    return Promise.resolve(0);
  }
  if (folders.length === 0) {
    throw new UsageError("report: which run? Give its folder, e.g. runs/beta_dpo_example");
  }
  for (const folder of folders.map(String)) console.log(`Report: ${writeReport(folder)}`);
  return Promise.resolve(0);
}
