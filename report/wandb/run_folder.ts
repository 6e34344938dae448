/**
 * The folder of a W&B run within the run's own, named as the client names it. Its name carries the id,
 * so that a resumed run goes on as the same one, and `wandb sync FOLDER` finds what it needs.
 */
import { attemptReport } from "../json_lines.ts";
import { readLog, RunLog } from "./log_file.ts";
import {
  exitRecord,
  headerRecord,
  historyRecord,
  type Items,
  readRecord,
  type RunFacts,
  runRecord,
  summaryRecord,
} from "./record.ts";

const NAME = /^(?:offline-)?run-\d{8}_\d{6}-([a-z0-9]+)$/;

/** Where in its history a log stands. */
interface LogState {
  readonly end: number;
  readonly records: number;
  /** Step of the last row; -1 before the first. */
  readonly step: number;
  /** Seconds of training up to the last row, earlier processes included. */
  readonly runtime: number;
}

export class WandbRunFolder {
  readonly path: string;
  readonly id: string;
  readonly #log: RunLog;
  #records: number;
  #step: number;
  readonly #runtimeBefore: number;

  private constructor(path: string, id: string, log: RunLog, state: LogState) {
    this.path = path;
    this.id = id;
    this.#log = log;
    this.#records = state.records;
    this.#step = state.step;
    this.#runtimeBefore = state.runtime;
  }

  /**
   * Opens the run's folder under `<parent>/wandb`, or makes one.
   *
   * @param facts of the run, all but its id
   * @throws ReportFileError when the file system refuses
   */
  static open(
    parent: string,
    facts: Omit<RunFacts, "id">,
    { offline }: { readonly offline: boolean },
  ): { readonly folder: WandbRunFolder; readonly run: RunFacts } {
    const root = `${parent}/wandb`;
    attemptReport("create", root, () => Deno.mkdirSync(root, { recursive: true }));
    const names = attemptReport("read", root, () => [...Deno.readDirSync(root)])
      .map(({ name }) => name).filter((name) => NAME.test(name)).sort();
    const found = names.at(-1);
    const id = found ? NAME.exec(found)![1] : newId();
    const run = { ...facts, id };
    const name = found ?? `${offline ? "offline-" : ""}run-${stamp(facts.started)}-${id}`;
    const path = `${root}/${name}`;
    const file = `${path}/run-${id}.wandb`;
    attemptReport("create", path, () => Deno.mkdirSync(path, { recursive: true }));
    const state = found && exists(file) ? stateOf(file) : undefined;
    if (state && state.records > 0) {
      removeMark(`${file}.synced`);
      return {
        folder: new WandbRunFolder(path, id, RunLog.continue(file, state.end), state),
        run,
      };
    }
    // A log without a whole record says nothing.
    if (exists(file)) attemptReport("remove", file, () => Deno.removeSync(file));
    const empty = { end: 0, records: 0, step: -1, runtime: 0 };
    const folder = new WandbRunFolder(path, id, RunLog.create(file), empty);
    folder.#append((number) => headerRecord(number));
    folder.#append((number) => runRecord(number, run));
    return { folder, run };
  }

  get file(): string {
    return this.#log.path;
  }

  /** Step of the last row; -1 before the first. */
  get step(): number {
    return this.#step;
  }

  /** Seconds of training in earlier processes. */
  get runtimeBefore(): number {
    return this.#runtimeBefore;
  }

  /**
   * Appends a row, unless the log has one of that step or a later one: a resumed run makes some steps
   * again, with the same values.
   *
   * @param values of the row, without those that every row has
   * @throws ReportFileError when the file system refuses
   */
  row(
    step: number,
    values: Items,
    { runtime, timestamp }: { readonly runtime: number; readonly timestamp: number },
  ): void {
    if (step <= this.#step) return;
    const common: Items = [
      ["_step", String(step)],
      ["_runtime", String(runtime)],
      ["_timestamp", String(timestamp)],
    ];
    const items = [...values, ...common];
    this.#append((number) => summaryRecord(number, items));
    this.#append((number) => historyRecord(number, step, items));
    this.#step = step;
  }

  /** The last record. */
  exit(code: number, runtime: number): void {
    this.#append((number) => exitRecord(number, code, runtime));
  }

  /** Says to `wandb sync` that there is nothing left to send. */
  markSynced(): void {
    const mark = `${this.file}.synced`;
    attemptReport("write", mark, () => Deno.writeTextFileSync(mark, ""));
  }

  close(): void {
    this.#log.close();
  }

  #append(record: (number: number) => Uint8Array): void {
    this.#log.append(record(this.#records + 1));
    this.#records++;
  }
}

/** The whole records of a log before its end was written. */
function stateOf(file: string): LogState {
  let state: LogState = { end: 0, records: 0, step: -1, runtime: 0 };
  for (const stored of readLog(file)) {
    const record = readRecord(stored.data);
    if (record.kind === "exit") break;
    const items = new Map(record.kind === "history" ? record.items : []);
    state = {
      end: stored.end,
      records: state.records + 1,
      step: Number(items.get("_step") ?? state.step),
      runtime: Number(items.get("_runtime") ?? state.runtime),
    };
  }
  return state;
}

/** Eight letters and digits, as the client's. */
function newId(): string {
  const random = crypto.getRandomValues(new Uint32Array(8));
  return Array.from(random, (value) => (value % 36).toString(36)).join("");
}

/** `20260131_235959`, in UTC. */
function stamp(seconds: number): string {
  const text = new Date(seconds * 1000).toISOString();
  return text.slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "_");
}

function exists(path: string): boolean {
  return attemptReport("read", path, () => {
    try {
      return Deno.statSync(path).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  });
}

function removeMark(path: string): void {
  if (exists(path)) attemptReport("remove", path, () => Deno.removeSync(path));
}
