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
import { UsageError } from "./exit_code.ts";
import { findConfig } from "./find_config.ts";
import { toPath } from "./model_source.ts";
import { cacheFolder } from "./references.ts";
import { chooseRunFolder, FINAL } from "./run_folder.ts";
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

The run's folder gets config.yaml, metrics.jsonl, checkpoints/ and, at the end, ${FINAL}/.`;

interface TrainArgs {
  readonly config: string;
  readonly outputDir?: string;
  readonly set: readonly string[];
  readonly resume: "no" | "newest" | "older";
}

function readArgs(args: string[]): TrainArgs | undefined {
  const flags = parseArgs(args, {
    string: ["config", "output_dir", "set"],
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
  const timings = lazyTimings(folder.path);
  const sinks = fanOut([terminal, timings]);
  folder.notices.forEach((text) => terminal.accept({ type: "notice", text }));
  const request = {
    config: file,
    overrides: args.set,
    outputFolder: folder.path,
    cacheFolder: cacheFolder(),
    resume: args.resume,
  };
  const { code, message } = await supervise(request, {
    permissions: workerPermissions(parsed.config, request),
    modeTimeLimit: settings.modeTimeLimit,
    events: sinks,
  }).finally(() => sinks.close?.());
  if (message !== undefined) console.error(message);
  return code;
}
