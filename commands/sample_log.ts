/** The answers to the sample prompts after each evaluation: told as an event, and kept in `samples.jsonl`. */
import type { AnsweredPrompt, Sink } from "../report/events.ts";
import { JsonLinesFile } from "../report/json_lines.ts";
import { LineTail } from "../report/line_tail.ts";

export const SAMPLES_FILE = "samples.jsonl";

/**
 * What a resumed run keeps of the file: the answers of evaluations up to the step it goes on from.
 *
 * @throws ReportFileError when the file system refuses
 */
function rewrite(path: string, finished: number): void {
  const { records } = new LineTail(path).read();
  const file = JsonLinesFile.open(path, 0);
  try {
    for (const record of records) {
      if (typeof record.step === "number" && record.step <= finished) file.append(record);
    }
  } finally {
    file.close();
  }
}

export class SampleLog {
  readonly #path: string;
  readonly #events: Sink;

  constructor(folder: string, events: Sink) {
    this.#path = `${folder}/${SAMPLES_FILE}`;
    this.#events = events;
  }

  /** Begins after so many finished steps. */
  begin(finished: number): void {
    // Before the first step nothing is kept, an evaluation at step 0 included: it is made again.
    rewrite(this.#path, finished === 0 ? -1 : finished);
  }

  /** @throws ReportFileError when the file system refuses */
  write(step: number, samples: readonly AnsweredPrompt[]): void {
    const file = JsonLinesFile.open(this.#path, Deno.statSync(this.#path).size);
    try {
      samples.forEach((sample) => file.append({ step, ...sample }));
    } finally {
      file.close();
    }
    this.#events.accept({ type: "samples", step, samples });
  }
}
