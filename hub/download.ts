/**
 * One file of the Hub into the cache: goes on where a break left it, checks length and checksum, and
 * only then gives it its name. `blobs/<etag>.incomplete` holds what has come so far, under a lock, so
 * that two programs that want the same file do not write it both.
 */
import { createHash } from "node:crypto";
import { HubError, writingError } from "./error.ts";
import type { HubCall, HubFile } from "./listing.ts";
import { repoFolder, repoName } from "./repo.ts";
import { gaveUp, Passing, request, sleep, STALL, TRIES, waitBefore } from "./request.ts";

export interface FileDownload extends HubCall {
  readonly commit: string;
  readonly file: HubFile;
  /** Gets the bytes that are there, whenever there are more or, after a wrong checksum, fewer. */
  readonly onBytes?: (there: number) => void;
}

const exists = (path: string) => sizeOf(path) !== undefined;

function sizeOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Path of the blob of a file. */
export function blobPath({ settings, repo }: HubCall, { etag }: HubFile): string {
  return `${repoFolder(settings.cache, repo)}/blobs/${etag}`;
}

/**
 * Makes sure that the blob of a file is there.
 *
 * @throws HubError
 */
export async function downloadBlob(download: FileDownload): Promise<void> {
  const path = blobPath(download, download.file);
  try {
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    if (exists(path)) return;
    const partial = `${path}.incomplete`;
    using file = Deno.openSync(partial, { create: true, read: true, write: true });
    await file.lock(true);
    // Whoever had the lock before may have finished it.
    if (exists(path)) return;
    for (let n = 1; !await complete(download, file); n++) {
      // What is wrong in part is of no use for the rest.
      file.truncateSync(0);
      download.onBytes?.(0);
      if (n === 2) {
        Deno.removeSync(partial);
        throw wrongSum(download);
      }
    }
    file.syncDataSync();
    Deno.renameSync(partial, path);
  } catch (error) {
    throw writingError(download.settings.cache, error);
  }
}

function wrongSum({ repo, file, settings }: FileDownload): HubError {
  return new HubError(
    `Cannot download "${file.path}" of "${
      repoName(repo)
    }": its checksum is wrong, twice, and it was ` +
      `deleted. Something between here and ${settings.endpoint} changes files; try again from ` +
      `another network`,
    { exitCode: 1 },
  );
}

/** Fetches what is missing; false when length or checksum are wrong. */
async function complete(download: FileDownload, target: Deno.FsFile): Promise<boolean> {
  const { file, wait = sleep, tries = TRIES } = download;
  let there = target.statSync().size;
  if (there > file.size) target.truncateSync(there = 0);
  download.onBytes?.(there);
  for (let failures = 0; there < file.size;) {
    const before = there;
    try {
      await append(download, target, there);
      there = target.statSync().size;
      if (there < file.size) throw new Passing("the connection ended too early");
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      there = target.statSync().size;
      failures = there > before ? 1 : failures + 1;
      if (failures >= tries) throw gaveUp(`"${file.path}"`, download.repo, failures, error);
      await wait(waitBefore(failures, error.retryAfter));
    }
  }
  return there === file.size && checksum(target, file) === file.etag;
}

/** Asks for the bytes from `offset` on and writes them as they come. */
async function append(download: FileDownload, target: Deno.FsFile, offset: number): Promise<void> {
  const { settings, repo, commit, file } = download;
  const prefix = repo.kind === "dataset" ? "datasets/" : "";
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  const broken = new AbortController();
  let stall = setTimeout(() => broken.abort(), STALL);
  try {
    const response = await request(
      `${settings.endpoint}/${prefix}${repo.id}/resolve/${commit}/${path}`,
      {
        settings,
        repo,
        what: `"${file.path}"`,
        headers: offset > 0 ? { range: `bytes=${offset}-` } : {},
        signal: broken.signal,
      },
    );
    const start = startOf(response);
    if (start === undefined || start > offset) {
      await response.body?.cancel();
      target.truncateSync(0);
      throw new Passing(`the server sent other bytes than those from ${offset} on`);
    }
    target.truncateSync(start);
    target.seekSync(start, Deno.SeekMode.Start);
    let there = start;
    for await (const chunk of chunks(response)) {
      clearTimeout(stall);
      stall = setTimeout(() => broken.abort(), STALL);
      for (let rest = chunk; rest.length > 0;) rest = rest.subarray(target.writeSync(rest));
      there += chunk.length;
      // More than there should be: the checksum will say so, no need to take it all.
      if (there > file.size) break;
      download.onBytes?.(there);
    }
  } finally {
    clearTimeout(stall);
  }
}

/** Where the bytes of an answer begin in the file; undefined when it does not say. */
function startOf(response: Response): number | undefined {
  if (response.status === 200) return 0;
  const range = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "");
  return response.status === 206 && range ? Number(range[1]) : undefined;
}

async function* chunks({ body }: Response): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    while (true) {
      const { done, value } = await reader.read().catch((error) => {
        throw new Passing("the connection broke", { cause: error });
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {
      // It is broken already, which the read has said.
    });
  }
}

/** sha256 of a large file, git's blob id (sha1 over a header and the bytes) of a small one. */
function checksum(target: Deno.FsFile, { etag, size }: HubFile): string {
  const hash = etag.length === 64
    ? createHash("sha256")
    : createHash("sha1").update(`blob ${size}\0`);
  const block = new Uint8Array(2 ** 22);
  target.seekSync(0, Deno.SeekMode.Start);
  for (let n = target.readSync(block); n !== null; n = target.readSync(block)) {
    hash.update(block.subarray(0, n));
  }
  return hash.digest("hex");
}
