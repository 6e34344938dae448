/** `eval`: loss, rewards and accuracy of a model on the config's held-out rows. */
import { parseArgs } from "@std/cli/parse-args";
import { openGpu } from "../gpu/device.ts";
import type { Json } from "../losses/loss_mode.ts";
import { firstState } from "../losses/run_mode.ts";
import { consoleSink } from "../report/console.ts";
import { ConfigError } from "../trainer/error.ts";
import { evaluate } from "../trainer/evaluation.ts";
import { UsageError } from "./exit_code.ts";
import { fetchNamed } from "./hub_inputs.ts";
import { cacheFolder, engineOptions, openReferences } from "./references.ts";
import { closeSession, openSession, type Session } from "./session.ts";
import { chooseKernels } from "./tuning.ts";

const HELP = `Evaluates a model on the held-out rows of a config.

  deno task eval --config config_dpo_beta.yaml --model runs/beta_dpo_example/final

  --config NAME      a YAML file: as given, or in the project's configs/ folder
  --model DIR        the model folder (or owner/name on the Hub) to evaluate; without it the
                     config's policy
  --set KEY=VALUE    changes a key of the config; may be repeated
  --json             prints one JSON object instead of lines`;

/** Runs the command; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  const flags = parseArgs(args, {
    string: ["config", "model", "set"],
    boolean: ["json", "help"],
    collect: ["set"],
    alias: { h: "help" },
    unknown: (arg) => {
      throw new UsageError(`eval: unknown argument "${arg}"; see "deno task eval --help"`);
    },
  });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  if (!flags.config) throw new UsageError(`eval: which config? Give --config NAME`);
  const events = consoleSink({
    terminal: false,
    logSteps: 1,
    write: (text) => Deno.stderr.writeSync(new TextEncoder().encode(text)),
    clock: () => performance.now(),
  });
  // Nothing is generated here.
  const overrides = [...flags.set, "samples.prompts=0"];
  const hub = await fetchNamed(flags.config, overrides, { events, model: flags.model });
  const session = await openSession({
    config: flags.config,
    hub,
    overrides,
    model: flags.model,
    cacheFolder: cacheFolder(),
    events,
  });
  const { data } = session;
  if (data.validation.length === 0) {
    throw session.parsed.problem("dataset.val_ratio", "no rows are held out to evaluate on");
  }
  const gpu = await openGpu();
  try {
    await chooseKernels(gpu, session.policy.config, {
      setting: session.settings.kernelTuning,
      places: { cacheFolder: cacheFolder() },
      events,
    });
    const engine = await session.policy.load(gpu, engineOptions(session, { frozen: true }));
    const references = await openReferences(gpu, session, engine, events);
    const saved = readModeState(session);
    const { rows, metrics } = await evaluate({
      engine,
      dataset: data.validation,
      batchSize: session.settings.evalBatchSize,
      reference: references.validation,
      mode: session.mode,
      modeOptions: session.modeOptions,
      lossTypes: session.lossTypes,
      modifiers: session.settings.modifiers,
      state: saved.state,
      place: { microStep: 0, optimizerStep: saved.optimizerStep, epoch: 0, accumulation: 1 },
    });
    print(session.policy.dir, rows, metrics, flags.json);
    return 0;
  } finally {
    gpu.destroy();
    closeSession(session);
  }
}

/** The mode's state that training left beside the model; a fresh one for any other model. */
function readModeState({ policy, mode, modeOptions }: Session) {
  const path = `${policy.dir}/mode_state.json`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { state: firstState(mode, modeOptions), optimizerStep: 0 };
  }
  const saved = parseObject(text);
  if (!saved || typeof saved.state !== "object") {
    throw new ConfigError(
      `Cannot read "${path}": it is not what training wrote; remove it to evaluate without it`,
    );
  }
  if (saved.mode !== mode.name || saved.version !== mode.version) {
    // Another mode's state says nothing about this one.
    return { state: firstState(mode, modeOptions), optimizerStep: 0 };
  }
  return { state: saved.state as Json, optimizerStep: Number(saved.optimizerStep ?? 0) };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function print(
  model: string,
  rows: number,
  metrics: Readonly<Record<string, number>>,
  json: boolean,
): void {
  if (json) {
    console.log(JSON.stringify({ model, rows, ...metrics }));
    return;
  }
  console.log(`${model} on ${rows} held-out rows`);
  for (const [name, value] of Object.entries(metrics)) {
    console.log(`  ${name.padEnd(28)}${Number(value.toPrecision(6))}`);
  }
}
