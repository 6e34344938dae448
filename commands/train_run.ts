/**
 * A whole training run over an opened session: model on the GPU, reference, training, the tuned model
 * and its evaluation. Runs in the Worker: it knows no terminal, no signal and no clock but its own.
 */
import { createHash } from "node:crypto";
import { type Gpu, openGpu } from "../gpu/device.ts";
import { storedTensors, writeAdapter } from "../model/adapter_files.ts";
import type { Architecture } from "../model/architecture.ts";
import type { LlamaEngine } from "../model/llama.ts";
import { adapterList, loraModules, loraScale, type LoraSettings } from "../model/lora.ts";
import { writeModelFolder } from "../model/model_folder.ts";
import type { Sink } from "../report/events.ts";
import { summaryLines } from "../report/summary.ts";
import { evaluate } from "../trainer/evaluation.ts";
import { planLines } from "../trainer/plan.ts";
import { train } from "../trainer/trainer.ts";
import type { TrainingResult } from "../trainer/run.ts";
import type { RunControl } from "../trainer/run_control.ts";
import { pretrainedModel } from "./model_source.ts";
import { engineOptions, openReferences, type References } from "./references.ts";
import { writePins } from "./hub_pins.ts";
import { FINAL, writeRunConfig } from "./run_folder.ts";
import { logsMargins, sampler, withGpuBytes, writeRunFacts } from "./run_record.ts";
import { answerPrompts, sampleLines, samplePrompts } from "./samples.ts";
import type { Session } from "./session.ts";
import { chooseKernels } from "./tuning.ts";

/** What a run has beside its session. */
export interface RunPlace {
  readonly outputFolder: string;
  /** Where reference values and measured kernels are kept. */
  readonly cacheFolder: string;
  readonly resume: "no" | "newest" | "older";
  readonly events: Sink;
  /** When aborted, the step in progress is finished and saved. */
  readonly signal: AbortSignal;
  readonly control?: RunControl;
  /** A device that several runs use one after the other; absent: one of the run's own. */
  readonly gpu?: Gpu;
}

/** Returns whether the signal stopped the run before its last step. */
export async function runSession(
  session: Session,
  { outputFolder, cacheFolder, resume, events: outside, signal, control, gpu: shared }: RunPlace,
): Promise<boolean> {
  const started = performance.now();
  const { parsed, settings, mode, modeOptions, data } = session;
  const gpu = shared ?? await openGpu();
  const events = withGpuBytes(outside, gpu);
  // Of a shared device everything is given back; a device of the run's own goes as a whole.
  const opened: { destroy(): void }[] = [];
  try {
    const kernels = await chooseKernels(gpu, session.policy.config, {
      setting: settings.kernelTuning,
      places: { cacheFolder, resumedFolder: resume === "no" ? undefined : outputFolder },
      events,
    });
    const engine = await session.policy.load(gpu, engineOptions(session, { frozen: false }));
    opened.push(engine);
    const lines = plan(session, outputFolder, engine);
    events.accept({ type: "plan", lines });
    Deno.mkdirSync(outputFolder, { recursive: true });
    const references = await openReferences(gpu, session, engine, events, {
      signal,
      folder: cacheFolder,
    });
    if (references.close) opened.push({ destroy: references.close });
    const { adapter } = session;
    // Only now: the reference is the model without it.
    if (adapter) await engine.restore(storedTensors(session.policy.config, adapter));
    const samples = sampler(outputFolder, session, engine, references, events);
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
        policy: session.policy.identity() + (adapter ? ` with adapter ${adapter.identity}` : ""),
        reference: session.reference?.identity(),
      },
      policyIsReference: session.reference === session.policy && !adapter,
      train: data.train,
      validation: data.validation.length > 0 ? data.validation : undefined,
      outputFolder,
      marginLog: logsMargins(session)
        ? {
          folder: `${outputFolder}/${settings.marginLog.dir}`,
          sampleSize: settings.marginLog.sampleSize,
        }
        : undefined,
      configId: createHash("sha256").update(parsed.text).digest("hex"),
      resume,
      // Only now: a refused resume leaves the folder as it was.
      onOpened: (finished) => {
        writeRunConfig(outputFolder, parsed.text);
        writePins(outputFolder, session.hub);
        kernels.save(outputFolder);
        writeRunFacts(outputFolder, session, lines, engine);
        samples?.begin(finished);
      },
      onEvaluated: samples?.onEvaluated,
      events,
      signal,
      control,
    });
    const seconds = (performance.now() - started) / 1000;
    const closing = result.summary.stopped
      ? summaryLines(result.summary, { seconds, stoppedBy: stopper(signal) })
      : await finish(session, engine, references, result, outputFolder, {
        seconds,
        gpuBytes: gpu.peakBytes,
      });
    events.accept({ type: "end", lines: closing });
    return result.summary.stopped;
  } finally {
    if (shared) opened.forEach((owner) => owner.destroy());
    else gpu.destroy();
  }
}

/** Who stopped the run, as the abort says it: "Stopped by a signal". */
function stopper({ reason }: AbortSignal): string | undefined {
  return /^Stopped by (.+)$/.exec(reason instanceof Error ? reason.message : "")?.[1];
}

function plan(session: Session, outputFolder: string, engine: LlamaEngine): string[] {
  const { settings, mode, modeOptions, data, policy, parsed } = session;
  const { total, capacity, largestBinding, levels } = engine.plan;
  return [
    `Model: ${policy.dir}${parsed.config.init === "random" ? " (random weights)" : ""}; ` +
    `arithmetic and checkpoints in f32, ${FINAL}/ in ` +
    (engine.lora ? "f32" : parsed.config.precision) +
    (settings.storageDtype === "float16"
      ? "; activations and the weights of products are stored as f16"
      : ""),
    ...engine.lora ? [adapterLine(policy.config, engine.lora)] : [],
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
        levels,
      },
    }),
    `GPU: ${engine.adapterName}, chunks of up to ${capacity.tokens} tokens`,
  ];
}

function adapterLine(config: Architecture, lora: LoraSettings): string {
  const modules = loraModules(config, lora).length;
  const parameters = adapterList(config, lora, lora.rank)
    .reduce((sum, { shape }) => sum + shape[0] * shape[1], 0);
  return `Adapters: rank ${lora.rank}, scale ${loraScale(lora)}, on ${modules} modules with ` +
    `${parameters} parameters; the model's own weights are frozen`;
}

/**
 * Writes the tuned model, or its adapter, in place of what the engine holds: from here on that is what
 * the files hold, rounded to their precision.
 */
async function writeFinal(
  session: Session,
  engine: LlamaEngine,
  finalFolder: string,
  result: TrainingResult,
): Promise<void> {
  const { parsed, policy, mode } = session, name = parsed.config.policy_name;
  const state = {
    mode: mode.name,
    version: mode.version,
    optimizerStep: result.summary.steps,
    state: result.modeState,
  };
  const extraFiles = { "mode_state.json": JSON.stringify(state, null, 2) + "\n" };
  if (engine.lora) {
    return await writeAdapter(finalFolder, {
      config: policy.config,
      settings: engine.lora,
      // A name on the Hub means the same model to whoever is given the adapter, a path in a cache does not.
      baseModel: Object.hasOwn(session.hub, name) ? name : policy.place,
      tensors: engine.weights(),
      extraFiles,
    });
  }
  await writeModelFolder(finalFolder, {
    configText: policy.configText,
    precision: parsed.config.precision,
    maxShardBytes: parsed.config.max_shard_size,
    tensors: engine.weights(),
    filesToCopy: policy.companions,
    extraFiles: { ...policy.ownFiles, ...extraFiles },
  });
  const written = pretrainedModel(finalFolder);
  await engine.restore(
    (function* () {
      for (const [name, shape] of engine.parameterShapes) {
        yield { name, shape, data: written.parameter(name, shape) };
      }
    })(),
  );
  written.close();
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
  const { data, settings, mode, modeOptions, lossTypes } = session;
  const finalFolder = `${outputFolder}/${FINAL}`;
  await writeFinal(session, engine, finalFolder, result);
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
