/**
 * The live page's server: the run's page, what happens as server-sent events, and orders to the run. It
 * reads the same files as the report, and only while somebody looks. Whoever has the link, with the
 * random token in it, may see the run and stop it; nobody else may.
 */
import { contentSecurityPolicy } from "./page/page.ts";
import { ReportFileError } from "./json_lines.ts";

/** What the page can tell a run. */
export const ORDERS = ["pause", "resume", "save", "stop"] as const;
export type Order = typeof ORDERS[number];

/** The run's state as viewers see it. */
export interface LiveStatus {
  readonly state: "running" | "paused" | "ended";
  readonly text: string;
}

export interface LiveServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** HTML of the page. */
  page(): string;
  /** Everything a new viewer needs, as JSON. */
  all(): string;
  /** Takes an order; returns why not, or nothing. */
  order(order: Order): string | undefined;
}

const HEADERS = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "content-security-policy": `${contentSecurityPolicy(true)}; frame-ancestors 'none'`,
};

/** Messages that wait for one viewer; one that reads slower is let go, and comes back by itself. */
const WAITING = 64;
/** Milliseconds between signs of life, for proxies and to notice viewers that are gone. */
const ALIVE_EVERY = 15_000;
/** How long a browser waits before it comes back, milliseconds. */
const RETRY = 1000;

export class LiveServer {
  readonly #options: LiveServerOptions;
  readonly #token = crypto.getRandomValues(new Uint8Array(16)).toHex();
  readonly #viewers = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #alive: ReturnType<typeof setInterval>;
  #status: LiveStatus = { state: "running", text: "Starting" };

  /** @throws Deno.errors.AddrInUse when the port is taken; NotCapable without the permission */
  constructor(options: LiveServerOptions) {
    this.#options = options;
    this.#server = Deno.serve(
      { hostname: options.host, port: options.port, onListen: () => {} },
      (request) => this.#answer(request),
    );
    this.#alive = setInterval(() => this.#sendAll(": alive\n\n"), ALIVE_EVERY);
  }

  /** The link, with the token. */
  get url(): string {
    const { hostname, port } = this.#server.addr;
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    return `http://${host}:${port}/?token=${this.#token}`;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /** Sends data to all viewers. */
  send(event: "all" | "more", json: string): void {
    this.#sendAll(message(event, json));
  }

  set status(status: LiveStatus) {
    this.#status = status;
    this.#sendAll(message("status", JSON.stringify(status)));
  }

  /** Ends all connections, after what is on its way. */
  async close(): Promise<void> {
    clearInterval(this.#alive);
    for (const viewer of this.#viewers) viewer.close();
    this.#viewers.clear();
    await this.#server.shutdown();
  }

  #answer(request: Request): Response {
    const { pathname, searchParams } = new URL(request.url);
    if (searchParams.get("token") !== this.#token) {
      return refuse(403, "The link is not complete: take the one that the run has printed");
    }
    const order = ORDERS.find((name) => pathname === `/order/${name}`);
    if (order) return this.#order(order, request.method);
    if (request.method !== "GET") return refuse(405, "Only GET");
    if (pathname === "/") return this.#attempt(() => html(this.#options.page()));
    if (pathname === "/events") return this.#attempt(() => this.#events());
    return refuse(404, "There is no such page");
  }

  /** A file that cannot be read is told to the viewer; the run goes on. */
  #attempt(answer: () => Response): Response {
    try {
      return answer();
    } catch (error) {
      if (error instanceof ReportFileError) return refuse(500, error.message);
      throw error;
    }
  }

  #order(order: Order, method: string): Response {
    if (method !== "POST") return refuse(405, "Orders are POST");
    const objection = this.#options.order(order);
    return objection === undefined
      ? new Response(null, { status: 204, headers: HEADERS })
      : refuse(409, objection);
  }

  #events(): Response {
    const first = message("all", this.#options.all()) +
      message("status", JSON.stringify(this.#status));
    let own: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        own = controller;
        this.#viewers.add(controller);
        controller.enqueue(encoder.encode(`retry: ${RETRY}\n\n${first}`));
      },
      cancel: () => void this.#viewers.delete(own),
    }, { highWaterMark: WAITING });
    return new Response(body, { headers: { ...HEADERS, "content-type": "text/event-stream" } });
  }

  #sendAll(text: string): void {
    if (this.#viewers.size === 0) return;
    const bytes = encoder.encode(text);
    for (const viewer of this.#viewers) {
      if ((viewer.desiredSize ?? 0) > 0) {
        viewer.enqueue(bytes);
        continue;
      }
      viewer.close();
      this.#viewers.delete(viewer);
    }
  }
}

const encoder = new TextEncoder();

/** JSON has no line ends, so it is one line of data. */
function message(event: string, json: string): string {
  return `event: ${event}\ndata: ${json}\n\n`;
}

function html(text: string): Response {
  return new Response(text, {
    headers: { ...HEADERS, "content-type": "text/html; charset=utf-8" },
  });
}

function refuse(status: number, text: string): Response {
  return new Response(text, {
    status,
    headers: { ...HEADERS, "content-type": "text/plain; charset=utf-8" },
  });
}
