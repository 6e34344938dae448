/** Bytes with random access: a file that stays on disk, or memory. */
import { decompress, packingOf } from "./decompress.ts";
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

/**
 * Opens a source. A plain file stays on disk; a compressed one, known by its first bytes whatever it is
 * called, is decompressed into memory.
 *
 * @param maxBytes bound of what is decompressed; without it that of `decompress`.
 * @throws DataError when it cannot be opened, read or decompressed; TooLarge beyond the bound.
 */
export function openBytes(source: DataSource, maxBytes?: number): ByteSource {
  if (!("path" in source)) {
    const bytes = "bytes" in source ? source.bytes : new TextEncoder().encode(source.text);
    return memorySource(source.name, bytes, maxBytes);
  }
  const file = openFile(source.path);
  try {
    const packing = packingOf(file.read(0, Math.min(4, file.size)));
    if (!packing) return file;
    const packed = file.read(0, file.size);
    file.close();
    return memorySource(source.path, packed, maxBytes);
  } catch (error) {
    file.close();
    throw error;
  }
}

function memorySource(name: string, bytes: Uint8Array, maxBytes?: number): ByteSource {
  const packing = packingOf(bytes);
  const plain = packing ? decompress(name, bytes, packing, maxBytes) : bytes;
  return {
    name,
    size: plain.length,
    read: (offset, length) => plain.subarray(offset, offset + length),
    close: () => {},
  };
}

/**
 * Opens a file as it is, compressed or not.
 *
 * @param name the name in messages, where it is not the path.
 * @throws DataError when it cannot be opened.
 */
export function openFile(path: string, name = path): ByteSource {
  const file = attempt(name, () => Deno.openSync(path));
  let closed = false;
  const close = () => {
    if (!closed) file.close();
    closed = true;
  };
  try {
    const info = attempt(name, () => file.statSync());
    if (info.isDirectory) {
      throw new DataError(`Reading dataset "${name}": it is a folder, name a file in it`);
    }
    let buffer = new Uint8Array(1 << 16);
    return {
      name,
      size: info.size,
      read: (offset, length) => {
        if (buffer.length < length) buffer = new Uint8Array(length);
        const target = buffer.subarray(0, length);
        return attempt(name, () => readExactly(file, name, offset, target));
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Runs a file operation; its error becomes a DataError that names the file. */
export function attempt<T>(path: string, action: () => T): T {
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

function describeFileError(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file, check the path";
  if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied) {
    return "permission denied, allow reading this file";
  }
  return (error as Error).message;
}
