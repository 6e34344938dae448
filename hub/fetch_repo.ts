/** A model or data set as a folder on this machine: from the cache, or downloaded into it. */
import { cachedCommit, type CachedFiles, cachedFiles, writeListing, writeRef } from "./cache.ts";
import { chooseFiles, INDEX, lacking, shardNames, SINGLE } from "./choose_files.ts";
import { blobPath, downloadBlob } from "./download.ts";
import { HubError, writingError } from "./error.ts";
import { currentCommit, type HubCall, type HubFile, hubFiles } from "./listing.ts";
import { isCommit, repoName, snapshotFolder } from "./repo.ts";

/** What came of it. */
export interface FetchedRepo {
  /** Folder with the files of the commit. */
  readonly folder: string;
  /** The needed files in it. */
  readonly paths: readonly string[];
  readonly commit: string;
  /** Set when the Hub could not be asked and the cache had to do. */
  readonly notice?: string;
}

export interface FetchRequest extends HubCall {
  /** Bytes that are there, of all that are needed. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Makes sure that the needed files of a repository are in the cache. With a commit in its name that is
 * there as a whole, or offline, no request is made. Without, the Hub is asked which commit the revision
 * stands for now; when it cannot be reached, the commit that was seen last is used.
 *
 * @throws HubError
 */
export async function fetchRepo(call: FetchRequest): Promise<FetchedRepo> {
  const { settings, repo } = call;
  const known = cachedCommit(settings.cache, repo);
  const cached = known === undefined ? undefined : cachedFiles(settings.cache, repo, known);
  const whole = known !== undefined && cached !== undefined && cached.missing === undefined
    ? { folder: cached.folder, paths: cached.paths, commit: known }
    : undefined;
  if (settings.offline) {
    if (whole) return whole;
    throw notCached(call, cached);
  }
  if (whole && isCommit(repo.revision)) return whole;
  let commit: string;
  try {
    commit = await currentCommit({ ...call, tries: whole ? 1 : call.tries });
  } catch (error) {
    // What is here is enough, and a train or a plane is no reason not to work.
    if (!whole || !(error instanceof HubError) || error.exitCode !== 1) throw error;
    return { ...whole, notice: `${error.message}. Used as it lies in the cache: ${whole.commit}` };
  }
  if (whole && commit === known) return whole;
  try {
    const paths = await download(call, commit);
    writeRef(settings.cache, repo, commit);
    return { folder: snapshotFolder(settings.cache, repo, commit), paths, commit };
  } catch (error) {
    throw writingError(settings.cache, error);
  }
}

function notCached({ settings, repo }: FetchRequest, cached: CachedFiles | undefined): HubError {
  const what = cached === undefined || cached.paths.length === 0
    ? "it is not"
    : `it is there in part: ${cached.missing} is missing`;
  return new HubError(
    `Cannot take "${repoName(repo)}" from the cache "${settings.cache}": ${what}, and ` +
      `HF_HUB_OFFLINE is set. Start once without it to download`,
    { exitCode: 2 },
  );
}

/** Downloads what a commit needs; returns the paths. */
async function download(call: FetchRequest, commit: string): Promise<string[]> {
  const { settings, repo } = call;
  const files = await hubFiles(call, commit);
  const all = files.map(({ path }) => path);
  const named = (path: string) => files.find((file) => file.path === path)!;
  let shards: string[] = [];
  if (repo.kind === "model" && all.includes(INDEX) && !all.includes(SINGLE)) {
    const index = named(INDEX);
    await downloadBlob({ ...call, commit, file: index });
    shards = shardNames(Deno.readTextFileSync(blobPath(call, index))) ??
      refuse(call, `its ${INDEX} is not one`);
    const absent = shards.find((name) => !all.includes(name));
    if (absent !== undefined) refuse(call, `its ${INDEX} names "${absent}", which is not there`);
  }
  const paths = chooseFiles(repo.kind, all, shards);
  const problem = lacking(repo.kind, paths);
  if (problem) refuse(call, problem);
  writeListing(settings.cache, repo, commit, paths);
  const chosen = paths.map(named);
  const total = chosen.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  for (const file of chosen) {
    const onBytes = (there: number) => call.onProgress?.(before + there, total);
    await downloadBlob({ ...call, commit, file, onBytes });
    link(call, commit, file);
    before += file.size;
    call.onProgress?.(before, total);
  }
  return paths;
}

function refuse({ repo }: FetchRequest, why: string): never {
  throw new HubError(`Cannot use "${repoName(repo)}": ${why}`, { exitCode: 2 });
}

/** The file's place in the snapshot: a link to its blob, relative, so that the cache can be moved. */
function link(call: FetchRequest, commit: string, file: HubFile): void {
  const place = `${snapshotFolder(call.settings.cache, call.repo, commit)}/${file.path}`;
  Deno.mkdirSync(place.slice(0, place.lastIndexOf("/")), { recursive: true });
  const up = "../".repeat(1 + file.path.split("/").length);
  try {
    Deno.symlinkSync(`${up}blobs/${file.etag}`, place);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    if (Deno.build.os !== "windows") throw error;
    // Links need a right there that few have; the Python library copies as well.
    Deno.copyFileSync(blobPath(call, file), place);
  }
}
