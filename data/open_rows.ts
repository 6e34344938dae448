/** Opens a dataset's files, of whatever kind they are, as one run of rows. */
import type { ByteSource, DataSource } from "./byte_source.ts";
import { csvRows } from "./csv.ts";
import { DataError } from "./error.ts";
import { kindOf } from "./file_kind.ts";
import { jsonArrayRows, jsonShape } from "./json_array.ts";
import { jsonLinesRows } from "./jsonl.ts";
import { isParquet } from "./parquet/footer.ts";
import { ColumnCache, parquetRows } from "./parquet/parquet_rows.ts";
import { concatenateRows, type RowDataset } from "./row_dataset.ts";
import { openUnpacked, type UnpackOptions } from "./unpack.ts";

/** Files of one dataset, in the order of their rows, and the name for them in messages. */
export interface FileSet {
  readonly name: string;
  readonly files: readonly DataSource[];
}

/**
 * Opens one file or several.
 *
 * @throws DataError when one cannot be opened or read, or is of a kind that is not known.
 */
export async function openRows(
  source: DataSource | FileSet,
  options: UnpackOptions = {},
): Promise<RowDataset> {
  const files = "files" in source ? source.files : [source];
  const cache = new ColumnCache();
  const opened: RowDataset[] = [];
  try {
    for (const file of files) {
      const bytes = await openUnpacked(file, options);
      try {
        opened.push(readAs(bytes, cache));
      } catch (error) {
        bytes.close();
        throw error;
      }
    }
    return concatenateRows("files" in source ? source.name : opened[0].name, opened);
  } catch (error) {
    for (const rows of opened) rows.close();
    throw error;
  }
}

/** By what the file holds where that is plain, else by its name. */
function readAs(bytes: ByteSource, cache: ColumnCache): RowDataset {
  const { name } = bytes;
  const kind = kindOf(name);
  if (kind === "parquet" || isParquet(bytes)) return parquetRows(bytes, cache);
  if (kind === "csv") return csvRows(bytes, ",");
  if (kind === "tsv") return csvRows(bytes, "\t");
  if (
    bytes.size >= 6 && String.fromCharCode(...bytes.read(0, 6)) === "ARROW1" || kind === "arrow"
  ) {
    throw new DataError(
      `Reading dataset "${name}": Arrow files are not read, save it as Parquet (to_parquet) or JSON lines`,
    );
  }
  const shape = bytes.size === 0 ? "other" : jsonShape(bytes);
  if (shape === "array" || shape === "wrapped" && kind === "json") return jsonArrayRows(bytes);
  return jsonLinesRows(bytes);
}
