/**
 * JSON lines as a dataset of rows. Only byte offsets are held in memory, rows are read and parsed when
 * asked for, so that a large file streams and can still be shuffled.
 */
import { type ByteSource, type DataSource, openBytes } from "./byte_source.ts";
import { DataError } from "./error.ts";
import type { RowDataset } from "./row_dataset.ts";
import {
  byteOrderMark,
  checkRowLength,
  objectRows,
  SCAN_BYTES,
  type SpanIndex,
  SpanIndexBuilder,
} from "./span_index.ts";

const NEWLINE = 10;

/**
 * Opens JSON lines, plain or compressed, in memory where it is compressed.
 *
 * @throws DataError as {@linkcode jsonLinesRows}, or when the file cannot be read.
 */
export function openJsonLines(source: DataSource): RowDataset {
  const bytes = openBytes(source);
  try {
    return jsonLinesRows(bytes);
  } catch (error) {
    bytes.close();
    throw error;
  }
}

/**
 * JSON lines as rows, one a line that is not blank. A byte order mark, CRLF, blank lines and a missing
 * last newline are accepted; of equal keys in an object the last one counts. Closing the rows closes
 * the bytes.
 *
 * @throws DataError when there is no row, or a line beyond `MAX_ROW_BYTES`.
 */
export function jsonLinesRows(bytes: ByteSource): RowDataset {
  const { name } = bytes;
  const index = indexLines(bytes);
  const { length } = index.starts;
  if (length === 0) {
    throw new DataError(`Reading dataset "${name}": it holds no rows, only blank lines`);
  }
  return objectRows(bytes, index);
}

/** Finds the lines by one pass over the bytes; newlines never occur inside a UTF-8 character. */
function indexLines(bytes: ByteSource): SpanIndex {
  const index = new SpanIndexBuilder();
  let line = 1;
  let start: number = byteOrderMark(bytes);
  let blank = true;
  const check = (length: number) =>
    checkRowLength(bytes.name, line, length, "write one JSON object a line");
  for (let offset = start; offset < bytes.size; offset += SCAN_BYTES) {
    const block = bytes.read(offset, Math.min(SCAN_BYTES, bytes.size - offset));
    for (let i = 0; i < block.length; i++) {
      const byte = block[i];
      if (byte === NEWLINE) {
        if (!blank) {
          check(offset + i - start);
          index.add(start, offset + i - start, line);
        }
        start = offset + i + 1;
        line++;
        blank = true;
      } else if (byte !== 32 && byte !== 9 && byte !== 13) {
        blank = false;
      }
    }
    // Also inside a line: a file without newlines ends here, not after it was read whole.
    check(offset + block.length - start);
  }
  if (!blank) index.add(start, bytes.size - start, line);
  return index.finish();
}
