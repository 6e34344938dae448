/**
 * `train`: from a config file to a tuned model folder. This thread reads the arguments and shows what
 * happens; the run itself is in a Worker, because a read-back from the GPU blocks its thread and a mode
 * may never return.
 */
import { parseArgs } from "@std/cli/parse-args";
import { consoleSink } from "../report/console.ts";
import { fanOut, type RunEvent, type Sink } from "../report/events.ts";
import { timingsSink } from "../report/metrics_jsonl.ts";
import { parseConfig, trainingSettings } from "../trainer/config.ts";
import { type DashboardPlace, dashboardPlace, openDashboard } from "./dashboard.ts";
import { readExcludedRows } from "./excluded_rows.ts";
import { UsageError } from "./exit_code.ts";
import { findConfig } from "./find_config.ts";
import { toPath } from "./model_source.ts";
import { cacheFolder } from "./references.ts";
import { chooseRunFolder, FINAL } from "./run_folder.ts";
import { reportSink } from "./run_page.ts";
import { supervise } from "./train_supervisor.ts";
import { workerPermissions } from "./worker_permissions.ts";

const HELP = `Trains a model on preference pairs.

  deno task train --config config_dpo_beta.yaml [options]

  --config NAME        a YAML file: as given, or in the project's configs/ folder
  --output_dir DIR     where the run writes; without it runs/<save_dir or the config's name>
  --set KEY=VALUE      changes a key of the config, e.g. --set dpo_training.learning_rate=1e-6;
                       may be repeated
  --resume             goes on from the newest whole checkpoint in the output folder
  --allow-older        with --resume: passes over a damaged newest checkpoint
  --exclude-rows FILE  leaves out training rows: a number a line, or JSON lines with "row", as
                       "deno task pairs" writes them
  --dashboard [PORT]   serves the run's page meanwhile, and prints its link
  --dashboard-host IP  serves it to other machines too: an address of this one, or 0.0.0.0

The run's folder gets config.yaml, metrics.jsonl, checkpoints/ and, at the end, ${FINAL}/.`;

interface TrainArgs {
  readonly config: string;
  readonly outputDir?: string;
  readonly set: readonly string[];
  readonly resume: "no" | "newest" | "older";
  readonly excludeRows?: string;
  readonly dashboard?: DashboardPlace;
}

function readArgs(args: string[]): TrainArgs | undefined {
  const flags = parseArgs(args, {
    string: ["config", "output_dir", "set", "exclude-rows", "dashboard", "dashboard-host"],
    boolean: ["resume", "allow-older", "help"],
    collect: ["set"],
    alias: { h: "help" },
    unknown: (arg) => {
      throw new UsageError(`train: unknown argument "${arg}"; see "deno task train --help"`);
    },
  });
  if (flags.help) return undefined;
  if (!flags.config) {
    throw new UsageError(
      `train: which config? Give --config NAME, e.g. --config config_dpo_beta.yaml`,
    );
  }
  if (flags.output_dir === "") throw new UsageError("train: --output_dir needs a folder");
  return {
    config: flags.config,
    outputDir: flags.output_dir,
    set: flags.set,
    excludeRows: flags["exclude-rows"],
    dashboard: dashboardPlace(flags.dashboard, flags["dashboard-host"]),
    resume: flags["allow-older"] ? "older" : flags.resume ? "newest" : "no",
  };
}

function openConsole(logSteps: number): Sink {
  const terminal = Deno.stdout.isTerminal();
  const encoder = new TextEncoder();
  return consoleSink({
    terminal,
    // A terminal without a size tells 0.
    columns: terminal ? Deno.consoleSize().columns || undefined : undefined,
    logSteps,
    write: (text) => {
      let bytes = encoder.encode(text);
      while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
    },
    clock: () => performance.now(),
  });
}

/** Timings start where training starts, which only the "start" event tells. */
function lazyTimings(folder: string): Sink {
  let sink: Sink | undefined;
  return {
    accept(event: RunEvent) {
      if (event.type === "start") {
        sink = timingsSink(`${folder}/timings.jsonl`, {
          finished: event.step,
          clock: () => performance.now(),
          memory: () => Deno.memoryUsage().rss,
        });
      }
      sink?.accept(event);
    },
    close: () => sink?.close?.(),
  };
}

/** Runs the command; returns the exit code. */
export async function run(rawArgs: string[]): Promise<number> {
  const args = readArgs(rawArgs);
  if (!args) {
    console.log(HELP);
    return 0;
  }
  const file = toPath(await findConfig(args.config));
  // The Worker reads the config again; here it says what the Worker may reach.
  const parsed = parseConfig(Deno.readTextFileSync(file), { file, overrides: args.set });
  const settings = trainingSettings(parsed.config, parsed.mode);
  const folder = chooseRunFolder({
    outputDir: args.outputDir,
    name: settings.saveDir ?? file.split(/[\\/]/).at(-1)!.replace(/\.ya?ml$/, ""),
    resume: args.resume !== "no",
  });
  const terminal = openConsole(settings.logSteps);
  const tell = (text: string) => terminal.accept({ type: "notice", text });
  const timings = lazyTimings(folder.path);
  const excludedRows = args.excludeRows === undefined ? [] : readExcludedRows(args.excludeRows);
  const dashboard = args.dashboard && openDashboard(args.dashboard, folder.path, tell);
  const report = settings.reportTo.includes("html") ? reportSink(folder.path, tell) : undefined;
  const sinks = fanOut([terminal, timings, report, dashboard?.sink].filter((s) => s !== undefined));
  folder.notices.forEach(tell);
  const request = {
    config: file,
    overrides: args.set,
    outputFolder: folder.path,
    cacheFolder: cacheFolder(),
    resume: args.resume,
    excludedRows,
  };
  const { code, message } = await supervise(request, {
    permissions: workerPermissions(parsed.config, request),
    modeTimeLimit: settings.modeTimeLimit,
    events: sinks,
    onStarted: dashboard?.onStarted,
  }).finally(() => sinks.close?.());
  await dashboard?.end(code);
  if (message !== undefined) console.error(message);
  return code;
}
