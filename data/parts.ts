/**
 * The datasets that a run reads: where each one's rows are, how they are read, and the numbers they have.
 * Several are one after the other: row numbers of a later one go on after the last of the one before.
 */
import type { DataSource } from "./byte_source.ts";
import { checkColumns, type Columns, renameColumns } from "./columns.ts";
import { checkUse, detectForm, examplesPerRow, readRow, splitPair } from "./formats.ts";
import type { DataForm, RowReader, RowTexts, RowUse } from "./formats.ts";
import { knownSetOf, type ReadingOptions } from "./known_sets.ts";
import { type FileSet, openRows } from "./open_rows.ts";
import type { RowDataset } from "./row_dataset.ts";
import type { Rendering } from "./row_text.ts";
import type { UnpackOptions } from "./unpack.ts";

/** One dataset. */
export interface DatasetPart {
  readonly source: DataSource | FileSet;
  /** Hub id or path by which a known set is recognized; absent: the source's name. */
  readonly knownAs?: string;
  /** Slice of its rows, such as `train[:30%]`; default all. */
  readonly subset?: string;
  /** Columns by the names they are read under; then it is no known set. */
  readonly columns?: Columns;
  readonly reading?: ReadingOptions;
  /** Its share among several, see `mixRows`. */
  readonly weight?: number;
}

/** How the rows of all parts are read. */
export interface PartOptions extends UnpackOptions, Pick<Rendering, "chat" | "eosToken"> {
  readonly use: RowUse;
  /** Default `auto`: a known set's own, else by the first row. */
  readonly form?: DataForm | "auto";
}

/** A part with its files open. */
export interface OpenPart {
  readonly file: RowDataset;
  readonly reader: RowReader;
  /** Examples that a row gives. */
  readonly perRow: 1 | 2;
  /** Number of the first example of row 0; those of row r begin at `firstId + r * perRow`. */
  readonly firstId: number;
}

/**
 * Opens a part.
 *
 * @param firstId number of its first example.
 * @throws DataError when it cannot be opened, or its rows cannot be used so.
 */
export async function openPart(
  part: DatasetPart,
  options: PartOptions,
  firstId: number,
): Promise<OpenPart> {
  const file = await openRows(part.source, options);
  try {
    const reader = readerOf(file, part, options);
    return { file, reader, firstId, perRow: examplesPerRow(reader.form, reader.use) };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The number after a part's last example. */
export function nextId({ file, perRow, firstId }: OpenPart): number {
  return firstId + file.length * perRow;
}

/** How the rows of a file are read: the config says it, or its name, or its first row. */
function readerOf(file: RowDataset, part: DatasetPart, options: PartOptions): RowReader {
  const { use, form = "auto", chat, eosToken } = options;
  const { columns, reading = {} } = part;
  const first = file.get(0);
  const place = file.place(0);
  if (columns) checkColumns(first, columns, place);
  const known = columns ? undefined : knownSetOf(part.knownAs ?? file.name, first);
  const read: RowReader["read"] = columns
    ? (row) => renameColumns(row, columns)
    : known?.read && ((row) => known.read!(row, reading));
  const found = known?.form ?? detectForm(columns ? renameColumns(first, columns) : first, place);
  const reader: RowReader = {
    form: form === "auto" ? found : form,
    use,
    chat,
    eosToken,
    read,
    untyped: file.untyped,
  };
  checkUse(reader.form, use, place);
  return reader;
}

/** The examples of a row as text, or why it gives none. */
export function readTexts(
  { file, reader, perRow }: OpenPart,
  row: number,
): readonly RowTexts[] | { readonly drop: string } {
  const result = readRow(file.get(row), reader);
  if ("drop" in result) return result;
  return perRow === 2 ? splitPair(result) : [result];
}

/** The part that an example of this number is in, and its row there; undefined: in none. */
export function findRow(
  parts: readonly OpenPart[],
  id: number,
): { part: OpenPart; row: number; answer: number } | undefined {
  const part = parts.findLast(({ firstId }) => firstId <= id);
  if (!part || !(id < nextId(part))) return undefined;
  const inPart = id - part.firstId;
  return { part, row: Math.floor(inPart / part.perRow), answer: inPart % part.perRow };
}
