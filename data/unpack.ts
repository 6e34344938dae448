/**
 * Compressed files that are too large for memory are decompressed once, into the cache folder; the copy
 * is found again by the file's place, size and time of change.
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { attempt, type ByteSource, type DataSource, openBytes, openFile } from "./byte_source.ts";
import { brokenData, type Packing, packingOf, TooLarge, zstdFrames } from "./decompress.ts";
import { DataError } from "./error.ts";

/** Where copies go, and how much is decompressed into memory instead, in bytes. */
export interface UnpackOptions {
  /** Absent: everything is decompressed into memory. */
  readonly cacheFolder?: string;
  /** Default 256 MiB. */
  readonly memoryBytes?: number;
}

const CHUNK_BYTES = 1 << 20;

/**
 * Opens a source for random access to its decompressed bytes.
 *
 * @throws DataError when it cannot be read, decompressed or, being large, written to the cache folder.
 */
export async function openUnpacked(
  source: DataSource,
  { cacheFolder, memoryBytes = 2 ** 28 }: UnpackOptions = {},
): Promise<ByteSource> {
  if (!("path" in source) || cacheFolder === undefined) return openBytes(source);
  const file = openFile(source.path);
  try {
    const packing = packingOf(file.read(0, Math.min(4, file.size)));
    if (!packing) return file;
    if (file.size <= memoryBytes) {
      try {
        const bytes = openBytes(source, memoryBytes);
        file.close();
        return bytes;
      } catch (error) {
        if (!(error instanceof TooLarge)) throw error;
      }
    }
    const copy = copyPlace(cacheFolder, source.path);
    if (!exists(copy)) await unpack(file, packing, copy);
    file.close();
    return openFile(copy, source.path);
  } catch (error) {
    file.close();
    throw error;
  }
}

function copyPlace(cacheFolder: string, path: string): string {
  return attempt(path, () => {
    const { size, mtime } = Deno.statSync(path);
    const key = JSON.stringify([Deno.realPathSync(path), size, mtime?.getTime()]);
    const hash = createHash("sha256").update(key).digest("hex").slice(0, 32);
    return `${cacheFolder}/unpacked/${hash}`;
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    // What is wrong with the folder is said where the copy is written.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

/** Writes the decompressed file beside its place, then moves it there: a copy is whole or absent. */
async function unpack(file: ByteSource, packing: Packing, copy: string): Promise<void> {
  const partial = `${copy}.${crypto.randomUUID()}.partial`;
  const failed = (error: unknown) =>
    new DataError(
      `Decompressing dataset "${file.name}" to "${copy}": ${(error as Error).message}; ` +
        `make room there, or decompress the file and give the plain one`,
      { cause: error },
    );
  let target: Deno.FsFile;
  try {
    Deno.mkdirSync(copy.slice(0, copy.lastIndexOf("/")), { recursive: true });
    target = Deno.openSync(partial, { write: true, createNew: true });
  } catch (error) {
    throw failed(error);
  }
  let writing: unknown;
  try {
    const write = (bytes: Uint8Array) => {
      try {
        for (let done = 0; done < bytes.length;) done += target.writeSync(bytes.subarray(done));
      } catch (error) {
        writing = error;
        throw error;
      }
    };
    await decompressTo(file, packing, write);
    target.syncDataSync();
    target.close();
    Deno.renameSync(partial, copy);
  } catch (error) {
    try {
      target.close();
    } catch {
      // It was closed before the move.
    }
    Deno.removeSync(partial);
    if (error instanceof DataError) throw error;
    throw writing === undefined ? brokenData(file.name, packing, error) : failed(writing);
  }
}

async function decompressTo(
  file: ByteSource,
  packing: Packing,
  write: (bytes: Uint8Array) => void,
): Promise<void> {
  const parts: Iterable<[number, number]> = packing === "gzip"
    ? [[0, file.size]]
    : zstdFrames(file.size, file.read);
  for (const [from, to] of parts) {
    const stream = packing === "gzip" ? createGunzip() : createZstdDecompress();
    await pipe(file, from, to, stream, write);
  }
}

/** Feeds bytes `from` to `to` into a decoder, a chunk at a time, and waits for what comes out. */
function pipe(
  file: ByteSource,
  from: number,
  to: number,
  stream: Transform,
  write: (bytes: Uint8Array) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      stream.destroy();
      reject(error);
    };
    stream.on("error", fail);
    stream.on("end", resolve);
    stream.on("data", (bytes: Uint8Array) => {
      try {
        write(bytes);
      } catch (error) {
        fail(error);
      }
    });
    const feed = (at: number) => {
      if (stream.destroyed) return;
      if (at >= to) return void stream.end();
      try {
        const chunk = file.read(at, Math.min(CHUNK_BYTES, to - at));
        // A copy: the next read fills the same memory.
        stream.write(Buffer.from(chunk), (error) => error ? fail(error) : feed(at + chunk.length));
      } catch (error) {
        fail(error);
      }
    };
    feed(from);
  });
}
