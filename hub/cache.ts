/**
 * The cache without the Hub: which commit a revision stood for when it was last seen, and whether the
 * files of a commit are all there. `listings/<commit>.json`, which only this program writes, says which
 * files a download was to bring; for what the Python library brought, a model says it itself.
 */
import { HubError } from "./error.ts";
import { chooseFiles, INDEX, lacking, shardNames } from "./choose_files.ts";
import { isCommit, type Repo, repoFolder, repoName, snapshotFolder } from "./repo.ts";

/** The text of a file; undefined when it is not there. */
export function optionalText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}

/** The commit that a revision stands for in the cache; undefined when it was never seen. */
export function cachedCommit(cache: string, repo: Repo): string | undefined {
  if (isCommit(repo.revision)) return repo.revision;
  const commit = optionalText(`${repoFolder(cache, repo)}/refs/${repo.revision}`)?.trim();
  return commit !== undefined && isCommit(commit) ? commit : undefined;
}

/** Notes which commit a revision stands for. */
export function writeRef(cache: string, repo: Repo, commit: string): void {
  if (isCommit(repo.revision)) return;
  writeText(`${repoFolder(cache, repo)}/refs/${repo.revision}`, commit);
}

/** Notes which files of a commit are needed. */
export function writeListing(
  cache: string,
  repo: Repo,
  commit: string,
  paths: readonly string[],
): void {
  writeText(listingPath(cache, repo, commit), `${JSON.stringify(paths)}\n`);
}

function listingPath(cache: string, repo: Repo, commit: string): string {
  return `${repoFolder(cache, repo)}/listings/${commit}.json`;
}

function writeText(path: string, text: string): void {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  // In one go: another program may read it meanwhile.
  Deno.writeTextFileSync(`${path}.new`, text);
  Deno.renameSync(`${path}.new`, path);
}

/** What the cache has of a commit. */
export interface CachedFiles {
  readonly folder: string;
  /** Needed and there, relative to `folder`. */
  readonly paths: readonly string[];
  /** Needed and not there: a file's name, or what the files lack as a whole. */
  readonly missing?: string;
}

/** The needed files of a commit, as far as the cache has them. */
export function cachedFiles(cache: string, repo: Repo, commit: string): CachedFiles {
  const folder = snapshotFolder(cache, repo, commit);
  const there = filesBelow(folder, "");
  const listed = readListing(cache, repo, commit);
  if (listed) {
    const missing = listed.find((path) => !there.includes(path));
    return { folder, paths: listed, missing: missing && `the file "${missing}"` };
  }
  const shards = there.includes(INDEX)
    ? shardNames(optionalText(`${folder}/${INDEX}`) ?? "") ?? []
    : [];
  const paths = chooseFiles(repo.kind, there, shards);
  const shard = paths.includes(INDEX) ? shards.find((name) => !there.includes(name)) : undefined;
  const problem = shard ? `the file "${shard}"` : lacking(repo.kind, paths);
  return { folder, paths, missing: problem };
}

function readListing(cache: string, repo: Repo, commit: string): string[] | undefined {
  const path = listingPath(cache, repo, commit);
  const text = optionalText(path);
  if (text === undefined) return undefined;
  try {
    const paths = JSON.parse(text);
    if (Array.isArray(paths) && paths.every((p) => typeof p === "string")) return paths;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new HubError(
    `Cannot read "${path}" of "${repoName(repo)}": it is not what this program writes; remove it`,
    { exitCode: 2 },
  );
}

/** All files below a folder whose bytes are there: a link into nothing is no file. */
function filesBelow(folder: string, prefix: string): string[] {
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(`${folder}/${prefix}`)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  return entries.flatMap(({ name, isDirectory }) => {
    const path = `${prefix}${name}`;
    if (isDirectory) return filesBelow(folder, `${path}/`);
    return isThere(`${folder}/${path}`) ? [path] : [];
  }).sort();
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
