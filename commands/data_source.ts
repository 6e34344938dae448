/** From the names in a config to the files of datasets, and how their rows are read. */
import { type FileChoice, findFiles, isPattern, patternFolder } from "../data/file_set.ts";
import { splitAliases } from "../data/known_sets.ts";
import type { FileSet } from "../data/open_rows.ts";
import type { DatasetPart } from "../data/parts.ts";
import { parseSubset } from "../data/subset.ts";
import { parseRepo } from "../hub/repo.ts";
import type { Config, ParsedConfig } from "../trainer/config.ts";
import { findInput } from "./find_config.ts";
import type { HubInputs } from "./hub_pins.ts";
import { toPath } from "./model_source.ts";

/** The datasets of a run, and files of held-out rows where there are any. */
export interface DataSources {
  readonly parts: readonly DatasetPart[];
  readonly validation?: FileSet;
}

/** What `dataset` and each set of a mix have in common. */
type SetConfig = Pick<
  Config["dataset"],
  "subset" | "split" | "dataset_config" | "columns" | "preference" | "min_score_ratio"
>;

/**
 * Finds the files of every dataset of a config.
 *
 * @param hub where names of the Hub lie
 * @throws ConfigError when a name is no file, folder or pattern here; DataError when a folder has no such
 * files.
 */
export async function dataSources(
  parsed: ParsedConfig,
  hub: HubInputs = {},
): Promise<DataSources> {
  const { dataset } = parsed.config;
  const { dataset_name: name, mix, validation_name, validation_split } = dataset;
  if (mix) {
    const parts: DatasetPart[] = [];
    for (const [i, set] of mix.entries()) {
      const key = `dataset.mix.${i}.dataset_name`;
      const place = await locate(parsed, set.dataset_name, key, hub);
      parts.push({ ...partOf(set, set.dataset_name, place), weight: set.weight });
    }
    return { parts, validation: await namedFiles(parsed, validation_name, hub) };
  }
  const place = await locate(parsed, name!, "dataset.dataset_name", hub);
  const validation = validation_split === undefined
    ? await namedFiles(parsed, validation_name, hub)
    : findFiles(place, choiceOf(dataset, name!, validation_split));
  return { parts: [partOf(dataset, name!, place)], validation };
}

/** Files of held-out rows that have a name of their own. */
async function namedFiles(
  parsed: ParsedConfig,
  name: string | undefined,
  hub: HubInputs,
): Promise<FileSet | undefined> {
  if (name === undefined) return undefined;
  return findFiles(await locate(parsed, name, "dataset.validation_name", hub), {
    split: "validation",
    aliases: { validation: "test" },
  });
}

function partOf(set: SetConfig, name: string, place: string): DatasetPart {
  const { preference, min_score_ratio: minScoreRatio } = set;
  return {
    source: findFiles(place, choiceOf(set, name, set.split ?? parseSubset(set.subset).split)),
    knownAs: withoutRevision(name),
    subset: set.subset,
    columns: set.columns,
    reading: { preference, minScoreRatio },
  };
}

/** A name on the Hub is that of the same set at every revision. */
function withoutRevision(name: string): string {
  return parseRepo(name, "dataset")?.id ?? name;
}

function choiceOf(set: SetConfig, name: string, split: string): FileChoice {
  return { split, config: set.dataset_config, aliases: splitAliases(withoutRevision(name)) };
}

/** The path of a dataset's file, folder or pattern; the name may be one below the project. */
async function locate(
  parsed: ParsedConfig,
  name: string,
  key: string,
  hub: HubInputs,
): Promise<string> {
  const found = await findInput(name) ?? hub[name]?.path;
  if (found !== undefined) return toPath(found);
  if (isPattern(name)) {
    const folder = patternFolder(name);
    const base = folder === "" ? "" : await findInput(folder);
    if (base !== undefined) return toPath(base) + name.slice(folder.length);
  }
  throw parsed.problem(
    key,
    `there is no file "${name}", and it is no name on the Hub (owner/name); give the path of a file ` +
      `(.jsonl, .json, .csv, .tsv or .parquet, also .gz and .zst), a folder or a pattern`,
  );
}
