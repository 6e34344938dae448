/** What a repository holds at which commit: two calls of the Hub's API, through its own library. */
import { datasetInfo, listFiles, modelInfo } from "@huggingface/hub";
import { HubError } from "./error.ts";
import { isCommit, type Repo, repoName } from "./repo.ts";
import { requestAgain, type Sleep } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** A file of a repository. */
export interface HubFile {
  /** With `/`, relative to the repository. */
  readonly path: string;
  readonly size: number;
  /** Name of its blob in the cache: the sha256 of a large file, the git id of a small one. */
  readonly etag: string;
}

/** What calls need. */
export interface HubCall {
  readonly settings: HubSettings;
  readonly repo: Repo;
  readonly wait?: Sleep;
  readonly tries?: number;
}

/** The library's `fetch`: with our token, patience and errors. */
function fetchFor(call: HubCall, what: string): typeof fetch {
  return (address) => requestAgain(String(address), { ...call, what });
}

/** The commit that a revision stands for now. */
export async function currentCommit(call: HubCall): Promise<string> {
  const { settings, repo } = call;
  if (isCommit(repo.revision)) return repo.revision;
  const what = "the description";
  const asked = {
    name: repo.id,
    revision: repo.revision,
    hubUrl: settings.endpoint,
    additionalFields: ["sha" as const],
    fetch: fetchFor(call, what),
  };
  const { sha } = await readable(
    call,
    what,
    () => repo.kind === "model" ? modelInfo(asked) : datasetInfo(asked),
  );
  if (typeof sha !== "string" || !isCommit(sha)) throw unreadable(call, what);
  return sha;
}

/** All files of a commit. */
export async function hubFiles(call: HubCall, commit: string): Promise<HubFile[]> {
  const { settings, repo } = call;
  const what = "the list of files";
  return await readable(call, what, async () => {
    const files: HubFile[] = [];
    const entries = listFiles({
      repo: { type: repo.kind, name: repo.id },
      revision: commit,
      recursive: true,
      hubUrl: settings.endpoint,
      fetch: fetchFor(call, what),
    });
    for await (const { type, path, size, oid, lfs } of entries) {
      if (type !== "file") continue;
      const etag = lfs?.oid ?? oid;
      // Names become paths in the cache: none may lead out of it.
      const safe = path.split("/").every((part) => !/^\.{0,2}$|[\\:\0]/.test(part));
      if (!safe || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag ?? "") || !(size >= 0)) {
        throw unreadable(call, what);
      }
      files.push({ path, size: lfs?.size ?? size, etag: etag! });
    }
    return files;
  });
}

async function readable<T>(call: HubCall, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // The library throws these for text that is not the JSON it expects.
    if (error instanceof SyntaxError || error instanceof TypeError) {
      throw unreadable(call, what, error);
    }
    throw error;
  }
}

function unreadable({ settings, repo }: HubCall, what: string, cause?: unknown): HubError {
  return new HubError(
    `Cannot download ${what} of "${
      repoName(repo)
    }": ${settings.endpoint} does not answer as a Hub ` +
      `does. Check HF_ENDPOINT`,
    { exitCode: 1, cause },
  );
}
