/**
 * What a run leaves for its report beside metrics: the facts in `run.json`, answers to sample prompts
 * after each evaluation, and the bytes held on the GPU.
 */
import type { Gpu } from "../gpu/device.ts";
import type { LlamaEngine } from "../model/llama.ts";
import type { RunEvent, Sink } from "../report/events.ts";
import { type RunFacts, writeFacts } from "../report/run_facts.ts";
import { runSize } from "../trainer/plan.ts";
import type { References } from "./references.ts";
import { SampleLog } from "./sample_log.ts";
import { answerPrompts, samplePrompts } from "./samples.ts";
import type { Session } from "./session.ts";

/** Whether the margins of single pairs are logged. */
export function logsMargins({ settings, reference, needs }: Session): boolean {
  return settings.marginLog.enabled && reference !== undefined && needs.rows === "pairs";
}

/** The events of a run, each step with the bytes that its GPU holds. */
export function withGpuBytes(events: Sink, gpu: Gpu): Sink {
  return {
    accept: (event: RunEvent) =>
      events.accept(event.type === "step" ? { ...event, gpuBytes: gpu.bytes } : event),
  };
}

/** Writes `run.json`. */
export function writeRunFacts(
  folder: string,
  session: Session,
  plan: readonly string[],
  engine: LlamaEngine,
): void {
  const { parsed, settings, data, policy, reference, needs } = session;
  const { dataset_name } = parsed.config.dataset;
  const facts: Omit<RunFacts, "format"> = {
    mode: session.mode.name,
    modeOptions: session.modeOptions,
    lossTypes: settings.lossTypes,
    policy: policy.dir,
    ...reference && { reference: reference.dir },
    totalSteps: runSize(settings, data.train.length, needs.scope).totalSteps,
    plan,
    data: { ...data.report },
    machine: {
      GPU: engine.adapterName,
      system: `${Deno.build.os} ${Deno.build.arch}`,
      "processor cores": navigator.hardwareConcurrency,
      Deno: Deno.version.deno,
      V8: Deno.version.v8,
    },
    ...logsMargins(session) && {
      margins: {
        folder: settings.marginLog.dir,
        dataset: session.hub[dataset_name]?.path ?? dataset_name,
        form: data.report.train.form,
      },
    },
  };
  writeFacts(folder, facts);
}

/** What is done after an evaluation: the sample prompts are answered; undefined when there are none. */
export function sampler(
  folder: string,
  session: Session,
  engine: LlamaEngine,
  references: References,
  events: Sink,
): { begin(finished: number): void; onEvaluated(step: number): Promise<void> } | undefined {
  const prompts = samplePrompts(session);
  if (prompts.length === 0) return undefined;
  const log = new SampleLog(folder, events);
  return {
    begin: (finished) => log.begin(finished),
    async onEvaluated(step) {
      const answers = await answerPrompts(session, engine, prompts);
      log.write(
        step,
        prompts.map((prompt, i) => ({
          prompt,
          reference: references.answers[i],
          policy: answers[i],
        })),
      );
    },
  };
}
