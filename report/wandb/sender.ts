/**
 * Sends a run's log to the server, in its order. The log on disk is the queue: the sender holds a
 * position in it and one batch, so an outage of any length costs no memory, and what is not sent when
 * the run ends is still in the log.
 */
import { type ServerRun, type StreamBody, type WandbApi, WandbError } from "./api.ts";
import { FIRST_RECORD, readLog } from "./log_file.ts";
import { type Items, readRecord, type RunFacts } from "./record.ts";

/** Milliseconds of the sender's habits. */
export interface Pace {
  /** Between two looks at the log. */
  readonly interval: number;
  /** Without news after which a sign of life is sent: runs that give none count as crashed. */
  readonly heartbeat: number;
  /** Before the first repetition; doubles with each, up to `longestWait`. */
  readonly firstWait: number;
  readonly longestWait: number;
  /** For the rest to be sent once the run is over, counted from the last success. */
  readonly closing: number;
}

export const defaultPace: Pace = {
  interval: 2000,
  heartbeat: 30_000,
  firstWait: 1000,
  longestWait: 60_000,
  closing: 60_000,
};

/** Bounds of one request. */
const MOST_ROWS = 500, MOST_CHARACTERS = 1 << 20;

export interface SenderOptions {
  readonly api: WandbApi;
  readonly run: RunFacts;
  /** The log's path. */
  readonly path: string;
  readonly pace: Pace;
  /** Told once each: where the run is to be seen, that the server does not answer. */
  onConnected(run: ServerRun): void;
  onOutage(reason: string): void;
  /** Nothing more is sent. */
  onGiveUp(reason: string): void;
}

interface Batch {
  readonly rows: readonly string[];
  readonly summary: boolean;
  readonly end: number;
}

export class Sender {
  readonly #options: SenderOptions;
  #position = FIRST_RECORD;
  /** Rows of the log before the position. */
  #rows = 0;
  readonly #summary = new Map<string, string>();
  #exitCode: number | undefined;
  #lastSuccess = performance.now();
  #outageTold = false;
  /** Ends the pause in progress; one that the server asked for only by force. */
  #wake: (force: boolean) => void = () => {};
  readonly #done: Promise<boolean>;

  /** Begins to send. */
  constructor(options: SenderOptions) {
    this.#options = options;
    this.#done = this.#work().then(() => true, (error) => {
      options.onGiveUp(error instanceof Error ? error.message : String(error));
      return false;
    });
  }

  /** The run is over, its log complete. Resolves to whether all of it was sent. */
  finish(code: number): Promise<boolean> {
    this.#exitCode = code;
    this.#lastSuccess = performance.now();
    this.#wake(false);
    // A server may ask for hours.
    const timer = setTimeout(() => this.#wake(true), this.#options.pace.closing);
    return this.#done.finally(() => clearTimeout(timer));
  }

  async #work(): Promise<void> {
    const { api, run, pace } = this.#options;
    const { id, entity, project, name, config } = run;
    const server = await this.#repeated(() =>
      api.upsertRun({ name: id, entity, project, displayName: name, config })
    );
    this.#options.onConnected(server);
    const send = (body: StreamBody) => this.#repeated(() => api.stream(server, id, body));
    for (;;) {
      // Asked before the log is read: what comes later is behind the end.
      const exitcode = this.#exitCode;
      const batch = this.#nextBatch(server.lines);
      if (batch) {
        await send(this.#body(batch));
        this.#rows += batch.rows.length;
        this.#position = batch.end;
      } else if (exitcode !== undefined) {
        return await send({ complete: true, exitcode });
      } else {
        if (performance.now() - this.#lastSuccess >= pace.heartbeat) await send({});
        await this.#pause(pace.interval);
      }
    }
  }

  /** What comes next in the log; rows that the server has are passed over. */
  #nextBatch(serverLines: number): Batch | undefined {
    const rows: string[] = [];
    let characters = 0, summary = false, end = this.#position;
    for (const stored of readLog(this.#options.path, this.#position)) {
      const record = readRecord(stored.data);
      end = stored.end;
      if (record.kind === "summary") {
        record.items.forEach(([key, json]) => this.#summary.set(key, json));
        summary = true;
      } else if (record.kind === "history") {
        if (rows.length === 0 && this.#rows < serverLines) {
          this.#rows++;
        } else {
          const row = objectText(record.items);
          rows.push(row);
          characters += row.length;
        }
      }
      if (rows.length >= MOST_ROWS || characters >= MOST_CHARACTERS) break;
    }
    if (rows.length > 0 || summary) return { rows, summary, end };
    this.#position = end;
    return undefined;
  }

  #body({ rows, summary }: Batch): StreamBody {
    const history = { offset: this.#rows, content: rows };
    const last = { offset: 0, content: [objectText([...this.#summary])] };
    return {
      files: {
        ...rows.length > 0 && { "wandb-history.jsonl": history },
        ...summary && { "wandb-summary.json": last },
      },
    };
  }

  /**
   * Repeats a request until it succeeds, or for good reason does not.
   *
   * @throws WandbError
   */
  async #repeated<T>(request: () => Promise<T>): Promise<T> {
    const { pace } = this.#options;
    for (let attempt = 0;; attempt++) {
      try {
        const result = await request();
        this.#lastSuccess = performance.now();
        return result;
      } catch (error) {
        if (!(error instanceof WandbError) || !error.retry) throw error;
        const wait = Math.max(
          Math.min(pace.longestWait, pace.firstWait * 2 ** attempt),
          1000 * (error.after ?? 0),
        );
        if (this.#exitCode !== undefined && wait > this.#closingLeft()) throw error;
        if (!this.#outageTold) this.#options.onOutage(error.message);
        this.#outageTold = true;
        // A run that ends asks once more at once, unless the server named a time.
        await this.#pause(wait, error.after !== undefined);
        if (this.#exitCode !== undefined && this.#closingLeft() <= 0) throw error;
      }
    }
  }

  /** Milliseconds left once the run is over. */
  #closingLeft(): number {
    return this.#lastSuccess + this.#options.pace.closing - performance.now();
  }

  async #pause(milliseconds: number, asked = false): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    this.#wake = (force) => {
      if (force || !asked) resolve();
    };
    await promise;
    this.#wake = () => {};
    clearTimeout(timer);
  }
}

/** A JSON object of items, later ones of a key winning as they do in JSON. */
function objectText(items: Items): string {
  return `{${items.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(",")}}`;
}
