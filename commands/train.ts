/** `train`: from a config file to a tuned model folder. */
import { createHash } from "node:crypto";
import { parseArgs } from "@std/cli/parse-args";
import { openGpu } from "../gpu/device.ts";
import type { LlamaEngine } from "../model/llama.ts";
import { writeModelFolder } from "../model/model_folder.ts";
import { consoleSink } from "../report/console.ts";
import { fanOut, type RunEvent, type Sink } from "../report/events.ts";
import { timingsSink } from "../report/metrics_jsonl.ts";
import { summaryLines } from "../report/summary.ts";
import { evaluate } from "../trainer/evaluation.ts";
import { planLines } from "../trainer/plan.ts";
import { train } from "../trainer/trainer.ts";
import type { TrainingResult } from "../trainer/run.ts";
import { UsageError } from "./exit_code.ts";
import { engineOptions, openReferences, type References } from "./references.ts";
import { chooseRunFolder, FINAL, writeRunConfig } from "./run_folder.ts";
import { answerPrompts, sampleLines, samplePrompts } from "./samples.ts";
import { closeSession, openSession, type Session } from "./session.ts";
import { pretrainedModel } from "./model_source.ts";

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

/** Stops the run after its step on the first signal; a second one ends the process. */
function listenForSignals(): { signal: AbortSignal; code(): number; close(): void } {
  const controller = new AbortController();
  let code = 0;
  const names = Deno.build.os === "windows"
    ? [["SIGINT", 130]] as const
    : [["SIGINT", 130], ["SIGTERM", 143]] as const;
  const handlers = names.map(([name, exit]) => {
    const handler = () => {
      if (code !== 0) Deno.exit(code);
      code = exit;
      controller.abort(new Error(`Stopped by ${name}`));
    };
    Deno.addSignalListener(name, handler);
    return [name, handler] as const;
  });
  return {
    signal: controller.signal,
    code: () => code,
    close: () => handlers.forEach(([name, handler]) => Deno.removeSignalListener(name, handler)),
  };
}

/** Runs the command; returns the exit code. */
export async function run(rawArgs: string[]): Promise<number> {
  const args = readArgs(rawArgs);
  if (!args) {
    console.log(HELP);
    return 0;
  }
  // Events before the settings are known are few: one console per phase is enough.
  const early = openConsole(1);
  const session = await openSession({
    config: args.config,
    overrides: args.set,
    events: early,
  }).finally(() => early.close?.());
  const folder = chooseRunFolder({
    outputDir: args.outputDir,
    name: session.settings.saveDir ?? session.configName,
    resume: args.resume !== "no",
  });
  folder.notices.forEach((text) => early.accept({ type: "notice", text }));
  const signals = listenForSignals();
  const terminal = openConsole(session.settings.logSteps);
  try {
    const stopped = await runSession(session, args, folder.path, terminal, signals.signal);
    return stopped ? signals.code() : 0;
  } catch (error) {
    if (signals.code() !== 0 && error === signals.signal.reason) return signals.code();
    throw error;
  } finally {
    terminal.close?.();
    signals.close();
    closeSession(session);
  }
}

/** Returns whether a signal stopped the run before its last step. */
async function runSession(
  session: Session,
  args: TrainArgs,
  outputFolder: string,
  terminal: Sink,
  signal: AbortSignal,
): Promise<boolean> {
  const started = performance.now();
  const { parsed, settings, mode, modeOptions, data } = session;
  const gpu = await openGpu();
  try {
    const engine = await session.policy.load(gpu, engineOptions(session, { frozen: false }));
    terminal.accept({ type: "plan", lines: plan(session, outputFolder, engine) });
    Deno.mkdirSync(outputFolder, { recursive: true });
    const references = await openReferences(gpu, session, engine, terminal, signal);
    const timings = lazyTimings(outputFolder);
    const result = await train({
      settings,
      mode,
      modeOptions,
      lossTypes: session.lossTypes,
      modifiers: settings.modifiers,
      shadows: session.shadows,
      engine,
      reference: references.train,
      validationReference: references.validation,
      identities: {
        policy: session.policy.identity(),
        reference: session.reference?.identity(),
      },
      policyIsReference: session.reference === session.policy,
      train: data.train,
      validation: data.validation.length > 0 ? data.validation : undefined,
      outputFolder,
      marginLog: settings.marginLog.enabled && session.reference && session.needs.rows === "pairs"
        ? {
          folder: `${outputFolder}/${settings.marginLog.dir}`,
          sampleSize: settings.marginLog.sampleSize,
        }
        : undefined,
      configId: createHash("sha256").update(parsed.text).digest("hex"),
      resume: args.resume,
      // Only now: a refused resume leaves the folder as it was.
      onOpened: () => writeRunConfig(outputFolder, parsed.text),
      events: fanOut([terminal, timings]),
      signal,
    }).finally(() => timings.close?.());
    const lines = result.summary.stopped
      ? summaryLines(result.summary, { seconds: (performance.now() - started) / 1000 })
      : await finish(session, engine, references, result, outputFolder, {
        seconds: (performance.now() - started) / 1000,
        gpuBytes: gpu.peakBytes,
      });
    terminal.accept({ type: "end", lines });
    return result.summary.stopped;
  } finally {
    gpu.destroy();
  }
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
        });
      }
      sink?.accept(event);
    },
    close: () => sink?.close?.(),
  };
}

function plan(session: Session, outputFolder: string, engine: LlamaEngine): string[] {
  const { settings, mode, modeOptions, data, policy, parsed } = session;
  const { total, capacity, largestBinding } = engine.plan;
  return [
    `Model: ${policy.dir}${parsed.config.init === "random" ? " (random weights)" : ""}; ` +
    `arithmetic and checkpoints in f32, ${FINAL}/ in ${parsed.config.precision}`,
    `Output: ${outputFolder}`,
    ...planLines({
      settings,
      mode,
      modeOptions,
      shadows: session.shadows,
      train: data.report.train,
      validation: data.report.validation,
      memory: {
        needed: total,
        budget: settings.memoryBudget,
        largestBinding,
        bindingLimit: engine.bindingLimit,
      },
    }),
    `GPU: ${engine.adapterName}, chunks of up to ${capacity.tokens} tokens`,
  ];
}

/** Writes the tuned model, evaluates it as written and shows answers; returns the closing lines. */
async function finish(
  session: Session,
  engine: LlamaEngine,
  references: References,
  result: TrainingResult,
  outputFolder: string,
  facts: { seconds: number; gpuBytes: number },
): Promise<string[]> {
  const { parsed, policy, data, settings, mode, modeOptions, lossTypes } = session;
  const finalFolder = `${outputFolder}/${FINAL}`;
  await writeModelFolder(finalFolder, {
    configText: policy.configText,
    precision: parsed.config.precision,
    tensors: engine.weights(),
    filesToCopy: policy.companions,
    extraFiles: {
      "mode_state.json": JSON.stringify(
        {
          mode: mode.name,
          version: mode.version,
          optimizerStep: result.summary.steps,
          state: result.modeState,
        },
        null,
        2,
      ) + "\n",
    },
  });
  // From here on the engine holds what the files hold, rounded to their precision.
  const written = pretrainedModel(finalFolder);
  await engine.restore(
    (function* () {
      for (const [name, shape] of engine.parameterShapes) {
        yield { name, shape, data: written.parameter(name, shape) };
      }
    })(),
  );
  written.close();
  const final = data.validation.length === 0 ? undefined : await evaluate({
    engine,
    dataset: data.validation,
    batchSize: settings.evalBatchSize,
    reference: references.validation,
    mode,
    modeOptions,
    lossTypes,
    modifiers: settings.modifiers,
    state: result.modeState,
    place: {
      microStep: 0,
      optimizerStep: result.summary.steps,
      epoch: settings.epochs,
      accumulation: 1,
    },
  });
  const prompts = samplePrompts(session);
  const tuned = await answerPrompts(session, engine, prompts);
  return [
    ...sampleLines(prompts, references.answers, tuned, session.reference !== undefined),
    ...summaryLines(result.summary, { final: final?.metrics, finalFolder, ...facts }),
  ];
}
