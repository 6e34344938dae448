/**
 * Bytes of a weight file, read where they are needed: seek and `readSync` are several times faster
 * than `Deno.readFile` and hold nothing in memory. The formats above know nothing of files.
 */
import { ModelError, quoted, readingError } from "./error.ts";

/** Bytes of a file, or bytes already in memory. */
export interface ByteSource {
  readonly size: number;
  /** Fills `into` from byte `offset` on and returns the number of bytes there were. */
  readAt(offset: number, into: Uint8Array): number;
  close(): void;
}

/** A file on disk, open until `close`. @throws ModelError naming it: missing, not permitted, no file */
export function openByteSource(path: string): ByteSource {
  let file: Deno.FsFile;
  let size: number;
  try {
    // Asked first: opening a pipe would wait for a writer.
    if (!Deno.statSync(path).isFile) {
      throw new ModelError(`Cannot read ${quoted(path)}: it is not a file`);
    }
    file = Deno.openSync(path);
    size = file.statSync().size;
  } catch (error) {
    throw readingError(path, error);
  }
  return {
    size,
    readAt(offset, into) {
      file.seekSync(offset, Deno.SeekMode.Start);
      let done = 0;
      while (done < into.length) {
        const n = file.readSync(into.subarray(done));
        if (n === null || n === 0) break;
        done += n;
      }
      return done;
    },
    close() {
      file.close();
    },
  };
}

/** Bytes in memory as a source. */
export function bytesInMemory(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    readAt(offset, into) {
      const part = bytes.subarray(offset, offset + into.length);
      into.set(part);
      return part.length;
    },
    close() {},
  };
}

/**
 * Fills `into` from byte `offset` on.
 *
 * @param path for messages
 * @throws ModelError when the source ends before that: its size was checked when it was opened
 */
export function readExactly(
  source: ByteSource,
  path: string,
  offset: number,
  into: Uint8Array,
): void {
  const n = source.readAt(offset, into);
  if (n === into.length) return;
  throw new ModelError(
    `Cannot read ${quoted(path)}: it ended at byte ${
      offset + n
    }; it was changed since it was opened`,
  );
}
