/** Bytes with random access: a file that stays on disk, or memory. */
import { constants, gunzipSync } from "node:zlib";
import { DataError } from "./error.ts";

/** Where a dataset comes from: a file, or its content under a name used in messages. */
export type DataSource =
  | { readonly path: string }
  | { readonly name: string; readonly bytes: Uint8Array }
  | { readonly name: string; readonly text: string };

/** Random access to the bytes of a dataset, after decompression. */
export interface ByteSource {
  /** The path or name used in messages. */
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes from `offset`, valid until the next read. */
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

/** A compressed file is held in memory; a larger one must be decompressed by the user. */
const MAX_DECOMPRESSED_BYTES = 2 ** 31;

/**
 * Opens a source. A plain file stays on disk; gzip, known by its first two bytes whatever the file is
 * called, is decompressed into memory.
 *
 * @throws DataError when it cannot be opened, read or decompressed.
 */
export function openBytes(source: DataSource): ByteSource {
  if ("path" in source) return openFile(source.path);
  const bytes = "bytes" in source ? source.bytes : new TextEncoder().encode(source.text);
  return memorySource(source.name, bytes);
}

function memorySource(name: string, bytes: Uint8Array): ByteSource {
  const plain = isGzip(bytes) ? gunzip(name, bytes) : bytes;
  return {
    name,
    size: plain.length,
    read: (offset, length) => plain.subarray(offset, offset + length),
    close: () => {},
  };
}

function openFile(path: string): ByteSource {
  const file = attempt(path, () => Deno.openSync(path));
  let packed: Uint8Array | undefined;
  try {
    const info = attempt(path, () => file.statSync());
    if (info.isDirectory) {
      throw new DataError(
        `Reading dataset "${path}": it is a folder, name a .jsonl or .jsonl.gz file in it`,
      );
    }
    const size = info.size;
    const read = (offset: number, target: Uint8Array) =>
      attempt(path, () => readExactly(file, path, offset, target));
    if (!isGzip(read(0, new Uint8Array(Math.min(2, size))))) {
      let buffer = new Uint8Array(1 << 16);
      return {
        name: path,
        size,
        read: (offset, length) => {
          if (buffer.length < length) buffer = new Uint8Array(length);
          return read(offset, buffer.subarray(0, length));
        },
        close: () => file.close(),
      };
    }
    packed = read(0, new Uint8Array(size));
  } catch (error) {
    file.close();
    throw error;
  }
  file.close();
  return memorySource(path, packed);
}

/** Runs a file operation; its error becomes a DataError that names the file. */
function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`Reading dataset "${path}": ${describeFileError(error)}`, { cause: error });
  }
}

/** Fills `target` from `offset`; a read may return less than asked for. */
function readExactly(file: Deno.FsFile, path: string, offset: number, target: Uint8Array) {
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let filled = 0; filled < target.length;) {
    const count = file.readSync(target.subarray(filled));
    if (count === null) {
      throw new DataError(
        `Reading dataset "${path}": it ended at byte ${offset + filled}, ` +
          `shorter than when it was opened; do not change it during a run`,
      );
    }
    filled += count;
  }
  return target;
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function gunzip(name: string, bytes: Uint8Array): Uint8Array {
  try {
    // node:zlib, because DecompressionStream refuses files of several members (`cat a.gz b.gz`).
    return gunzipSync(bytes, {
      maxOutputLength: MAX_DECOMPRESSED_BYTES,
      finishFlush: constants.Z_FINISH,
    });
  } catch (error) {
    const tooLarge = (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
    throw new DataError(
      tooLarge
        ? `Decompressing dataset "${name}": more than ${MAX_DECOMPRESSED_BYTES} bytes, ` +
          `decompress it with gunzip and give the plain file, which is not held in memory`
        : `Decompressing dataset "${name}": the gzip data is broken (${
          (error as Error).message
        }), fetch or compress it again`,
      { cause: error },
    );
  }
}

function describeFileError(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file, check the path";
  if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied) {
    return "permission denied, allow reading this file";
  }
  return (error as Error).message;
}
