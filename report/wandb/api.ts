/**
 * The two requests that a run of metrics needs of W&B's HTTP interface: making (or finding) the run,
 * and lines for its files. Read off what the client sends, see tests/goldens/wandb.
 */
import { jsonText } from "./record.ts";

/** A request that failed; `retry` tells whether it may be repeated. */
export class WandbError extends Error {
  override name = "WandbError";
  readonly retry: boolean;
  /** Seconds that the server asks for before the next request. */
  readonly after?: number;

  constructor(message: string, { retry, after }: { retry: boolean; after?: number }) {
    super(message);
    this.retry = retry;
    this.after = after;
  }
}

/** A run as the server knows it. */
export interface ServerRun {
  readonly entity: string;
  readonly project: string;
  readonly displayName: string;
  /** Lines of its history. */
  readonly lines: number;
}

/** New lines of a run's files, and its end. */
export interface StreamBody {
  readonly files?: Readonly<
    Record<string, { readonly offset: number; readonly content: readonly string[] }>
  >;
  readonly complete?: boolean;
  readonly exitcode?: number;
}

export interface ApiOptions {
  readonly baseUrl: string;
  readonly apiKey: string;
  /** Milliseconds after which a request counts as failed. */
  readonly timeout: number;
}

const UPSERT = `mutation UpsertBucket($name: String, $project: String, $entity: String,
  $displayName: String, $config: JSONString) {
  upsertBucket(input: {name: $name, modelName: $project, entityName: $entity,
    displayName: $displayName, config: $config}) {
    bucket { id name displayName project { name entity { name } } historyLineCount }
    inserted
  }
}`;

/** Answers that say that the same request may succeed later. */
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504]);

export class WandbApi {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  get host(): string {
    return new URL(this.#options.baseUrl).host;
  }

  /**
   * Makes the run `name`, or finds it.
   *
   * @throws WandbError
   */
  async upsertRun(
    run: {
      readonly name: string;
      readonly project: string;
      readonly entity?: string;
      readonly displayName?: string;
      readonly config: Readonly<Record<string, unknown>>;
    },
  ): Promise<ServerRun> {
    const entries = Object.entries(run.config).map(([key, value]) => [key, { value }]);
    const variables = {
      name: run.name,
      project: run.project,
      entity: run.entity ?? null,
      displayName: run.displayName ?? null,
      config: jsonText(Object.fromEntries(entries)),
    };
    const body = { query: UPSERT, operationName: "UpsertBucket", variables };
    const { data, errors } = await this.#post("/graphql", body) as {
      data?: {
        upsertBucket?: {
          bucket?: {
            displayName?: string;
            project?: { name: string; entity: { name: string } };
            historyLineCount?: number;
          };
        };
      };
      errors?: { message?: string }[];
    };
    const bucket = data?.upsertBucket?.bucket;
    if (!bucket?.project) {
      const reason = errors?.map(({ message }) => message).join("; ") ||
        "it answered without a run";
      throw this.#error(reason, { retry: false });
    }
    return {
      entity: bucket.project.entity.name,
      project: bucket.project.name,
      displayName: bucket.displayName ?? run.name,
      lines: bucket.historyLineCount ?? 0,
    };
  }

  /**
   * Sends lines; the same lines at the same offset may be sent twice.
   *
   * @throws WandbError
   */
  async stream(run: ServerRun, name: string, body: StreamBody): Promise<void> {
    const parts = [run.entity, run.project, name].map(encodeURIComponent);
    await this.#post(`/files/${parts.join("/")}/file_stream`, body);
  }

  async #post(path: string, body: unknown): Promise<unknown> {
    const { baseUrl, apiKey, timeout } = this.#options;
    let response: Response, text: string;
    try {
      response = await fetch(baseUrl + path, {
        method: "POST",
        headers: {
          "authorization": `Basic ${basic(apiKey)}`,
          "content-type": "application/json",
          "user-agent": "dynamic-dpo",
        },
        body: JSON.stringify(body),
        redirect: "manual",
        signal: AbortSignal.timeout(timeout),
      });
      text = await response.text();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw this.#error(reason, { retry: !(error instanceof Deno.errors.NotCapable) });
    }
    if (!response.ok) throw this.#refusal(response, text);
    try {
      return JSON.parse(text);
    } catch {
      throw this.#error(`it answered "${text.slice(0, 80)}"`, { retry: false });
    }
  }

  #refusal(response: Response, text: string): WandbError {
    const said = text.trim() === "" ? "" : `: ${text.trim().slice(0, 200)}`;
    const location = response.headers.get("location");
    const hint = response.status === 401 || response.status === 403
      ? "; is WANDB_API_KEY a key of this server?"
      : location
      ? `; it points to "${location}", name that in WANDB_BASE_URL`
      : "";
    return this.#error(`it answered ${response.status}${said}${hint}`, {
      retry: RETRIED.has(response.status),
      after: retryAfter(response.headers.get("retry-after")),
    });
  }

  /** Whatever a server or library says, the key stays out of it. */
  #error(reason: string, how: { retry: boolean; after?: number }): WandbError {
    const { apiKey } = this.#options;
    const clean = [apiKey, basic(apiKey)].reduce((t, s) => t.replaceAll(s, "***"), reason);
    return new WandbError(clean, how);
  }
}

function basic(apiKey: string): string {
  return new TextEncoder().encode(`api:${apiKey}`).toBase64();
}

/** Seconds of a `Retry-After` header: a number, or a date. */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value.trim())
    ? Number(value)
    : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}
