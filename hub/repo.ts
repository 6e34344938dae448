/**
 * The name of a model or data set on the Hub, and where it lies in the cache that the Hub's Python
 * library uses too: `models--owner--name/{blobs,snapshots,refs}`.
 */

export type RepoKind = "model" | "dataset";

/** A model or data set at a revision. */
export interface Repo {
  readonly kind: RepoKind;
  /** `owner/name`. */
  readonly id: string;
  /** Branch, tag or commit; `main` where the name had none. */
  readonly revision: string;
}

/** The Hub's own rule for owners and names: letters, digits, `-`, `_`, `.`, up to 96 of them. */
const PART = "[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?";
const NAME = new RegExp(`^(${PART}/${PART})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{0,199}))?$`);

/** What files are called, and repositories hardly ever: a path that is not there. */
const FILE = /\.(jsonl?|ndjson|csv|tsv|parquet|ya?ml|txt|gz|zst|safetensors|gguf|jinja)$/i;
/** Folders of this program: what is named below them is not looked for elsewhere. */
const OWN_FOLDERS = /^(configs|examples|runs)\//;

/**
 * Reads `owner/name` or `owner/name@revision`; undefined when `name` cannot be a name on the Hub and so
 * can only be a path.
 */
export function parseRepo(name: string, kind: RepoKind): Repo | undefined {
  const match = NAME.exec(name);
  if (!match || /--|\.\./.test(name) || match[1].endsWith(".git")) return undefined;
  // A mistyped path must not become a request, nor its name known to a server.
  if (FILE.test(match[1]) || OWN_FOLDERS.test(match[1])) return undefined;
  return { kind, id: match[1], revision: match[2] ?? "main" };
}

/** The repository as it is written in a config. */
export function repoName({ id, revision }: Repo): string {
  return revision === "main" ? id : `${id}@${revision}`;
}

/** True for a full commit id, which nothing can move. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** Folder of a repository in the cache. */
export function repoFolder(cache: string, { kind, id }: Repo): string {
  return `${cache}/${kind}s--${id.replace("/", "--")}`;
}

/** Folder of a commit's files: links into `blobs/`. */
export function snapshotFolder(cache: string, repo: Repo, commit: string): string {
  return `${repoFolder(cache, repo)}/snapshots/${commit}`;
}
