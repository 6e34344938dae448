/** Which files of a repository a run needs: what it reads, and nothing twice. */
import type { RepoKind } from "./repo.ts";

/** Of a model: what is read, and what `transformers` wants beside the tuned weights. */
const MODEL_FILES = new Set([
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
  // An adapter's own two.
  "adapter_config.json",
  "adapter_model.safetensors",
]);

/** Weights in one file, and the list of those in several. */
export const SINGLE = "model.safetensors";
export const INDEX = "model.safetensors.index.json";

const DATA = /\.(jsonl?|ndjson|csv|tsv|parquet)(\.(gz|zst|br))?$/i;

/** JSON that describes a data set and is no rows of it. */
const ABOUT_DATA = /(^|\/)(dataset_infos?|dataset_dict|state|package|config)\.json$/;

/**
 * The files to download. Weights only as safetensors: the same weights in other formats, and GGUF files
 * rounded in several ways, stay where they are.
 *
 * @param shards the files that the index names; empty without an index
 */
export function chooseFiles(
  kind: RepoKind,
  paths: readonly string[],
  shards: readonly string[] = [],
): string[] {
  if (kind === "dataset") {
    return paths.filter((path) =>
      DATA.test(path) && !ABOUT_DATA.test(path) && !/(^|\/)\./.test(path)
    );
  }
  const there = new Set(paths);
  const sharded = there.has(INDEX) && !there.has(SINGLE);
  const wanted = new Set([
    ...MODEL_FILES,
    ...(sharded ? [INDEX, ...shards] : [SINGLE]),
  ]);
  return paths.filter((path) => wanted.has(path));
}

/** The shards that an index file names; undefined when it is not one. */
export function shardNames(indexText: string): string[] | undefined {
  try {
    const { weight_map } = JSON.parse(indexText);
    if (typeof weight_map !== "object" || weight_map === null) return undefined;
    const names = Object.values(weight_map);
    const plain = (name: unknown) => typeof name === "string" && /^[\w.-]+$/.test(name);
    return names.every(plain) ? [...new Set(names as string[])].sort() : undefined;
  } catch {
    return undefined;
  }
}

/** What is wrong with a repository for this program, before anything large is downloaded. */
export function lacking(kind: RepoKind, chosen: readonly string[]): string | undefined {
  const has = (name: string) => chosen.includes(name);
  if (kind === "dataset") {
    return chosen.length > 0
      ? undefined
      : "it has no data files (.jsonl, .json, .csv or .parquet, plain or compressed)";
  }
  if (has("adapter_config.json") && !has("config.json")) return undefined;
  if (!has("config.json")) return "it has no config.json";
  return has(SINGLE) || has(INDEX)
    ? undefined
    : `it has no weights as safetensors (${SINGLE} or ${INDEX})`;
}
