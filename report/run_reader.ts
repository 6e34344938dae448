/**
 * Reads a run from its own files: `run.json`, `config.yaml`, `metrics.jsonl`, `timings.jsonl`,
 * `samples.jsonl` and the margin log. The same reader makes the report at the end, the report of a run
 * that crashed, and the updates of the live page.
 */
import type { AnsweredPrompt } from "./events.ts";
import { readTextIfThere } from "./json_lines.ts";
import { type JsonRecord, LineTail } from "./line_tail.ts";
import { readFacts, type RunFacts } from "./run_facts.ts";
import { StepTable, type TableData } from "./step_table.ts";

/** Names of the tables that charts take their columns from. */
export const TABLES = ["metrics", "evaluations", "timings", "margins"] as const;
export type TableName = typeof TABLES[number];

/** Answers to a held-out prompt after a step. */
export type SampleRecord = AnsweredPrompt & { readonly step: number };

/** Margins of single pairs at a step. */
export interface StepDots {
  readonly step: number;
  readonly kept: readonly number[];
  readonly dropped: readonly number[];
}

/** What is drawn: everything, or what is new. */
export interface RunData {
  readonly tables: Readonly<Record<TableName, TableData>>;
  readonly samples: readonly SampleRecord[];
  readonly dots: readonly StepDots[];
  /** Lines that could not be read. */
  readonly broken: number;
}

/** How many rows and points a page holds at most. */
const ROWS = 2000;
const DOT_STEPS = 400;
const DOTS = 24;
const SAMPLES = 400;

type FileName = "metrics" | "timings" | "margins" | "samples";
type Lengths = Readonly<Record<TableName | "samples" | "dots", number>>;

const MARGIN_COLUMNS = ["mean", "min", "p10", "median", "p90", "max", "pos_frac"];

export class RunReader {
  readonly #folder: string;
  #tails: Partial<Record<FileName, LineTail>> = {};
  #tables!: Record<TableName, StepTable>;
  #samples!: SampleRecord[];
  #dots!: StepDots[];
  #broken = 0;
  #facts: RunFacts | undefined;

  constructor(folder: string) {
    this.#folder = folder;
    this.#clear();
  }

  /** Facts of the run, once they are written. */
  get facts(): RunFacts | undefined {
    return this.#facts ??= readFacts(this.#folder);
  }

  /** The config as used, empty before it is written. */
  config(): string {
    return readTextIfThere(`${this.#folder}/config.yaml`);
  }

  /**
   * Reads what was appended since the last call.
   *
   * @returns the new rows; undefined when a file was cut by a resumed run: then everything is new
   * @throws ReportFileError when the file system refuses
   */
  update(): RunData | undefined {
    const before = this.#lengths();
    if (this.#read()) {
      this.#clear();
      this.#read();
      return undefined;
    }
    return this.#data(before);
  }

  /** Everything read so far, thinned to what a page has room for. */
  all(): RunData {
    return this.#data(undefined);
  }

  /** Last value of a column. */
  last(table: TableName, column: string): number | undefined {
    return this.#tables[table].last(column);
  }

  /** The newest step with metrics; 0 before the first. */
  get lastStep(): number {
    return this.#tables.metrics.lastStep;
  }

  #clear(): void {
    this.#tails = {};
    this.#tables = {
      metrics: new StepTable(),
      evaluations: new StepTable(),
      timings: new StepTable(),
      margins: new StepTable(),
    };
    this.#samples = [];
    this.#dots = [];
    this.#broken = 0;
  }

  #lengths(): Lengths {
    const { metrics, evaluations, timings, margins } = this.#tables;
    return {
      metrics: metrics.length,
      evaluations: evaluations.length,
      timings: timings.length,
      margins: margins.length,
      samples: this.#samples.length,
      dots: this.#dots.length,
    };
  }

  #data(from: Lengths | undefined): RunData {
    const { metrics, evaluations, timings, margins } = this.#tables;
    return {
      tables: {
        metrics: metrics.data(ROWS, from?.metrics),
        evaluations: evaluations.data(ROWS, from?.evaluations),
        timings: timings.data(ROWS, from?.timings),
        margins: margins.data(ROWS, from?.margins),
      },
      samples: this.#samples.slice(from?.samples ?? -SAMPLES),
      dots: thinned(this.#dots.slice(from?.dots ?? 0), DOT_STEPS),
      broken: this.#broken,
    };
  }

  /** Reads all files on; true when one of them was cut. */
  #read(): boolean {
    const folder = this.facts?.margins?.folder;
    const cut = [
      this.#follow("metrics", "metrics.jsonl", (record) => this.#addMetrics(record)),
      this.#follow("timings", "timings.jsonl", (record) => {
        const { step, ...values } = record;
        if (typeof step === "number") this.#tables.timings.add(step, values);
      }),
      this.#follow("samples", "samples.jsonl", (record) => this.#samples.push(...sample(record))),
      folder !== undefined &&
      this.#follow("margins", `${folder}/margins.jsonl`, (record) => this.#addMargins(record)),
    ];
    return cut.includes(true);
  }

  #follow(
    name: FileName,
    path: string,
    add: (record: JsonRecord) => void,
  ): boolean {
    const tail = this.#tails[name] ??= new LineTail(`${this.#folder}/${path}`);
    const { records, broken, cut } = tail.read();
    if (cut) return true;
    records.forEach(add);
    this.#broken += broken;
    return false;
  }

  #addMetrics({ step, ...values }: JsonRecord): void {
    if (typeof step !== "number") return;
    const names = Object.keys(values);
    const pick = (wanted: boolean) =>
      Object.fromEntries(
        names.filter((name) => name.startsWith("eval_") === wanted)
          .map((name) => [name, values[name]]),
      );
    const evaluated = pick(true);
    if (Object.keys(evaluated).length > 0) this.#tables.evaluations.add(step, evaluated);
    // The line of an evaluation before the first step has no training metrics.
    if (step > 0) this.#tables.metrics.add(step, pick(false));
  }

  #addMargins(record: JsonRecord): void {
    const { step, sample, rows, dropped_rows } = record;
    if (typeof step !== "number") return;
    this.#tables.margins.add(
      step,
      Object.fromEntries(MARGIN_COLUMNS.map((name) => [name, record[name]])),
    );
    if (!Array.isArray(sample) || !Array.isArray(rows)) return;
    const out = new Set(Array.isArray(dropped_rows) ? dropped_rows : []);
    const shown = sample.slice(0, DOTS).map((margin) => Number(Number(margin).toPrecision(5)));
    this.#dots.push({
      step,
      kept: shown.filter((_, i) => !out.has(rows[i])),
      dropped: shown.filter((_, i) => out.has(rows[i])),
    });
  }
}

/** Each k-th item, and always the last. */
function thinned<T>(items: readonly T[], limit: number): T[] {
  const stride = Math.max(1, Math.ceil(items.length / limit));
  return items.filter((_, i) => (items.length - 1 - i) % stride === 0);
}

function sample(record: JsonRecord): SampleRecord[] {
  const { step, prompt, reference, policy } = record;
  if (typeof step !== "number" || typeof prompt !== "string" || typeof policy !== "string") {
    return [];
  }
  return typeof reference === "string" ? [{ step, prompt, reference, policy }] : [];
}
