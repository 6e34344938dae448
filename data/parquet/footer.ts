/**
 * What a Parquet file says of itself: schema, row groups, and where the columns' chunks lie. Everything that
 * is later believed is checked against the size of the file.
 */
import { type ColumnMetaData, type FileMetaData, parquetMetadata, parquetSchema } from "hyparquet";
import type { SchemaTree } from "hyparquet";
import { getTreePath } from "hyparquet/src/schema.js";
import type { ByteSource } from "../byte_source.ts";
import { checkThrift } from "./thrift.ts";

const MAGIC = "PAR1";
const ENCRYPTED_MAGIC = "PARE";
const MAX_FOOTER_BYTES = 2 ** 28;

/** One leaf of a column in one row group. */
export interface Leaf {
  readonly meta: ColumnMetaData;
  /** Schema elements from the root to the leaf. */
  readonly path: SchemaTree[];
  /** Where its pages lie in the file. */
  readonly from: number;
  readonly length: number;
}

export interface RowGroup {
  readonly rows: number;
  /** By column: the leaves in the order of the schema. */
  readonly columns: ReadonlyMap<string, readonly Leaf[]>;
}

export interface Footer {
  readonly rows: number;
  readonly columns: readonly { readonly name: string; readonly tree: SchemaTree }[];
  readonly groups: readonly RowGroup[];
}

/** Whether bytes begin as Parquet files do. */
export function isParquet(bytes: ByteSource): boolean {
  return bytes.size >= 4 && textAt(bytes, 0) === MAGIC;
}

/**
 * Reads the end of a file.
 *
 * @throws Error when it is no Parquet file, or contradicts itself.
 */
export function readFooter(bytes: ByteSource): Footer {
  if (bytes.size < 12) throw new Error("it is too short");
  const magic = textAt(bytes, bytes.size - 4);
  if (magic === ENCRYPTED_MAGIC) throw new Error("it is encrypted");
  if (magic !== MAGIC || textAt(bytes, 0) !== MAGIC) {
    throw new Error(`it does not begin and end with ${MAGIC}: it is cut, or of another kind`);
  }
  const tail = bytes.read(bytes.size - 8, 4);
  const length = new DataView(tail.buffer, tail.byteOffset).getUint32(0, true);
  if (length > bytes.size - 12 || length > MAX_FOOTER_BYTES) {
    throw new Error(`its footer of ${length} bytes does not fit`);
  }
  const footer = bytes.read(bytes.size - 8 - length, length + 8).slice();
  if (checkThrift(footer.subarray(0, length), 0) !== length) {
    throw new Error("its footer does not end where it should");
  }
  return checkFooter(parquetMetadata(footer, { geoparquet: false }), bytes.size);
}

function textAt(bytes: ByteSource, at: number): string {
  return String.fromCharCode(...bytes.read(at, 4));
}

function checkFooter(metadata: FileMetaData, size: number): Footer {
  const tree = parquetSchema(metadata);
  const columns = tree.children.map((child) => ({ name: child.element.name, tree: child }));
  if (columns.length === 0) throw new Error("it has no columns");
  if (new Set(columns.map(({ name }) => name)).size < columns.length) {
    throw new Error("two of its columns have one name");
  }
  if (tree.count !== metadata.schema.length) throw new Error("its schema does not end");
  const leaves = leavesOf(tree);
  const groups = metadata.row_groups.map(({ columns: chunks, num_rows }): RowGroup => {
    const rows = wholeNumber(num_rows, "rows");
    if (chunks.length !== leaves.length) throw new Error("a row group lacks columns");
    const byColumn = new Map<string, Leaf[]>(columns.map(({ name }) => [name, []]));
    leaves.forEach((path, i) => {
      const { file_path, meta_data: meta } = chunks[i];
      if (file_path) throw new Error("its columns lie in other files");
      if (!meta) throw new Error("a column is encrypted or has no description");
      if (JSON.stringify(meta.path_in_schema) !== JSON.stringify(path)) {
        throw new Error("the columns of a row group are not those of the schema");
      }
      byColumn.get(path[0])!.push({ meta, path: getTreePath(tree, path), ...place(meta, size) });
    });
    return { rows, columns: byColumn };
  });
  const rows = groups.reduce((sum, group) => sum + group.rows, 0);
  if (rows !== Number(metadata.num_rows)) {
    throw new Error(`its row groups have ${rows} rows, the file says ${metadata.num_rows}`);
  }
  return { rows, columns, groups };
}

function leavesOf(tree: SchemaTree): string[][] {
  return tree.children.flatMap((child) =>
    child.children.length > 0
      ? leavesOf(child)
      // A group without members has no values; neither has a leaf without a type.
      : child.element.type
      ? [child.path]
      : []
  );
}

/** A chunk begins with its dictionary, where it has one. */
function place(meta: ColumnMetaData, size: number): { from: number; length: number } {
  const data = wholeNumber(meta.data_page_offset, "offset");
  const dictionary = Number(meta.dictionary_page_offset ?? 0);
  const from = dictionary > 0 && dictionary < data ? dictionary : data;
  const length = wholeNumber(meta.total_compressed_size, "size");
  if (from < 4 || from + length > size - 8) throw new Error("a column lies outside of the file");
  return { from, length };
}

function wholeNumber(value: bigint | number, what: string): number {
  const number = Number(value);
  if (!(Number.isSafeInteger(number) && number >= 0)) throw new Error(`a wrong ${what}: ${value}`);
  return number;
}
