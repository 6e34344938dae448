/**
 * The header of a safetensors file, checked against the format and the file's size before anything is
 * allocated by what it says. Offsets must be without holes or overlap and cover the whole data part.
 */
import { bitsOf, type Dtype, isDtype } from "./dtype.ts";
import { ModelError, quoted } from "./error.ts";
import { decodeUtf8, isJsonObject, parseStrictJson } from "./strict_json.ts";

/** Where a tensor lies: `begin` and `end` are bytes from the start of the data part. */
export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** The checked header of a file. */
export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/**
 * Checks a header against the format and against the size of the data that follows.
 *
 * @param header the JSON bytes, without the 8 length bytes
 * @param dataBytes size of the data part
 * @throws ModelError naming `file` and the tensor
 */
export function parseSafetensorsHeader(
  header: Uint8Array,
  dataBytes: number,
  file: string,
): SafetensorsHeader {
  const root = parseStrictJson(decodeUtf8(header, file), file, { naturalNumbers: true });
  if (!isJsonObject(root)) {
    throw new ModelError(`Cannot read ${quoted(file)}: its header must be a JSON object`);
  }
  const entries: [string, TensorEntry][] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const name of Object.keys(root)) {
    if (name === "__metadata__") metadata = checkMetadata(root[name], file);
    else entries.push([name, checkEntry(name, root[name], file)]);
  }
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const [name, { begin, end }] of entries) {
    if (begin !== position) {
      throw tensorError(
        file,
        name,
        `its data begins at byte ${begin}, but the data before it ends at byte ${position}`,
      );
    }
    if (end > dataBytes) {
      throw tensorError(
        file,
        name,
        `its data ends at byte ${end}, but the file has only ${dataBytes} bytes of data`,
      );
    }
    position = end;
  }
  if (position !== dataBytes) {
    throw new ModelError(
      `Cannot read ${quoted(file)}: the tensors take ${position} bytes, the file has ${dataBytes}`,
    );
  }
  return { metadata, tensors: new Map(entries) };
}

function checkMetadata(value: unknown, file: string): ReadonlyMap<string, string> {
  if (value === null) return new Map();
  const entries = isJsonObject(value) ? Object.entries(value) : undefined;
  if (entries === undefined || entries.some(([, text]) => typeof text !== "string")) {
    throw new ModelError(`Cannot read ${quoted(file)}: __metadata__ must map names to strings`);
  }
  return new Map(entries as [string, string][]);
}

function checkEntry(name: string, value: unknown, file: string): TensorEntry {
  if (!name.isWellFormed()) throw tensorError(file, name, "its name is not valid Unicode");
  if (!isJsonObject(value)) throw tensorError(file, name, "its entry must be a JSON object");
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) throw tensorError(file, name, `unknown dtype ${quoted(dtype)}`);
  if (!isNaturalArray(shape)) {
    throw tensorError(file, name, `shape ${quoted(shape)} must be non-negative safe integers`);
  }
  if (!isNaturalArray(offsets) || offsets.length !== 2 || offsets[1] < offsets[0]) {
    throw tensorError(
      file,
      name,
      `data_offsets ${quoted(offsets)} must be [begin, end] with begin at most end`,
    );
  }
  const [begin, end] = offsets;
  const bits = elementCount(shape) * bitsOf(dtype);
  if (!Number.isSafeInteger(bits)) {
    throw tensorError(file, name, `shape ${quoted(shape)} is too large`);
  }
  if (bits !== (end - begin) * 8) {
    throw tensorError(
      file,
      name,
      `shape ${quoted(shape)} of ${dtype} takes ${bits / 8} bytes, data_offsets give ${
        end - begin
      }`,
    );
  }
  return { dtype, shape, begin, end };
}

function isNaturalArray(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

/**
 * Number of values in a tensor of this shape, 1 for a scalar; NaN as soon as a partial product is no
 * safe integer, so that rounding can hide nothing.
 */
export function elementCount(shape: readonly number[]): number {
  let n = 1;
  for (const size of shape) {
    n *= size;
    if (!Number.isSafeInteger(n)) return NaN;
  }
  return n;
}

/** The error for one tensor of a file. */
export function tensorError(file: string, name: string, problem: string): ModelError {
  return new ModelError(`Cannot read ${quoted(file)}: tensor ${quoted(name)}: ${problem}`);
}
