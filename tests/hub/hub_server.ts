/**
 * A Hub as far as a download asks, on 127.0.0.1: its API and small files on one port, large files behind
 * a redirect on another, as the real one does it. It counts, and can be told to fail.
 */
import { createHash } from "node:crypto";

/** True where the tests may use files and the local network; bare `deno test` may not. */
export const LOCAL_SERVER_ALLOWED = (await Promise.all([
  Deno.permissions.query({ name: "read" }),
  Deno.permissions.query({ name: "write" }),
  Deno.permissions.query({ name: "net", host: "127.0.0.1" }),
])).every(({ state }) => state === "granted");

/** The suffix of a test's name that says why it may be left out. */
export const NEEDS = "(needs --allow-read, --allow-write and --allow-net=127.0.0.1)";

export interface SeenRequest {
  /** On which of the two ports. */
  readonly at: "hub" | "files";
  /** Path with query. */
  readonly path: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

/** What is to happen instead of the answer, or to it. */
export type Fault =
  | { readonly status: number; readonly headers?: HeadersInit }
  /** The connection breaks after that many bytes of the answer. */
  | { readonly breakAfter: number }
  /** Bytes are sent wrong, or too few or too many, with a matching length. */
  | { readonly spoil: (bytes: Uint8Array) => Uint8Array }
  /** The range that was asked for is not heeded. */
  | { readonly wholly: true };

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** A file larger than this many bytes is a large one. */
const LARGE = 1000;

export class HubServer {
  readonly requests: SeenRequest[] = [];
  /** Bytes of files sent. */
  sent = 0;
  commit = COMMIT;
  /** Files by path. */
  files: Record<string, Uint8Array> = {};
  /** Entries in one page of the list of files. */
  pageSize = 100;
  fault: (request: SeenRequest) => Fault | undefined = () => undefined;
  readonly #hub: Deno.HttpServer<Deno.NetAddr>;
  readonly #store: Deno.HttpServer<Deno.NetAddr>;

  constructor(readonly kind: "model" | "dataset" = "model", readonly id = "owner/name") {
    const serve = (at: "hub" | "files") =>
      Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError: () => new Response() },
        (request) => this.#answer(at, request),
      );
    this.#hub = serve("hub");
    this.#store = serve("files");
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#hub.addr.port}`;
  }

  /** Where large files lie, as `HF_FILE_HOSTS` names it. */
  get fileHost(): string {
    return `127.0.0.1:${this.#store.addr.port}`;
  }

  async close(): Promise<void> {
    await Promise.all([this.#hub.shutdown(), this.#store.shutdown()]);
  }

  /** Paths asked for on either port, without their queries. */
  paths(at?: "hub" | "files"): string[] {
    return this.requests.filter((r) => at === undefined || r.at === at)
      .map(({ path }) => path.split("?")[0]);
  }

  #answer(at: "hub" | "files", request: Request): Response {
    const { pathname, search } = new URL(request.url);
    const seen = {
      at,
      path: pathname + search,
      range: request.headers.get("range"),
      authorization: request.headers.get("authorization"),
    };
    this.requests.push(seen);
    const fault = this.fault(seen);
    if (fault && "status" in fault) {
      return new Response("{}", { status: fault.status, headers: fault.headers });
    }
    if (at === "files") return this.#bytes(decodeURIComponent(pathname.slice(1)), seen, fault);
    const api = `/api/${this.kind}s/${this.id}`;
    const resolve = `${
      this.kind === "dataset" ? "/datasets" : ""
    }/${this.id}/resolve/${this.commit}/`;
    if (pathname.startsWith(`${api}/revision/`)) {
      return /\/(main|v1|[0-9a-f]{40})$/.test(pathname)
        ? Response.json({ _id: "1", id: this.id, sha: this.commit, lastModified: 0 })
        : new Response("{}", { status: 404, headers: { "x-error-code": "RevisionNotFound" } });
    }
    if (pathname === `${api}/tree/${this.commit}`) return this.#list(pathname, search);
    if (!pathname.startsWith(resolve)) {
      return new Response("{}", { status: 401, headers: { "x-error-code": "RepoNotFound" } });
    }
    const path = decodeURIComponent(pathname.slice(resolve.length));
    if (this.files[path] === undefined) {
      return new Response("{}", { status: 404, headers: { "x-error-code": "EntryNotFound" } });
    }
    if (this.files[path].length <= LARGE) return this.#bytes(path, seen, fault);
    const location = `http://${this.fileHost}/${path}?signature=sEcReT`;
    return new Response(null, {
      status: 302,
      headers: { location, "x-linked-etag": this.etag(path), "x-repo-commit": this.commit },
    });
  }

  /** The name that the blob of a file has: sha256 of a large one, git's id of a small one. */
  etag(path: string): string {
    const bytes = this.files[path];
    return bytes.length > LARGE
      ? createHash("sha256").update(bytes).digest("hex")
      : createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
  }

  #list(pathname: string, search: string): Response {
    const from = Number(new URLSearchParams(search).get("cursor") ?? 0);
    const names = Object.keys(this.files);
    const entries = names.slice(from, from + this.pageSize).map((path) => {
      const size = this.files[path].length, oid = this.etag(path);
      const large = size > LARGE;
      return {
        type: "file",
        path,
        size,
        oid: large ? "f".repeat(40) : oid,
        ...large && { lfs: { oid, size, pointerSize: 130 } },
      };
    });
    const next = from + this.pageSize;
    const link = `<${this.endpoint}${pathname}?recursive=true&cursor=${next}>; rel="next"`;
    return Response.json(entries, next < names.length ? { headers: { link } } : {});
  }

  #bytes(path: string, { range }: SeenRequest, fault: Fault | undefined): Response {
    const whole = this.files[path];
    const asked = /^bytes=(\d+)-$/.exec(range ?? "");
    const start = asked && !(fault && "wholly" in fault) ? Number(asked[1]) : 0;
    let bytes = whole.slice(start);
    if (fault && "spoil" in fault) bytes = fault.spoil(bytes) as Uint8Array<ArrayBuffer>;
    const headers: Record<string, string> = {
      "content-length": String(bytes.length),
      etag: `"${this.etag(path)}"`,
    };
    if (start > 0) headers["content-range"] = `bytes ${start}-${whole.length - 1}/${whole.length}`;
    const status = start > 0 ? 206 : 200;
    if (fault && "breakAfter" in fault) {
      const part = bytes.slice(0, fault.breakAfter);
      this.sent += part.length;
      return new Response(broken(part), { status, headers });
    }
    this.sent += bytes.length;
    return new Response(bytes, { status, headers });
  }
}

/** Bytes, then a broken connection; the pause lets the bytes leave first. */
function broken(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.error(new Error("broken on purpose"));
    },
  });
}

/** `count` bytes that repeat late. */
export function someBytes(count: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: count }, () => (state = (state * 48271) % 2147483647) & 255);
}

const text = (value: string) => new TextEncoder().encode(value);

/** The files of a model as they lie on the Hub, with copies of the weights that nobody needs here. */
export function modelFiles(): Record<string, Uint8Array> {
  return {
    ".gitattributes": text("*.bin lfs"),
    "README.md": text("# A model"),
    "config.json": text('{"model_type":"llama"}'),
    "tokenizer.json": text('{"version":"1.0"}'),
    "model.safetensors": someBytes(40_000),
    "pytorch_model.bin": someBytes(40_000, 2),
    "model-Q4_K_M.gguf": someBytes(12_000, 3),
    "onnx/model.onnx": someBytes(9_000, 4),
  };
}
