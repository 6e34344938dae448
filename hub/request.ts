/**
 * Requests to the Hub: redirects followed by hand so that the token stays with the Hub's own server,
 * broken connections and busy servers tried again, every other answer turned into one clear error.
 */
import { HubError, reasonOf, shown } from "./error.ts";
import { type Repo, repoName } from "./repo.ts";
import type { HubSettings } from "./settings.ts";

/** Tries of one request, or of one file without a byte of progress. */
export const TRIES = 5;
const MAX_REDIRECTS = 8;
/** Seconds between two tries: 1, 2, 4, 8; a server's Retry-After goes before, up to this many. */
const LONGEST_WAIT = 300;
/** Milliseconds without a byte after which a connection counts as broken. */
export const STALL = 30_000;

/** Waits; tests do not. */
export type Sleep = (seconds: number) => Promise<void>;

export const sleep: Sleep = (seconds) =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** What may be tried again: a connection that broke, or a server that is busy. */
export class Passing extends Error {
  override name = "Passing";
  /** Seconds that the server wants to be left alone. */
  readonly retryAfter?: number;
  constructor(message: string, options: { retryAfter?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.retryAfter = options.retryAfter;
  }
}

/** Seconds before try `n` (1: the first repetition). */
export function waitBefore(n: number, retryAfter: number | undefined): number {
  return Math.min(retryAfter ?? 2 ** (n - 1), LONGEST_WAIT);
}

/** Seconds in a `Retry-After`: a number, or a date (RFC 9110, 10.2.3). */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000);
}

/**
 * One request, redirects followed; answers 2xx and 416.
 *
 * @throws Passing for what may be tried again, HubError for what may not
 */
export async function request(
  address: string,
  { settings, repo, what, headers = {}, signal }: {
    readonly settings: HubSettings;
    readonly repo: Repo;
    /** What is asked for, for messages: a file's name or "list of files". */
    readonly what: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
  },
): Promise<Response> {
  const home = new URL(settings.endpoint).origin;
  let url = new URL(address);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const token = url.origin === home && settings.token;
    const response = await send(url, {
      // Packed bytes would make offsets mean something else.
      headers: {
        "accept-encoding": "identity",
        ...headers,
        ...token && { authorization: `Bearer ${token}` },
      },
      redirect: "manual",
      signal,
    });
    const target = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && target !== null) {
      await response.body?.cancel();
      const next = URL.parse(target, url);
      if (!next) throw new Passing(`a redirect of ${shown(url)} leads nowhere`);
      url = next;
      continue;
    }
    if (response.ok || response.status === 416) return response;
    await response.body?.cancel();
    throw refusal(response, { settings, repo, what, url, signed: url.origin !== home });
  }
  throw new HubError(`Cannot download ${what} of "${repoName(repo)}": redirected in a circle`, {
    exitCode: 1,
  });
}

async function send(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      throw new HubError(
        `Cannot download from ${url.host}: the program has no permission to reach it. Set ` +
          `HF_FILE_HOSTS=${url.host} if files of the Hub are meant to lie there`,
        { exitCode: 1, cause: error },
      );
    }
    // The cause names the reason; the message would repeat the address with its signature.
    const cause = error instanceof Error && error.cause ? error.cause : error;
    const reason = reasonOf(cause).replaceAll(url.href, shown(url));
    throw new Passing(`${url.host}: ${reason}`, { cause: error });
  }
}

/** The error for an answer that is none. */
function refusal(
  response: Response,
  { settings, repo, what, url, signed }: {
    settings: HubSettings;
    repo: Repo;
    what: string;
    url: URL;
    signed: boolean;
  },
): Error {
  const { status, headers } = response;
  // A signed address on a host of files runs out; the next try asks for a new one.
  if (status === 429 || status === 408 || status >= 500 || (signed && status === 403)) {
    return new Passing(`${url.host} answered ${status}`, {
      retryAfter: retryAfter(headers.get("retry-after"), Date.now()),
    });
  }
  const kind = repo.kind === "model" ? "model" : "data set";
  const name = `"${repoName(repo)}"`;
  const page = `${settings.endpoint}/${repo.kind === "model" ? "" : "datasets/"}${repo.id}`;
  const code = headers.get("x-error-code");
  const tokenHint = settings.token === undefined
    ? "set HF_TOKEN to a token of your account"
    : "the token in use (HF_TOKEN or the file of the Hub's login) is not let in";
  const why = code === "RevisionNotFound"
    ? `the ${kind} has no revision "${repo.revision}": see ${page}`
    : code === "GatedRepo" || status === 403
    ? `it is gated. Accept its licence on ${page} and ${
      settings.token === undefined ? tokenHint : "use a token of the account that did so"
    }`
    : code === "EntryNotFound"
    ? `there is no such file: see ${page}`
    // The Hub answers 401 for what is private as well as for what does not exist.
    : code === "RepoNotFound" || status === 404
    ? `there is no ${kind} of this name, neither as a path here nor on ${settings.endpoint}. Is it ` +
      `a typing mistake? If it is private, ${tokenHint}`
    : status === 401
    ? `it is private, gated, or not there. Check the name on ${page}; ${tokenHint}`
    : `${url.host} answered ${status}`;
  return new HubError(`Cannot download ${what} of ${name}: ${why}`, { exitCode: 2 });
}

/** {@linkcode request}, tried again while what goes wrong may pass. */
export async function requestAgain(
  address: string,
  options: Parameters<typeof request>[1] & { readonly wait?: Sleep; readonly tries?: number },
): Promise<Response> {
  const { wait = sleep, tries = TRIES } = options;
  for (let n = 1;; n++) {
    try {
      return await request(address, { ...options, signal: AbortSignal.timeout(STALL) });
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      if (n >= tries) throw gaveUp(options.what, options.repo, n, error);
      await wait(waitBefore(n, error.retryAfter));
    }
  }
}

/** The error after the last try; a cached copy may still do. */
export function gaveUp(what: string, repo: Repo, tries: number, last: Error): HubError {
  return new HubError(
    `Cannot download ${what} of "${repoName(repo)}": ${last.message} (tried ${
      tries === 1 ? "once" : `${tries} times`
    }). ` +
      `Start again later: what is there already is not downloaded twice`,
    { exitCode: 1, cause: last },
  );
}
