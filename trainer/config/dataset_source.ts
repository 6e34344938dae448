/** Keys of a config that say where the rows of a dataset are: of the one dataset, or of each in a mix. */
import { z } from "zod";
import { COLUMN_KEYS } from "../../data/columns.ts";
import { DataError } from "../../data/error.ts";
import { parseSubset } from "../../data/subset.ts";
import { byDefault, nullable, oneOf, optional, real, text } from "./fields.ts";

const NAME = text("a file, a folder, a pattern or a dataset's name");

const subset = text("a slice").superRefine((value, context) => {
  try {
    parseSubset(value);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    context.addIssue({ code: "custom", message: error.message });
  }
});

const column = text("a column, or a path with dots to a nested one");

/** For each name that rows are read by, the column it stands in. */
export const columnsSection = z.strictObject(
  Object.fromEntries(COLUMN_KEYS.map((key) => [key, column.optional()])) as {
    [key in typeof COLUMN_KEYS[number]]: z.ZodOptional<typeof column>;
  },
);

/** Keys that `dataset` and each set of a mix share. */
const SHARED = {
  subset: byDefault(
    subset,
    "train",
    "Split, and slice of its rows, as in Hugging Face datasets: train[:30%], test_prefs",
  ),
  split: nullable(
    text("a split's name"),
    "Split in a folder of several files. Without it the one in subset",
  ),
  dataset_config: nullable(
    text("a folder's name"),
    "Configuration of a dataset: the folder in it whose files are read. Without it all",
  ),
  columns: nullable(
    columnsSection,
    "Columns by the names they are read under, dots lead into nested ones: {prompt: instruction}",
  ),
  preference: nullable(
    oneOf(["better", "safer"]),
    "PKU-SafeRLHF: the judgement that says what is chosen. Without it better",
  ),
  min_score_ratio: nullable(
    real({ min: 1 }),
    "SHP: drop pairs whose scores are closer. Without it 2",
  ),
};

/** One set of a mix. */
export const mixedSetSection = z.strictObject({
  dataset_name: NAME.describe("File, folder, pattern or name"),
  weight: optional(
    real({ above: 0 }),
    "Share beside the other sets. Without it 1, or all rows where no set has one",
  ),
  ...SHARED,
});

/** The keys of `dataset` that say where rows are. */
export const SOURCE_KEYS = {
  dataset_name: nullable(
    NAME,
    "Rows: a file (JSON lines, JSON, CSV, TSV, Parquet; .gz, .zst), a folder, a pattern, or a " +
      "dataset's name",
  ),
  mix: nullable(
    z.array(mixedSetSection, { error: "expected a list of sets" }).min(1, {
      error: "expected a list of sets",
    }),
    "Several sets instead of dataset_name, mixed by their weights",
  ),
  ...SHARED,
  validation_split: nullable(
    text("a split's name"),
    "Split of the same dataset with held-out rows, used instead of val_ratio",
  ),
};

/** Names known in sections below `dataset`. */
export const NESTED_KEYS: ReadonlyMap<string, readonly string[]> = new Map<
  string,
  readonly string[]
>([
  ["dataset.mix", Object.keys(mixedSetSection.shape)],
  ["dataset.columns", COLUMN_KEYS],
  ["dataset.mix.columns", COLUMN_KEYS],
]);
