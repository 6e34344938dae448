/** `compare`: several runs side by side, as a table on the terminal and as one page that overlays them. */
import { parseArgs } from "@std/cli/parse-args";
import { attemptReport } from "../report/json_lines.ts";
import { pageHtml } from "../report/page/page.ts";
import { compareTable, textTable } from "../report/compare.ts";
import { UsageError } from "./exit_code.ts";
import { openRun, pageRun, runName } from "./run_page.ts";

const HELP = `Compares runs.

  deno task compare RUN RUN... [--output FILE]

  RUN                  the output folder of a training run
  --output FILE        the page; without it compare.html beside the first run's folder`;

/** Names of runs: the last parts of their paths, whole paths where these are equal. */
export function runNames(folders: readonly string[]): string[] {
  const names = folders.map(runName);
  return names.map((name, i) =>
    names.indexOf(name) === names.lastIndexOf(name) ? name : folders[i]
  );
}

function beside(folder: string): string {
  const parent = folder.replace(/[\\/]+$/, "").replace(/[^\\/]*$/, "");
  return `${parent}compare.html`;
}

/** Runs the command; returns the exit code. */
export function run(rawArgs: string[]): Promise<number> {
  const { _: given, help, output } = parseArgs(rawArgs, {
    boolean: ["help"],
    string: ["output"],
    alias: { h: "help" },
    unknown: (arg) => {
      if (!arg.startsWith("-")) return true;
      throw new UsageError(`compare: unknown argument "${arg}"; see "deno task compare --help"`);
    },
  });
  if (help) {
    console.log(HELP);
    return Promise.resolve(0);
  }
  const folders = given.map(String);
  if (folders.length < 2) throw new UsageError("compare: which runs? Give two folders or more");
  if (new Set(folders).size < folders.length) throw new UsageError("compare: a run is given twice");
  if (output === "") throw new UsageError("compare: --output needs a file");
  const readers = folders.map(openRun);
  const names = runNames(folders);
  const table = compareTable(readers.map((reader, i) => ({ name: names[i], reader })));
  const path = output ?? beside(folders[0]);
  const html = pageHtml({
    kind: "compare",
    title: "Runs compared",
    subtitle: names.join(", "),
    runs: readers.map((reader, i) => pageRun(names[i], reader)),
    table,
  });
  attemptReport("write", path, () => Deno.writeTextFileSync(path, html));
  console.log(textTable(table));
  console.log(`\nPage: ${path}`);
  return Promise.resolve(0);
}
