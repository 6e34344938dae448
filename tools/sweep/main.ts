/**
 * `deno task sweep`: many runs from one file. Prints each run as it ends and the table of means, writes
 * `results.jsonl`, `results.csv` and `index.html` beside the runs. Started again it does what is missing.
 */
import { parseArgs } from "@std/cli";
import { explainError, UsageError } from "../../commands/exit_code.ts";
import { preparePlatform } from "../../commands/platform.ts";
import { worldOptions } from "./execute.ts";
import { runJobs } from "./jobs.ts";
import { type OpenedSweep, openSweep } from "./open_sweep.ts";
import { sweepPage } from "./page.ts";
import { readResult, resultFiles, type RunResult, writeText } from "./results.ts";
import { alignCells, tableCells } from "./table.ts";

const HELP = `Runs everything a sweep file names, and compares the results.

  deno task sweep SWEEP.yaml [options]

  --out DIR    where the runs go; without it runs/sweeps/<name of the file>
  --jobs N     processes that work side by side; default 1
  --quick      the smaller version that the file's section "quick" describes
  --table      only prints and writes what the finished runs give

A run that is done is skipped, one that was killed goes on from its last checkpoint.`;

export interface SweepArgs {
  readonly path: string;
  readonly out?: string;
  readonly jobs: number;
  readonly quick: boolean;
  /** Nothing is run. */
  readonly table: boolean;
}

/** Undefined when help is asked for. */
export function readArgs(args: string[]): SweepArgs | undefined {
  const flags = parseArgs(args, {
    string: ["out", "jobs"],
    boolean: ["quick", "table", "help"],
    alias: { h: "help" },
    unknown: (arg) => {
      if (!arg.startsWith("-")) return;
      throw new UsageError(`sweep: unknown argument "${arg}"; see "deno task sweep --help"`);
    },
  });
  if (flags.help) return undefined;
  const paths = flags._.map(String);
  if (paths.length !== 1) {
    throw new UsageError(`sweep: give one sweep file, e.g. deno task sweep sweeps/noise.yaml`);
  }
  const jobs = flags.jobs === undefined ? 1 : Number(flags.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) {
    throw new UsageError(`sweep: --jobs "${flags.jobs}" is not a whole number of at least 1`);
  }
  return { path: paths[0], out: flags.out, jobs, quick: flags.quick, table: flags.table };
}

/** Results of the finished runs, in the order of the plan. */
function finishedRuns({ plan, out }: OpenedSweep): RunResult[] {
  return plan.runs.flatMap((run) => readResult(out, run) ?? []);
}

/** Writes files and page of what is finished; returns the table's lines. */
async function writeResults(sweep: OpenedSweep, results: readonly RunResult[]): Promise<string[]> {
  const { plan, file, out } = sweep;
  const files = { ...resultFiles(plan, results), "index.html": sweepPage(sweep, results) };
  for (const [name, text] of Object.entries(files)) await writeText(`${out}/${name}`, text);
  return alignCells(tableCells(plan, results, file.show));
}

/** Does a sweep; returns the exit code: 1 when a run failed. */
export async function runSweep(args: SweepArgs, signal: AbortSignal): Promise<number> {
  const sweep = await openSweep(args.path, args);
  const { plan, file, out, config, path } = sweep;
  // What a run would refuse is refused before the first one.
  for (const { example } of plan.runs) if (example) worldOptions(example, file.head);
  await Deno.mkdir(out, { recursive: true });
  const done = new Set(finishedRuns(sweep).map(({ name }) => name));
  const runs = args.table ? [] : plan.runs.filter(({ name }) => !done.has(name));
  console.log(`${path}: ${plan.runs.length} runs in "${out}", ${done.size} of them done`);
  const failed: string[] = [];
  const started = performance.now();
  let ended = 0, seconds = 0;
  await runJobs({
    sweep: path,
    quick: args.quick,
    config,
    out,
    runs,
    jobs: args.jobs,
    signal,
    onRun: (name, outcome) => {
      ended++;
      seconds += outcome.seconds ?? 0;
      const left = (performance.now() - started) / ended * (runs.length - ended) / 60_000;
      const place = `${done.size + ended}/${plan.runs.length}`;
      if (outcome.message === undefined) {
        const result = readResult(out, plan.runs.find((run) => run.name === name)!)!;
        const shown = file.show.map((key) => `${key} ${short(result.metrics[key])}`).join("  ");
        console.log(
          `${place}  ${name}  ${outcome.seconds!.toFixed(1)} s  ${shown}  (${
            left.toFixed(1)
          } min left)`,
        );
      } else {
        failed.push(`${name}: ${outcome.message}`);
        console.error(`${place}  ${name}  failed: ${outcome.message}`);
      }
    },
  });
  if (signal.aborted) return 130;
  const lines = await writeResults(sweep, finishedRuns(sweep));
  console.log(`\n${lines.join("\n")}\n\n${out}/index.html, results.csv, results.jsonl`);
  const ran = ended - failed.length;
  if (ran > 0) console.log(`${ran} runs of ${(seconds / ran).toFixed(1)} s on average`);
  if (failed.length > 0) {
    console.error(`${failed.length} runs failed; run the sweep again for them`);
  }
  return failed.length > 0 ? 1 : 0;
}

function short(value: number | undefined): string {
  return value === undefined ? "-" : String(Number(value.toPrecision(4)));
}

/** A signal stops the processes and ends the sweep; what is saved stays. */
export function onSignals(): AbortSignal {
  const controller = new AbortController();
  const names: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  for (const name of names) Deno.addSignalListener(name, () => controller.abort());
  return controller.signal;
}

if (import.meta.main) {
  preparePlatform();
  try {
    const args = readArgs([...Deno.args]);
    if (!args) console.log(HELP);
    Deno.exit(args ? await runSweep(args, onSignals()) : 0);
  } catch (error) {
    const { message, code } = explainError(error);
    console.error(message);
    Deno.exit(code);
  }
}
