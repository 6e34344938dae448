/**
 * `deno task evidence`: every figure and number of docs/evidence.md. Runs the sweeps it rests on, prints
 * their tables, and with --write puts figures, results and numbers in their places. With --quick the small
 * versions, whose signs are compared with the full results kept in docs/evidence/.
 */
import { parseArgs } from "@std/cli";
import { explainError, UsageError } from "../../commands/exit_code.ts";
import { preparePlatform } from "../../commands/platform.ts";
import { drawFigure } from "../sweep/figures.ts";
import { onSignals, runSweep } from "../sweep/main.ts";
import { type OpenedSweep, openSweep } from "../sweep/open_sweep.ts";
import { readResult, resultFiles, type RunResult, writeText } from "../sweep/results.ts";
import { tunedChoices } from "../sweep/tuned.ts";
import { claimed, CLAIMS, compareSigns, describeClaim } from "./claims.ts";
import { choicesBlock, differencesBlock, fillBlocks, tableBlock } from "./document.ts";
import { formatEstimate } from "../sweep/table.ts";

/** In the order in which they build on each other. */
const SWEEPS = ["tune", "noise", "frontier", "batch", "drift", "microscope"];
const FOLDER = "docs/evidence";
const DOCUMENT = "docs/evidence.md";

const HELP = `Makes every figure and number of ${DOCUMENT}.

  deno task evidence [options]

  --quick        the small versions: minutes instead of hours, compared with the full results kept
  --only A,B     some of ${SWEEPS.join(", ")}
  --jobs N       processes side by side; default 1
  --table        runs nothing: what the finished runs give
  --write        writes figures, results and numbers to ${FOLDER}/ and ${DOCUMENT}`;

interface EvidenceArgs {
  readonly quick: boolean;
  readonly table: boolean;
  readonly write: boolean;
  readonly jobs: number;
  readonly only: readonly string[];
}

/** Undefined when help is asked for. */
export function readArgs(args: string[]): EvidenceArgs | undefined {
  const flags = parseArgs(args, {
    string: ["only", "jobs"],
    boolean: ["quick", "table", "write", "help"],
    alias: { h: "help" },
    unknown: (arg) => {
      throw new UsageError(`evidence: unknown argument "${arg}"; see "deno task evidence --help"`);
    },
  });
  if (flags.help) return undefined;
  const only = flags.only === undefined ? SWEEPS : flags.only.split(",");
  const unknown = only.find((name) => !SWEEPS.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`evidence: there is no "${unknown}"; sweeps are ${SWEEPS.join(", ")}`);
  }
  const jobs = Number(flags.jobs ?? 1);
  if (!Number.isInteger(jobs) || jobs < 1) {
    throw new UsageError(`evidence: --jobs "${flags.jobs}" is not a whole number of at least 1`);
  }
  if (flags.write && flags.quick) {
    throw new UsageError(`evidence: --write keeps full results; give it without --quick`);
  }
  return { quick: flags.quick, table: flags.table, write: flags.write, jobs, only };
}

function resultsOf({ plan, out }: OpenedSweep): RunResult[] {
  return plan.runs.flatMap((run) => readResult(out, run) ?? []);
}

/** Figures, results and numbers of a sweep to their places. */
async function keep(name: string, sweep: OpenedSweep): Promise<void> {
  const results = resultsOf(sweep);
  if (results.length === 0) return;
  await Deno.mkdir(FOLDER, { recursive: true });
  for (const [i, figure] of sweep.file.figures.entries()) {
    await writeText(`${FOLDER}/${name}-${i + 1}.svg`, drawFigure(figure, sweep, results) + "\n");
  }
  await writeText(`${FOLDER}/${name}.jsonl`, resultFiles(sweep.plan, results)["results.jsonl"]);
  const blocks = new Map([[name, tableBlock(sweep, results)]]);
  const { tuned } = sweep.file;
  if (tuned) {
    blocks.set(
      "choices",
      choicesBlock(
        await tunedChoices(sweep.path, tuned, {
          quick: false,
          out: sweep.out,
        }),
      ),
    );
  }
  if (name === "noise") {
    const what = { axis: "method", base: "dpo", by: "example.flipped" };
    for (const metric of ["win_rate", "kl"]) {
      blocks.set(`noise ${metric}`, differencesBlock(sweep, results, { ...what, metric }));
    }
  }
  await writeText(DOCUMENT, fillBlocks(await Deno.readTextFile(DOCUMENT), blocks, DOCUMENT));
}

/** Results of the full version that are kept in the project. */
function keptResults(name: string): RunResult[] {
  try {
    return Deno.readTextFileSync(`${FOLDER}/${name}.jsonl`).split("\n")
      .filter((line) => line !== "").map((line) => JSON.parse(line));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Prints the differences of a sweep; returns how many signs are not those of the full results. */
function tellClaims(name: string, sweep: OpenedSweep, full: OpenedSweep): number {
  const kept = keptResults(name);
  let wrong = 0;
  for (const claim of CLAIMS.filter((its) => its.sweep === name)) {
    const found = claimed(claim, sweep.plan, resultsOf(sweep));
    const known = claimed(claim, full.plan, kept);
    const verdict = sweep.file.isQuick ? `; ${compareSigns(known, found)}` : "";
    if (verdict.endsWith("other sign")) wrong++;
    const before = sweep.file.isQuick ? `, in full ${formatEstimate(known)}` : "";
    console.log(`  ${describeClaim(claim)}: ${formatEstimate(found)}${before}${verdict}`);
  }
  return wrong;
}

async function main(args: EvidenceArgs, signal: AbortSignal): Promise<number> {
  let wrong = 0, failed = 0;
  for (const name of args.only) {
    const path = `sweeps/${name}.yaml`;
    const code = await runSweep(
      { path, jobs: args.jobs, quick: args.quick, table: args.table },
      signal,
    );
    if (signal.aborted) return code;
    if (code !== 0) failed++;
    const sweep = await openSweep(path, { quick: args.quick });
    // Labels and seeds of the full plan; its settings may rest on a tuning that is not here.
    const full = await openSweep(path, { quick: false, untuned: true });
    wrong += tellClaims(name, sweep, full);
    if (args.write) await keep(name, sweep);
    console.log("");
  }
  if (wrong > 0) console.error(`${wrong} signs are not those of the full results`);
  return wrong + failed > 0 ? 1 : 0;
}

if (import.meta.main) {
  preparePlatform();
  try {
    const args = readArgs([...Deno.args]);
    if (!args) console.log(HELP);
    Deno.exit(args ? await main(args, onSignals()) : 0);
  } catch (error) {
    const { message, code } = explainError(error);
    console.error(message);
    Deno.exit(code);
  }
}
