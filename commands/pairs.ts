/** `pairs`: the pair microscope. What the margin log of a run says of single pairs, as page and as data. */
import { parseArgs } from "@std/cli/parse-args";
import { DataError } from "../data/error.ts";
import { openRowTexts, type RowTextReader } from "../data/row_texts.ts";
import { attemptReport } from "../report/json_lines.ts";
import { pageHtml } from "../report/page/page.ts";
import { pairGroups, PAIRS_HOW, type PairTexts } from "../report/page/pair_groups.ts";
import {
  JUDGED_AFTER,
  type PairCourse,
  readPairCourses,
  suspects,
  suspicions,
} from "../report/pair_margins.ts";
import type { RunFacts } from "../report/run_facts.ts";
import { parseConfig } from "../trainer/config.ts";
import { ConfigError } from "../trainer/error.ts";
import { dataSources } from "./data_source.ts";
import { UsageError } from "./exit_code.ts";
import { CONFIG_FILE } from "./run_folder.ts";
import { openRun, runName } from "./run_page.ts";

const HELP = `Looks at the margins of single pairs over a run: which are probably labelled wrong?

  deno task pairs RUN [options]

  RUN                  the output folder of a run with margin logs
  --top N              pairs shown of each kind (default 50)
  --share S            suspects at most, as a share of all pairs (default 0.2)

Writes into RUN: pairs.html, the page; pairs.jsonl, all pairs, the lowest mean margin first;
suspects.jsonl, those for "deno task train --exclude-rows RUN/suspects.jsonl".`;

interface PairsArgs {
  readonly folder: string;
  readonly top: number;
  readonly share: number;
}

function readArgs(rawArgs: string[]): PairsArgs | undefined {
  const flags = parseArgs(rawArgs, {
    string: ["top", "share"],
    boolean: ["help"],
    alias: { h: "help" },
    default: { top: "50", share: "0.2" },
    unknown: (arg) => {
      if (!arg.startsWith("-")) return true;
      throw new UsageError(`pairs: unknown argument "${arg}"; see "deno task pairs --help"`);
    },
  });
  if (flags.help) return undefined;
  if (flags._.length !== 1) {
    throw new UsageError("pairs: which run? Give one folder, e.g. runs/beta_dpo_example");
  }
  const top = Number(flags.top), share = Number(flags.share);
  if (!(Number.isSafeInteger(top) && top >= 1)) {
    throw new UsageError(`pairs: --top "${flags.top}" is not a whole number from 1 on`);
  }
  if (!(flags.share !== "" && share >= 0 && share <= 1)) {
    throw new UsageError(`pairs: --share "${flags.share}" is not a share from 0 to 1`);
  }
  return { folder: String(flags._[0]), top, share };
}

/** Margins of a run's pairs; the run must have logged them. */
function readPairs(folder: string, facts: RunFacts | undefined): PairCourse[] {
  if (!facts?.margins) {
    throw new UsageError(
      `The run in "${folder}" has no margin logs: only modes of pairs with a reference have them, ` +
        'unless "log_margins: false" is in the config',
    );
  }
  return readPairCourses(`${folder}/${facts.margins.folder}`);
}

/** The datasets' texts; undefined, with a remark, when they are not there any more. */
async function openTexts(folder: string): Promise<RowTextReader | undefined> {
  const file = `${folder}/${CONFIG_FILE}`;
  try {
    const text = attemptReport("read", file, () => Deno.readTextFileSync(file));
    const parsed = parseConfig(text, { file });
    const { parts } = await dataSources(parsed);
    return await openRowTexts(parts, parsed.config.dataset.generated_data ? "explicit" : "auto");
  } catch (error) {
    if (!(error instanceof DataError || error instanceof ConfigError)) throw error;
    console.error(`The page shows row numbers without texts: ${error.message}`);
  }
  return undefined;
}

/** A pair as a line of JSON, with its texts for those who clean data. */
function line(pair: PairCourse, texts: PairTexts | undefined): string {
  const { row, mean, last, flips, dropped, steps, margins } = pair;
  return JSON.stringify({
    row,
    mean_margin: mean,
    last_margin: last,
    seen: steps.length,
    flips,
    dropped,
    suspicions: suspicions(pair),
    steps,
    margins,
    ...texts,
  });
}

/** Runs the command; returns the exit code. */
export async function run(rawArgs: string[]): Promise<number> {
  const args = readArgs(rawArgs);
  if (!args) {
    console.log(HELP);
    return 0;
  }
  const { folder, top, share } = args;
  const { facts } = openRun(folder);
  const pairs = readPairs(folder, facts);
  const once = pairs.filter(({ steps }) => steps.length < JUDGED_AFTER).length;
  if (once > 0) {
    console.error(
      `${once} of ${pairs.length} pairs were seen only once and are no suspects: train for two ` +
        "epochs or more to judge them",
    );
  }
  const reader = await openTexts(folder);
  const texts = (row: number) => reader?.pair(row);
  try {
    const chosen = suspects(pairs, share);
    const write = (name: string, text: string) => {
      const path = `${folder}/${name}`;
      attemptReport("write", path, () => Deno.writeTextFileSync(path, text));
      return path;
    };
    const lines = (some: readonly PairCourse[]) =>
      some.map((pair) => line(pair, texts(pair.row)) + "\n").join("");
    const html = pageHtml({
      kind: "pairs",
      title: `Pairs of ${runName(folder)}`,
      subtitle: `${pairs.length} pairs, ${chosen.length} suspects`,
      runs: [],
      pairs: { how: PAIRS_HOW, groups: pairGroups(pairs, top, texts) },
    });
    console.log(`${pairs.length} pairs: ${write("pairs.jsonl", lines(pairs))}`);
    const path = write("suspects.jsonl", lines(chosen));
    console.log(`${chosen.length} suspects, for --exclude-rows: ${path}`);
    console.log(`Page: ${write("pairs.html", html)}`);
  } finally {
    reader?.close();
  }
  return 0;
}
