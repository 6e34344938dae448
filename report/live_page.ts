/** A sink that keeps the live page of a run up to date from the run's own files. */
import type { RunEvent, Sink } from "./events.ts";
import { ReportFileError } from "./json_lines.ts";
import { LiveServer, type LiveStatus, type Order } from "./live_server.ts";
import { pageHtml } from "./page/page.ts";
import { RunReader } from "./run_reader.ts";

export interface LivePageOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly folder: string;
  readonly name: string;
  /** Passes an order on to the run. */
  order(order: Order): void;
}

/** Milliseconds between two looks at the files, so that fast steps cost no more than slow ones. */
const LOOK_EVERY = 500;
/** Milliseconds that the last message has to reach the viewers. */
const LAST_WORDS = 200;

/** The page, and where it is. */
export interface LivePage extends Sink {
  readonly url: string;
  /** Tells the viewers that the run has ended, and ends the server. */
  end(text: string): Promise<void>;
}

/** @throws Deno.errors.AddrInUse when the port is taken; NotCapable without the permission */
export function openLivePage(options: LivePageOptions): LivePage {
  return new Live(options);
}

class Live implements LivePage {
  readonly #options: LivePageOptions;
  readonly #server: LiveServer;
  #reader: RunReader;
  #step = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #status: LiveStatus = { state: "running", text: "Starting" };

  constructor(options: LivePageOptions) {
    this.#options = options;
    this.#reader = new RunReader(options.folder);
    this.#server = new LiveServer({
      host: options.host,
      port: options.port,
      page: () => this.#html(),
      all: () => {
        // Those who look already get what is new before it is known to have been read.
        if (this.#server.viewers > 0) this.#look();
        else this.#reader.update();
        return this.#all();
      },
      order: (order) => this.#order(order),
    });
  }

  get url(): string {
    return this.#server.url;
  }

  accept(event: RunEvent): void {
    switch (event.type) {
      case "progress":
        return this.#tell({ text: `${event.what}: ${event.done} of ${event.total}` });
      case "start":
        // A resumed run has just cut its files.
        this.#reader = new RunReader(this.#options.folder);
        this.#step = `Step ${event.step} of ${event.totalSteps}`;
        this.#look(true);
        return this.#tell({ text: this.#step });
      case "step":
        this.#step = `Step ${event.step} of ${event.totalSteps}`;
        return this.#lookSoon();
      case "evaluation":
      case "samples":
        return this.#lookSoon();
      case "paused":
        this.#lookSoon();
        return this.#tell({ state: "paused", text: `Paused after step ${event.step}` });
      case "resumed":
        return this.#tell({ state: "running", text: this.#step });
      case "checkpoint":
        return this.#tell({ text: `${this.#step}; saved ${event.path}` });
      default:
        return;
    }
  }

  async end(text: string): Promise<void> {
    clearTimeout(this.#timer);
    this.#look();
    this.#tell({ state: "ended", text });
    await new Promise((resolve) => setTimeout(resolve, LAST_WORDS));
    await this.#server.close();
  }

  #tell(change: Partial<LiveStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#server.status = this.#status;
  }

  #order(order: Order): string | undefined {
    if (this.#status.state === "ended") return "The run has ended";
    this.#options.order(order);
    const told = { pause: "pausing", resume: "going on", save: "saving", stop: "stopping" }[order];
    this.#tell({ text: `${this.#step || this.#status.text}; ${told} after the step in progress` });
    return undefined;
  }

  #lookSoon(): void {
    if (this.#server.viewers === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#look();
      if (this.#status.state === "running") this.#tell({ text: this.#step });
    }, LOOK_EVERY);
  }

  /**
   * Reads what is new and sends it; everything where a file was cut. A file that cannot be read is told
   * to the viewers: the run goes on.
   */
  #look(everything = false): void {
    if (this.#server.viewers === 0) return;
    try {
      const more = this.#reader.update();
      if (more && !everything) this.#server.send("more", JSON.stringify(more));
      else this.#server.send("all", this.#all());
    } catch (error) {
      if (!(error instanceof ReportFileError)) throw error;
      this.#tell({ text: error.message });
    }
  }

  #all(): string {
    const reader = this.#reader;
    return JSON.stringify({ facts: reader.facts, config: reader.config(), data: reader.all() });
  }

  #html(): string {
    const { name } = this.#options;
    const empty = new RunReader(this.#options.folder).all();
    return pageHtml({
      kind: "run",
      live: true,
      title: name,
      subtitle: "Connecting",
      runs: [{ name, config: "", data: empty }],
    });
  }
}
