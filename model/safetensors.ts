/**
 * Reading safetensors files: 8 bytes of header length, a JSON header, raw tensors. Nothing in a file is
 * believed before it is checked, and nothing is allocated by what a header claims beyond the file's own
 * size.
 */
import { bytesInMemory, type ByteSource, openByteSource, readExactly } from "./byte_source.ts";
import { ModelError, quoted } from "./error.ts";
import { bytesOf, decodeFloats, type FloatDtype, isFloatDtype } from "./dtype.ts";
import {
  elementCount,
  parseSafetensorsHeader,
  type TensorEntry,
  tensorError,
} from "./safetensors_header.ts";

/** What is known of a stored tensor before its values are read. */
export interface StoredTensor {
  /** As the file's format calls it. */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** Named tensors that can be read as float32, from one file or several. */
export interface TensorStore {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** File that holds the tensor, for messages. */
  fileOf(name: string): string;
  /**
   * Rows `rowFrom .. rowTo` (of the first dimension; default all) as float32. A scalar has one row.
   *
   * @throws ModelError: no such tensor, rows outside it, an element type that is not a float, read failed
   */
  readF32(name: string, rowFrom?: number, rowTo?: number): Float32Array<ArrayBuffer>;
  close(): void;
}

/** Longest header accepted, as in the format's own library. */
const MAX_HEADER_BYTES = 100_000_000;

/** Bytes converted at once; bounds the memory used beside the result. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** One safetensors file. The file stays open until `close`. */
export class SafetensorsFile implements TensorStore, Disposable {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly #source: ByteSource;
  readonly #dataStart: number;

  /**
   * Checks the header of `source` and takes ownership of it: it is closed when this throws.
   *
   * @param path for messages
   * @throws ModelError naming the file, and the tensor where there is one
   */
  constructor(source: ByteSource, path: string) {
    this.path = path;
    this.#source = source;
    try {
      const headerBytes = readHeaderLength(source, path);
      const bytes = new Uint8Array(headerBytes);
      this.#readExactly(8, bytes);
      this.#dataStart = 8 + headerBytes;
      const header = parseSafetensorsHeader(bytes, source.size - this.#dataStart, path);
      this.metadata = header.metadata;
      this.tensors = header.tensors;
    } catch (error) {
      source.close();
      throw error;
    }
  }

  /** Opens a file on disk. @throws ModelError naming it: missing, no file, malformed */
  static open(path: string): SafetensorsFile {
    return new SafetensorsFile(openByteSource(path), path);
  }

  /** A file already in memory. @throws ModelError when malformed */
  static fromBytes(bytes: Uint8Array, label = "memory"): SafetensorsFile {
    return new SafetensorsFile(bytesInMemory(bytes), label);
  }

  fileOf(_name: string): string {
    return this.path;
  }

  readF32(name: string, rowFrom = 0, rowTo?: number): Float32Array<ArrayBuffer> {
    const entry = this.tensors.get(name);
    if (entry === undefined) throw tensorError(this.path, name, "there is no such tensor");
    const { dtype, shape, begin } = entry;
    if (!isFloatDtype(dtype)) {
      throw tensorError(this.path, name, `its dtype ${dtype} is none of F32, F16, BF16, F64`);
    }
    const rows = shape.length === 0 ? 1 : shape[0];
    const to = rowTo ?? rows;
    if (!Number.isInteger(rowFrom) || !Number.isInteger(to) || rowFrom < 0 || to < rowFrom) {
      throw tensorError(this.path, name, `${rowFrom} to ${to} is not a range of rows`);
    }
    if (to > rows) throw tensorError(this.path, name, `row ${to} asked for, it has ${rows}`);
    const rowLength = elementCount(shape.slice(1));
    const out = new Float32Array((to - rowFrom) * rowLength);
    this.#readFloats(dtype, begin + rowFrom * rowLength * bytesOf(dtype), out);
    return out;
  }

  close(): void {
    this.#source.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #readFloats(dtype: FloatDtype, begin: number, out: Float32Array): void {
    const start = this.#dataStart + begin;
    if (dtype === "F32") {
      this.#readExactly(start, new Uint8Array(out.buffer, out.byteOffset, out.byteLength));
      return;
    }
    const width = bytesOf(dtype);
    const step = CHUNK_BYTES / width;
    const scratch = new Uint8Array(Math.min(step, out.length) * width);
    for (let i = 0; i < out.length; i += step) {
      const n = Math.min(step, out.length - i);
      const bytes = scratch.subarray(0, n * width);
      this.#readExactly(start + i * width, bytes);
      decodeFloats(dtype, bytes, out.subarray(i, i + n));
    }
  }

  #readExactly(offset: number, into: Uint8Array): void {
    readExactly(this.#source, this.path, offset, into);
  }
}

/** The length field, checked against the file's size. */
function readHeaderLength(source: ByteSource, path: string): number {
  const prefix = new Uint8Array(8);
  if (source.readAt(0, prefix) < 8) {
    throw new ModelError(
      `Cannot read ${quoted(path)}: ${source.size} bytes are too few for a safetensors file`,
    );
  }
  if (new TextDecoder().decode(prefix) === "version ") {
    throw new ModelError(
      `Cannot read ${quoted(path)}: this looks like a Git LFS pointer, not the weights; ` +
        `fetch them with "git lfs pull"`,
    );
  }
  // 64 bits: compared before it becomes a number, which could round.
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > BigInt(source.size - 8)) {
    throw new ModelError(
      `Cannot read ${
        quoted(path)
      }: its header should have ${length} bytes, but the file has only ` +
        `${source.size - 8} after the length; it is cut short or not a safetensors file`,
    );
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new ModelError(
      `Cannot read ${quoted(path)}: its header has ${length} bytes, more than ${MAX_HEADER_BYTES}`,
    );
  }
  return Number(length);
}
