/**
 * The files of a dataset: one file, a folder, or a pattern. In folders splits are told apart as in Hugging
 * Face datasets: `data/train-00000-of-00002.parquet`, `train.jsonl.gz`, `test/part1.csv`.
 */
import type { DataSource } from "./byte_source.ts";
import { DataError } from "./error.ts";
import { isDataFile, kindOf, stemOf } from "./file_kind.ts";
import type { FileSet } from "./open_rows.ts";

/** Which files of a folder are wanted. */
export interface FileChoice {
  /** Name of the split, default `train`. Does not matter where no file is of any split. */
  readonly split?: string;
  /** A folder in it, for datasets of several configurations. */
  readonly config?: string;
  /** Splits taken for one that is not there, such as `train_prefs` for `train`. */
  readonly aliases?: Readonly<Record<string, string>>;
}

/** Words for a split in names of files and folders. */
const SPLIT_WORDS: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "dev", "val"],
  test: ["test", "testing", "eval", "evaluation"],
};

/** A split's name before the number of a part. */
const NUMBERED = /^(.+?)-\d{5,}-of-\d{5,}(-[0-9a-f]+)?$/;

/**
 * Chooses the files of a split among the files of a dataset's folder, sorted by name.
 *
 * @param files paths inside the folder, with `/`; those that are no data are passed over.
 * @param name of the dataset, for messages.
 * @throws DataError when there are none, or files of several kinds.
 */
export function chooseFiles(
  files: readonly string[],
  { split = "train", config, aliases = {} }: FileChoice,
  name: string,
): string[] {
  let data = files.filter(isDataFile).sort(byName);
  if (data.length === 0) {
    throw new DataError(
      `Reading dataset "${name}": no data file in it (.jsonl, .json, .csv, .tsv, .parquet; also .gz and .zst)`,
    );
  }
  if (config !== undefined) data = inFolder(data, config, name);
  const chosen = filesOfSplit(data, split) ??
    (Object.hasOwn(aliases, split) ? filesOfSplit(data, aliases[split]) : undefined) ??
    filesOfWord(data, split);
  const splits = [...new Set(data.flatMap((file) => splitOf(file) ?? []))];
  if (!chosen && (splits.length > 0 || split !== "train")) {
    const found = splits.length > 0 ? splits.map((each) => `"${each}"`).join(", ") : "none";
    throw new DataError(
      `Reading dataset "${name}": it has no split "${split}"; the splits in the names of its files are: ` +
        `${found}. Name one with "split"`,
    );
  }
  return oneKind(chosen ?? data, name);
}

/**
 * The files that a path names.
 *
 * @param path a file, a folder, or a pattern with `*`, `**`, `?`, `[abc]` or `{a,b}`.
 * @throws DataError when there is no such file, or as `chooseFiles`.
 */
export function findFiles(path: string, choice: FileChoice = {}): FileSet {
  const info = stat(path);
  if (info?.isFile) return { name: path, files: [{ path }] };
  const sources = (files: readonly string[], folder: string): DataSource[] =>
    files.map((file) => ({ path: folder === "" ? file : `${folder}/${file}` }));
  if (info?.isDirectory) {
    const folder = path.replace(/[\\/]+$/, "") || path;
    const files = chooseFiles(listFiles(folder), choice, path);
    return { name: path, files: sources(files, folder) };
  }
  if (!isPattern(path)) {
    throw new DataError(`Reading dataset "${path}": there is no such file, check the path`);
  }
  const { folder, pattern } = splitPattern(path);
  const matched = stat(folder || ".")?.isDirectory
    ? listFiles(folder || ".").filter((file) => pattern.test(file)).sort(byName)
    : [];
  if (matched.length === 0) {
    throw new DataError(`Reading dataset "${path}": no file fits this pattern`);
  }
  return { name: path, files: sources(oneKind(matched, path), folder) };
}

/** Whether a path holds the signs of a pattern. */
export function isPattern(path: string): boolean {
  return /[*?[{]/.test(path);
}

/** The folder that holds all files that can fit a pattern; empty for the working directory. */
export function patternFolder(path: string): string {
  return splitPattern(path).folder;
}

function splitPattern(path: string): { folder: string; pattern: RegExp } {
  const parts = path.replaceAll("\\", "/").split("/");
  const first = parts.findIndex(isPattern);
  const folder = parts.slice(0, first).join("/") || (first > 0 ? "/" : "");
  const wanted = parts.slice(first).join("/");
  return { folder, pattern: new RegExp(`^${patternSource(wanted)}$`) };
}

/** A pattern as a regular expression; what is in brackets that do not end stands for itself. */
function patternSource(pattern: string): string {
  const signs = /\*\*\/|\*\*|\*|\?|\[!?[^\]/]+\]|\{[^{}/]*\}|[^]/g;
  return pattern.replace(signs, (sign) => {
    if (sign === "**/") return "(?:.*/)?";
    if (sign === "**") return ".*";
    if (sign === "*") return "[^/]*";
    if (sign === "?") return "[^/]";
    if (sign.length > 1 && sign.startsWith("[")) {
      const inside = sign.slice(1, -1).replace(/^!/, "^").replace(/[\\[\]]/g, "\\$&");
      return `[${inside}]`;
    }
    if (sign.length > 1) return `(?:${sign.slice(1, -1).split(",").map(patternSource).join("|")})`;
    return sign.replace(/[\\^$.|+(){}[\]]/, "\\$&");
  });
}

/** By code units: the same on every machine. */
function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function stat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw new DataError(`Reading dataset "${path}": ${(error as Error).message}`, { cause: error });
  }
}

/** Folders in folders that are looked into for a dataset's files. */
export const MAX_DATA_DEPTH = 8;

/** Files below a folder, as paths inside it; hidden folders are left out, links are followed. */
export function listFiles(folder: string, inside = "", depth = 0): string[] {
  if (depth > MAX_DATA_DEPTH) return [];
  const files: string[] = [];
  for (const entry of entriesOf(inside === "" ? folder : `${folder}/${inside}`)) {
    if (entry.name.startsWith(".")) continue;
    const path = inside === "" ? entry.name : `${inside}/${entry.name}`;
    const info = entry.isSymlink ? stat(`${folder}/${path}`) : entry;
    if (info?.isDirectory) files.push(...listFiles(folder, path, depth + 1));
    else if (info?.isFile) files.push(path);
  }
  return files;
}

function entriesOf(folder: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(folder)];
  } catch (error) {
    throw new DataError(`Reading dataset "${folder}": ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Files in a folder of that name, at any depth. */
function inFolder(files: readonly string[], config: string, name: string): string[] {
  const inside = files.filter((file) => `/${file}`.includes(`/${config}/`));
  if (inside.length > 0) return inside;
  const folders = [...new Set(files.flatMap((file) => file.split("/").slice(0, -1)))];
  const found = folders.length > 0 ? folders.map((each) => `"${each}"`).join(", ") : "none";
  throw new DataError(
    `Reading dataset "${name}": no folder "${config}" with data in it; there are: ${found}`,
  );
}

/** The split that a file's name says: before its number, or its whole name or folder. */
function splitOf(file: string): string | undefined {
  const stem = stemOf(file);
  const numbered = NUMBERED.exec(stem)?.[1];
  if (numbered !== undefined) return numbered;
  return Object.keys(SPLIT_WORDS).find((split) => hasWord(file, SPLIT_WORDS[split]));
}

function filesOfSplit(files: readonly string[], split: string): string[] | undefined {
  const own = files.filter((file) => {
    const stem = stemOf(file);
    return (NUMBERED.exec(stem)?.[1] ?? stem) === split ||
      file.split("/").slice(0, -1).includes(split);
  });
  return own.length > 0 ? own : undefined;
}

/** Files with a word for the split in their path; a name before a number is the whole of a split's name. */
function filesOfWord(files: readonly string[], split: string): string[] | undefined {
  const words = Object.hasOwn(SPLIT_WORDS, split) ? SPLIT_WORDS[split] : [split];
  const own = files.filter((file) => {
    const numbered = NUMBERED.exec(stemOf(file))?.[1];
    return numbered === undefined ? hasWord(file, words) : words.includes(numbered);
  });
  return own.length > 0 ? own : undefined;
}

/** Whether a word stands in a path, not inside another word. */
function hasWord(file: string, words: readonly string[]): boolean {
  const path = file.slice(0, file.lastIndexOf("/") + 1) + stemOf(file);
  return path.toLowerCase().split(/[^a-z]+/).some((word) => words.includes(word));
}

/** Two kinds of files would most likely hold the same rows twice. */
function oneKind(files: string[], name: string): string[] {
  const kinds = [...new Set(files.map((file) => kindOf(file) ?? "other"))];
  if (kinds.length === 1) return files;
  throw new DataError(
    `Reading dataset "${name}": its files are of several kinds (${
      kinds.join(", ")
    }); name one file, or a ` +
      `pattern such as "${name}/*.${kinds[0]}"`,
  );
}
