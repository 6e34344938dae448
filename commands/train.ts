/**
 * `train`: from a config file to a tuned model folder. This thread reads the arguments and shows what
 * happens; the run itself is in a Worker, because a read-back from the GPU blocks its thread and a mode
 * may never return.
 */
import { parseArgs } from "@std/cli/parse-args";
import { consoleSink } from "../report/console.ts";
import { fanOut, type Sink } from "../report/events.ts";
import { jsonSink, quietSink } from "../report/plain_outputs.ts";
import { parseConfig, trainingSettings } from "../trainer/config.ts";
import { type DashboardPlace, dashboardPlace, openDashboard } from "./dashboard.ts";
import { readExcludedRows } from "./excluded_rows.ts";
import { UsageError } from "./exit_code.ts";
import { findConfig } from "./find_config.ts";
import { fetchHubInputs, giveBackHub } from "./hub_inputs.ts";
import { readPins } from "./hub_pins.ts";
import { toPath } from "./model_source.ts";
import { cacheFolder } from "./references.ts";
import { chooseRunFolder, FINAL } from "./run_folder.ts";
import { runSinks } from "./sinks.ts";
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
  --chart              draws loss and margin as text while training and at the end
  --quiet              prints nothing but notices (on standard error) and the error that ends a run
  --json               prints every event as a line of JSON
  --exclude-rows FILE  leaves out training rows: a number a line, or JSON lines with "row", as
                       "deno task pairs" writes them
  --dashboard [PORT]   serves the run's page meanwhile, and prints its link
  --dashboard-host IP  serves it to other machines too: an address of this one, or 0.0.0.0

Models and data sets are paths, or names on the Hub (owner/name, owner/name@revision), which are
downloaded into its cache first; docs/hub.md says how.

The run's folder gets config.yaml, metrics.jsonl, checkpoints/ and, at the end, ${FINAL}/.`;

interface TrainArgs {
  readonly config: string;
  readonly outputDir?: string;
  readonly set: readonly string[];
  readonly resume: "no" | "newest" | "older";
  readonly output: "text" | "chart" | "quiet" | "json";
  readonly excludeRows?: string;
  readonly dashboard?: DashboardPlace;
}

function readArgs(args: string[]): TrainArgs | undefined {
  const flags = parseArgs(args, {
    string: ["config", "output_dir", "set", "exclude-rows", "dashboard", "dashboard-host"],
    boolean: ["resume", "allow-older", "chart", "quiet", "json", "help"],
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
  const outputs = (["chart", "quiet", "json"] as const).filter((name) => flags[name]);
  if (outputs.length > 1) {
    throw new UsageError(
      `train: choose one of ${outputs.map((name) => `--${name}`).join(" and ")}`,
    );
  }
  return {
    output: outputs[0] ?? "text",
    config: flags.config,
    outputDir: flags.output_dir,
    set: flags.set,
    excludeRows: flags["exclude-rows"],
    dashboard: dashboardPlace(flags.dashboard, flags["dashboard-host"]),
    resume: flags["allow-older"] ? "older" : flags.resume ? "newest" : "no",
  };
}

function openConsole(logSteps: number, output: TrainArgs["output"]): Sink {
  if (output === "quiet") return quietSink(writerTo(Deno.stderr));
  const write = writerTo(Deno.stdout);
  if (output === "json") return jsonSink(write);
  const terminal = Deno.stdout.isTerminal();
  return consoleSink({
    terminal,
    // A terminal without a size tells 0.
    columns: terminal ? Deno.consoleSize().columns || undefined : undefined,
    logSteps,
    chart: output === "chart",
    colour: terminal && !Deno.noColor,
    write,
    clock: () => performance.now(),
  });
}

function writerTo(stream: { writeSync(bytes: Uint8Array): number }): (text: string) => void {
  const encoder = new TextEncoder();
  return (text) => {
    let bytes = encoder.encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
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
  const terminal = openConsole(settings.logSteps, args.output);
  const tell = (text: string) => terminal.accept({ type: "notice", text });
  const env = (name: string) => Deno.env.get(name);
  const excludedRows = args.excludeRows === undefined ? [] : readExcludedRows(args.excludeRows);
  const hub = await fetchHubInputs(parsed.config, {
    events: terminal,
    env,
    // A run that goes on, goes on with the same weights and rows.
    pins: args.resume === "no" ? {} : readPins(folder.path),
  });
  giveBackHub(env);
  const dashboard = args.dashboard && openDashboard(args.dashboard, folder.path, tell);
  const report = settings.reportTo.includes("html") ? reportSink(folder.path, tell) : undefined;
  const others = fanOut([
    ...runSinks({ parsed, settings, folder: folder.path, env, tell }),
    ...[report, dashboard?.sink].filter((sink) => sink !== undefined),
  ]);
  const sinks = fanOut([terminal, others]);
  folder.notices.forEach(tell);
  const request = {
    config: file,
    overrides: args.set,
    outputFolder: folder.path,
    cacheFolder: cacheFolder(),
    resume: args.resume,
    excludedRows,
    hub,
  };
  let code = 1, message: string | undefined;
  try {
    ({ code, message } = await supervise(request, {
      permissions: workerPermissions(parsed.config, request),
      modeTimeLimit: settings.modeTimeLimit,
      events: sinks,
      onStarted: dashboard?.onStarted,
    }));
  } finally {
    // First: they may have something to say.
    await others.close?.(code);
    terminal.close?.();
  }
  await dashboard?.end(code);
  if (message !== undefined) console.error(message);
  return code;
}
