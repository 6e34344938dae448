/** Kinds of data files by the endings of their names, which a compressed one has before its own. */

export type FileKind = "jsonl" | "json" | "csv" | "tsv" | "parquet" | "arrow";

const KINDS: Readonly<Record<string, FileKind>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  csv: "csv",
  tsv: "tsv",
  tab: "tsv",
  parquet: "parquet",
  arrow: "arrow",
};

const PACKINGS = /\.(gz|gzip|zst|zstd)$/i;

/** Descriptions of a dataset that lie beside its data, as `datasets` and other tools write them. */
const NO_DATA = /^(dataset_infos?|dataset_dict|state|metadata|config|schema|package)\.json$/i;

/** The kind of a file; undefined where the name does not tell. */
export function kindOf(path: string): FileKind | undefined {
  const ending = /\.([^./\\]+)$/.exec(path.replace(PACKINGS, ""))?.[1].toLowerCase() ?? "";
  return Object.hasOwn(KINDS, ending) ? KINDS[ending] : undefined;
}

/** Whether a file in a folder is one of its data files. */
export function isDataFile(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return !name.startsWith(".") && !NO_DATA.test(name) && kindOf(name) !== undefined;
}

/** A file's name without folders and endings: `train-00000-of-00002`. */
export function stemOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(PACKINGS, "").replace(/\.[^.]+$/, "");
}
