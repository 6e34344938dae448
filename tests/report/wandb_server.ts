/** A W&B server as far as a run of metrics asks, on 127.0.0.1, that can be told to fail. */

/** True where the tests may use files and the local network; bare `deno test` may not. */
export const LOCAL_SERVER_ALLOWED = (await Promise.all([
  Deno.permissions.query({ name: "read" }),
  Deno.permissions.query({ name: "write" }),
  Deno.permissions.query({ name: "net", host: "127.0.0.1" }),
])).every(({ state }) => state === "granted");

export interface SeenRequest {
  readonly path: string;
  readonly authorization: string | null;
  readonly contentType: string | null;
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

/** Answers the n-th request (from 0) in place of the server; undefined lets it answer itself. */
export type Fault = (n: number, request: SeenRequest, accept: () => void) => Response | undefined;

export class WandbServer {
  readonly requests: SeenRequest[] = [];
  /** History lines by run, as a file of lines: what is sent at an offset replaces what was there. */
  readonly history = new Map<string, string[]>();
  readonly summary = new Map<string, string>();
  readonly ends: { run: string; exitcode: number }[] = [];
  fault: Fault = () => undefined;
  #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(port = 0) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {} },
      async (request) => {
        const seen = {
          path: new URL(request.url).pathname,
          authorization: request.headers.get("authorization"),
          contentType: request.headers.get("content-type"),
          body: await request.json(),
        };
        this.requests.push(seen);
        const accept = () => this.#answer(seen);
        return this.fault(this.requests.length - 1, seen, accept) ?? Response.json(accept());
      },
    );
  }

  get port(): number {
    return this.#server.addr.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Steps in the order of the history. */
  steps(run: string): number[] {
    return (this.history.get(run) ?? []).map((line) => JSON.parse(line)._step);
  }

  async close(): Promise<void> {
    await this.#server.shutdown();
  }

  #answer({ path, body }: SeenRequest): unknown {
    if (path === "/graphql") {
      const { name, project, displayName } = body.variables;
      const lines = this.history.get(name) ?? [];
      const bucket = {
        id: "r",
        name,
        displayName: displayName ?? name,
        project: { name: project, entity: { name: "someone" } },
        historyLineCount: lines.length,
      };
      return { data: { upsertBucket: { bucket, inserted: lines.length === 0 } } };
    }
    const run = path.split("/").at(-2)!;
    const history = body.files?.["wandb-history.jsonl"];
    if (history) {
      const lines = this.history.get(run) ?? [];
      if (history.offset > lines.length) throw new Error("a gap in the history");
      lines.splice(history.offset, history.content.length, ...history.content);
      this.history.set(run, lines);
    }
    const summary = body.files?.["wandb-summary.json"];
    if (summary) this.summary.set(run, summary.content[0]);
    if (body.complete) this.ends.push({ run, exitcode: body.exitcode });
    return { exitcode: null, limits: {} };
  }
}
