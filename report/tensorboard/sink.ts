/**
 * TensorBoard's event files: every metric of every step, histograms of margins and rewards, sample
 * answers and the config. A resumed run opens a new file; TensorBoard reads all files of a folder.
 */
import type { AnsweredPrompt, RunEvent, Sink, StepEvent } from "../events.ts";
import { attemptReport } from "../json_lines.ts";
import { writeWhole } from "../write_whole.ts";
import { StepClock } from "../step_clock.ts";
import {
  framedRecord,
  sessionStartEvent,
  summaryEvent,
  type SummaryValue,
  versionEvent,
} from "./event.ts";

export interface TensorboardOptions {
  /** The folder TensorBoard is pointed at; made if it is not there. */
  readonly folder: string;
  /** Finished steps at the start of this process. */
  readonly finished: number;
  /** The config as used, as YAML. */
  readonly config: string;
  /** Milliseconds since 1970, e.g. `Date.now`. */
  now(): number;
}

/**
 * A sink that writes a new event file. Each event goes out at once, so a killed run loses none.
 *
 * @throws ReportFileError when the file system refuses
 */
export function tensorboardSink(options: TensorboardOptions): Sink {
  const { folder, finished, now } = options;
  attemptReport("create", folder, () => Deno.mkdirSync(folder, { recursive: true }));
  const { file, path } = newEventFile(folder, Math.floor(now() / 1000));
  const seconds = () => now() / 1000;
  const clock = new StepClock(now);
  const write = (event: Uint8Array) =>
    attemptReport("write", path, () => writeWhole(file, framedRecord(event)));
  const summary = (step: number, values: readonly SummaryValue[]) =>
    write(summaryEvent(seconds(), step, values));

  write(versionEvent(seconds()));
  if (finished > 0) write(sessionStartEvent(seconds(), finished + 1));
  else summary(0, [{ kind: "text", tag: "config", text: fenced(options.config) }]);
  return {
    accept(event: RunEvent) {
      if (event.type === "step") {
        summary(event.step, [...stepValues(event), ...scalars(clock.step(event.tokens))]);
      } else if (event.type === "evaluation") {
        summary(event.step, scalars(event.metrics));
      } else if (event.type === "samples") {
        summary(event.step, event.samples.map(sampleText));
      }
      // Evaluations and checkpoints are no part of a step's time.
      if (event.type === "evaluation" || event.type === "checkpoint") clock.mark();
    },
    close: () => file.close(),
  };
}

/** `events.out.tfevents.<seconds>.<who>`: a reader takes the files in the order of their names. */
function newEventFile(folder: string, seconds: number): { file: Deno.FsFile; path: string } {
  for (let number = 0;; number++) {
    const path = `${folder}/events.out.tfevents.${String(seconds).padStart(10, "0")}.dynamic-dpo.` +
      String(number).padStart(3, "0");
    const file = attemptReport("create", path, () => {
      try {
        return Deno.openSync(path, { write: true, createNew: true });
      } catch (error) {
        if (error instanceof Deno.errors.AlreadyExists) return undefined;
        throw error;
      }
    });
    if (file) return { file, path };
  }
}

function scalars(metrics: Readonly<Record<string, number>>): SummaryValue[] {
  return Object.entries(metrics).map(([tag, value]) => ({ kind: "scalar", tag, value }));
}

function stepValues({ metrics, distributions }: StepEvent): SummaryValue[] {
  const histograms = Object.entries(distributions ?? {}).map(([tag, values]): SummaryValue => ({
    kind: "histogram",
    tag: `distribution/${tag}`,
    values,
  }));
  return [...scalars(metrics), ...histograms];
}

function sampleText({ prompt, reference, policy }: AnsweredPrompt, i: number): SummaryValue {
  const parts = [["prompt", prompt], ["reference", reference], ["policy", policy]];
  const text = parts.map(([title, words]) => `**${title}**\n\n${fenced(words)}`).join("\n\n");
  return { kind: "text", tag: `samples/${i + 1}`, text };
}

/** Text as a block that Markdown leaves alone; longer fences than any in the text. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text.trimEnd()}\n${fence}`;
}
