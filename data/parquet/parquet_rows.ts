/**
 * A Parquet file as a dataset of rows. A row's values are read when they are looked at: of each row group
 * only the columns that are used, and of those only the latest stay in memory.
 */
import { assembleNested } from "hyparquet/src/assemble.js";
import type { DecodedArray } from "hyparquet/src/types.js";
import type { ByteSource } from "../byte_source.ts";
import { DataError } from "../error.ts";
import { checkRow, type Row, type RowDataset } from "../row_dataset.ts";
import { type Footer, type Leaf, readFooter, type RowGroup } from "./footer.ts";
import { PARSERS, readColumnChunk } from "./pages.ts";

/** Decoded columns of row groups, the latest used; one for all files of a dataset. */
export class ColumnCache {
  #columns = new Map<string, { values: DecodedArray; bytes: number }>();
  #bytes = 0;
  #budget: number;

  /** @param budget bytes, estimated; the column in use is kept whatever its size. */
  constructor(budget = 2 ** 28) {
    this.#budget = budget;
  }

  /** The values under a key; `read` makes them where they are not here. */
  get(key: string, bytes: number, read: () => DecodedArray): DecodedArray {
    const found = this.#columns.get(key);
    const entry = found ?? { values: read(), bytes };
    // The order of the map is the order of use.
    this.#columns.delete(key);
    this.#columns.set(key, entry);
    if (!found) this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#columns) {
      if (this.#bytes <= this.#budget || oldest === key) break;
      this.#columns.delete(oldest);
      this.#bytes -= freed;
    }
    return entry.values;
  }
}

/**
 * Opens a Parquet file. 64-bit whole numbers become numbers, or texts beyond 2^53; dates become texts;
 * absent values are null. Closing the rows closes the bytes.
 *
 * @throws DataError when the file is damaged or has no rows; damage inside a column is found when it is
 * looked at.
 */
export function parquetRows(bytes: ByteSource, cache = new ColumnCache()): RowDataset {
  const { name } = bytes;
  const footer = attempt(`Reading dataset "${name}"`, () => readFooter(bytes));
  if (footer.rows === 0) throw new DataError(`Reading dataset "${name}": it holds no rows`);
  const starts: number[] = [];
  footer.groups.reduce((start, group) => {
    starts.push(start);
    return start + group.rows;
  }, 0);
  const length = footer.rows;
  return {
    name,
    length,
    get: (row) => {
      checkRow(row, { name, length });
      let group = starts.length - 1;
      while (starts[group] > row) group--;
      return lazyRow(footer, (column) => {
        const key = `${name}\n${group}\n${column}`;
        const leaves = footer.groups[group].columns.get(column)!;
        const values = cache.get(key, estimate(leaves), () =>
          attempt(
            `Reading dataset "${name}", column "${column}" of rows ${starts[group]} to ` +
              `${starts[group] + footer.groups[group].rows - 1}`,
            () => readColumn(bytes, footer, footer.groups[group], column),
          ));
        return plainValue(values[row - starts[group]]);
      });
    },
    place: (row) => `${name} row ${row}`,
    close: () => bytes.close(),
  };
}

/** An object whose values are read when they are looked at. */
function lazyRow({ columns }: Footer, read: (column: string) => unknown): Row {
  const row = {};
  for (const { name } of columns) {
    Object.defineProperty(row, name, { enumerable: true, get: () => read(name) });
  }
  return row;
}

function readColumn(
  bytes: ByteSource,
  footer: Footer,
  group: RowGroup,
  column: string,
): DecodedArray {
  const { tree } = footer.columns.find(({ name }) => name === column)!;
  const leaves = group.columns.get(column)!;
  const chunks = leaves.map(({ from, length, meta, path }) =>
    // A copy: decoded values may share its memory, and the next read reuses that of the source.
    readColumnChunk(bytes.read(from, length).slice(), meta, path, group.rows)
  );
  if (tree.children.length === 0) return chunks[0] ?? new Array(group.rows).fill(null);
  const parts = new Map(leaves.map(({ meta }, i) => [meta.path_in_schema.join("."), chunks[i]]));
  assembleNested(parts, tree, PARSERS);
  const values = parts.get(column);
  if (values?.length !== group.rows) throw new Error("its parts have different numbers of rows");
  return values;
}

/** Memory of a decoded column, roughly: texts of one byte a character, and what holds them. */
function estimate(leaves: readonly Leaf[]): number {
  return leaves.reduce(
    (sum, { meta }) =>
      sum + 2 * Number(meta.total_uncompressed_size) + 32 * Number(meta.num_values),
    0,
  );
}

/** A value as JSON would have it; bytes that are no text stay bytes. */
function plainValue(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Date) return isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, plainValue(member)]),
  );
}

/** Whatever a damaged file makes the decoders throw becomes one error that names it. */
function attempt<T>(doing: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(
      `${doing}: the Parquet data is damaged or not readable here (${(error as Error).message}), ` +
        `fetch or write the file again`,
      { cause: error },
    );
  }
}
