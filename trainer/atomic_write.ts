/**
 * Files and folders that are whole or invisible.
 *
 * A file is written under a temporary name, synced and renamed; the folder is synced after the
 * rename, because only then is the new name on the disk. `Deno.FsFile.write` may write less than it
 * was given and report the full disk only at the next call, so every write loops.
 *
 * File operations come in as an argument: the tests fail each of them in turn.
 */
import { attempt } from "./file_error.ts";

export interface OpenFile {
  write(bytes: Uint8Array): Promise<number>;
  sync(): Promise<void>;
  close(): void;
}

/** The file operations that saving is made of. */
export interface FileOperations {
  mkdir(path: string): Promise<void>;
  create(path: string): Promise<OpenFile>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a whole folder; a missing one is fine. */
  remove(path: string): Promise<void>;
}

/** The operations of this system. */
export const diskOperations: FileOperations = {
  mkdir: (path) => Deno.mkdir(path, { recursive: true }),
  create: (path) => Deno.open(path, { write: true, create: true, truncate: true }),
  async syncFolder(path) {
    // Windows can neither open nor sync a folder; its file system orders renames by itself.
    if (Deno.build.os === "windows") return;
    const folder = await Deno.open(path);
    try {
      await folder.sync();
    } finally {
      folder.close();
    }
  },
  rename: (from, to) => Deno.rename(from, to),
  async remove(path) {
    try {
      await Deno.remove(path, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  },
};

export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Part of `path` before the last separator, or `.`. */
export function folderOf(path: string): string {
  const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  return cut < 0 ? "." : path.slice(0, Math.max(1, cut));
}

/**
 * Writes all chunks to a new file and syncs it. Calls `onBytes` with each chunk, once written. What
 * the chunks themselves throw passes through unchanged.
 *
 * @throws FileError naming the path when an operation fails; the file is then incomplete
 */
export async function writeWholeFile(
  operations: FileOperations,
  path: string,
  chunks: Chunks,
  onBytes?: (bytes: Uint8Array) => void,
): Promise<void> {
  const file = await attempt("create", path, () => operations.create(path));
  try {
    for await (const chunk of chunks) {
      await attempt("write", path, () => writeAll(file, chunk));
      onBytes?.(chunk);
    }
    await attempt("sync", path, () => file.sync());
  } finally {
    file.close();
  }
}

async function writeAll(file: OpenFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const written = await file.write(bytes.subarray(done));
    if (!(written > 0)) throw new Error("the file system takes no more bytes");
    done += written;
  }
}

/**
 * Replaces `path` by a file of these chunks: afterwards the old content or the new one is there,
 * whole, whatever operation fails.
 *
 * @throws FileError naming the path when an operation fails
 */
export async function atomicWriteFile(
  operations: FileOperations,
  path: string,
  chunks: Chunks,
): Promise<void> {
  // A name of its own: two processes may write the same file at once, and the last one wins whole.
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await writeWholeFile(operations, temporary, chunks);
    await attempt("rename", temporary, () => operations.rename(temporary, path));
    await attempt("sync", folderOf(path), () => operations.syncFolder(folderOf(path)));
  } catch (error) {
    await removeQuietly(operations, temporary);
    throw error;
  }
}

/**
 * Makes the folder `path` appear with everything `fill` writes into the temporary folder it is
 * given, or not at all. A folder of that name must not be there, its parent must.
 *
 * @throws FileError naming the path when an operation fails; what `fill` throws
 */
export async function atomicWriteFolder(
  operations: FileOperations,
  path: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  const parent = folderOf(path);
  const temporary = `${parent}/${TEMPORARY_PREFIX}${path.slice(parent.length + 1)}`;
  try {
    await attempt("remove", temporary, () => operations.remove(temporary));
    await attempt("create", temporary, () => operations.mkdir(temporary));
    await fill(temporary);
    await attempt("sync", temporary, () => operations.syncFolder(temporary));
    await attempt("rename", temporary, () => operations.rename(temporary, path));
    await attempt("sync", parent, () => operations.syncFolder(parent));
  } catch (error) {
    await removeQuietly(operations, temporary);
    throw error;
  }
}

/** Names that begin so belong to a write that did not end; they may be removed at any start. */
export const TEMPORARY_PREFIX = ".tmp-";

/** Cleaning up after a failure must not hide the failure. */
async function removeQuietly(operations: FileOperations, path: string): Promise<void> {
  try {
    await operations.remove(path);
  } catch {
    // A left-over temporary is removed at the next start.
  }
}
