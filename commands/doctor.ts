/** `doctor`: reads everything that training would read, and reports on it before any training. */
import { parseArgs } from "@std/cli/parse-args";
import { DataError } from "../data/error.ts";
import type { TokenizedDataset } from "../data/load.ts";
import { type Gpu, openGpu } from "../gpu/device.ts";
import { GpuError } from "../gpu/error.ts";
import { HubError } from "../hub/error.ts";
import { ModeError } from "../losses/mode_error.ts";
import { ModelError } from "../model/error.ts";
import { planMemory } from "../model/memory.ts";
import { parameterList } from "../model/param_table.ts";
import { layOut } from "../model/slabs.ts";
import { consoleSink } from "../report/console.ts";
import type { Sink } from "../report/events.ts";
import { planLines, runSize } from "../trainer/plan.ts";
import { examine } from "./doctor_findings.ts";
import { type DatasetExam, type Diagnosis, pageLines } from "./doctor_page.ts";
import { sampleRows } from "./doctor_tokens.ts";
import { doctorWarnings } from "./doctor_warnings.ts";
import { UsageError } from "./exit_code.ts";
import { fetchNamed } from "./hub_inputs.ts";
import { engineOptions } from "./references.ts";
import { closeSession, openSession, type Session } from "./session.ts";

const HELP = `Reads everything a training run would read, and reports on it; nothing is trained.

  deno task doctor --config config_dpo_beta.yaml

  --config NAME      a YAML file: as given, or in the project's configs/ folder
  --set KEY=VALUE    changes a key of the config; may be repeated
  --json             prints one JSON object instead of a page

Exit code 0: training could begin; 1: it could not, the page says why; 2: the config is wrong.`;

/** Runs the command; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  const flags = parseArgs(args, {
    string: ["config", "set"],
    boolean: ["json", "help"],
    collect: ["set"],
    alias: { h: "help" },
    unknown: (arg) => {
      throw new UsageError(`doctor: unknown argument "${arg}"; see "deno task doctor --help"`);
    },
  });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  if (!flags.config) throw new UsageError("doctor: which config? Give --config NAME");
  const notices: string[] = [];
  const events = progressSink(notices);
  const diagnosis = await diagnose(flags.config, flags.set, events, notices);
  events.close?.();
  if (flags.json) console.log(JSON.stringify(diagnosis));
  else {
    const color = Deno.stdout.isTerminal() && !Deno.noColor;
    console.log(pageLines(diagnosis, color).join("\n"));
  }
  return diagnosis.trainable ? 0 : 1;
}

/** Progress goes to standard error; notices are kept for the report. */
function progressSink(notices: string[]): Sink {
  const lines = consoleSink({
    terminal: Deno.stderr.isTerminal(),
    logSteps: 1,
    write: (text) => Deno.stderr.writeSync(new TextEncoder().encode(text)),
    clock: () => performance.now(),
  });
  return {
    accept: (event) => event.type === "notice" ? notices.push(event.text) : lines.accept(event),
    close: () => lines.close?.(),
  };
}

/** Errors of data, models and modes are findings; a wrong config is not. */
async function diagnose(
  config: string,
  overrides: readonly string[],
  events: Sink,
  notices: readonly string[],
): Promise<Diagnosis> {
  let session: Session;
  try {
    const hub = await fetchNamed(config, overrides, { events });
    // It was for downloads: a report changes nothing.
    Deno.permissions.revokeSync({ name: "write" });
    session = await openSession({ config, overrides, events, hub });
  } catch (error) {
    return {
      config,
      mode: "unknown",
      trainable: false,
      problems: [problemOf(error)],
      warnings: [],
    };
  }
  try {
    const { data, tokenizer, settings, mode, needs } = session;
    const exam = (dataset: TokenizedDataset, report: DatasetExam["report"]): DatasetExam => ({
      report,
      findings: examine(
        dataset,
        tokenizer,
        (done) =>
          events.accept({ type: "progress", what: "Examining rows", done, total: dataset.length }),
      ),
    });
    const train = exam(data.train, data.report.train);
    const held = data.report.validation;
    const validation = held && data.validation.length > 0 ? exam(data.validation, held) : undefined;
    const planned = await plan(session);
    const size = runSize(settings, data.train.length, needs.scope);
    return {
      config: session.configName,
      mode: mode.name,
      trainable: planned.problem === undefined,
      problems: planned.problem === undefined ? [] : [planned.problem],
      warnings: [
        ...notices,
        ...planned.warnings,
        ...doctorWarnings({ train, validation }, {
          tokenizer,
          eosIds: session.policy.config.eosTokenIds,
          prompt: data.train.text(0).prompt,
        }),
      ],
      train,
      validation,
      tokensPerStep: train.report.tokens / size.stepsPerEpoch,
      plan: planned.lines,
      rows: sampleRows(data.train, tokenizer),
    };
  } finally {
    closeSession(session);
  }
}

function problemOf(error: unknown): string {
  for (const kind of [DataError, HubError, ModelError, ModeError]) {
    if (error instanceof kind) return error.message;
  }
  throw error;
}

/** What training would print before its first step; without an adapter, all but the memory. */
async function plan(session: Session): Promise<{
  lines: string[];
  warnings: string[];
  problem?: string;
}> {
  const { settings, mode, modeOptions, shadows, data } = session;
  const facts = {
    settings,
    mode,
    modeOptions,
    shadows,
    train: data.report.train,
    validation: data.report.validation,
  };
  let gpu: Gpu;
  try {
    gpu = await openGpu();
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    return {
      lines: planLines(facts),
      warnings: [`The memory plan is left out: ${error.message}`],
    };
  }
  try {
    const memory = memoryFacts(session, gpu);
    return { lines: [...planLines({ ...facts, memory }), `GPU: ${gpu.adapterName}`], warnings: [] };
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    return { lines: planLines(facts), warnings: [], problem: error.message };
  } finally {
    gpu.destroy();
  }
}

/** The plan of GPU memory, with the adapter's default kernels; nothing is allocated. */
function memoryFacts(session: Session, gpu: Gpu) {
  const { bindingLimit, offsetAlignment } = gpu.capabilities;
  const { config } = session.policy;
  const layout = layOut(parameterList(config), bindingLimit, offsetAlignment);
  const plan = planMemory(gpu, config, layout, engineOptions(session, { frozen: false }));
  return {
    needed: plan.total,
    budget: session.settings.memoryBudget,
    largestBinding: plan.largestBinding,
    bindingLimit,
    levels: plan.levels,
  };
}
