/** Files and folders that are whole or absent, also after a crash: the steps both writers share. */
import { quoted } from "./error.ts";

/** Runs a file operation; a failure names `path`, keeping the system's error as cause. */
export function attemptWrite<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new Error(`Cannot write ${quoted(path)}: ${(error as Error).message}`, { cause: error });
  }
}

/** Writes all of `bytes`: `writeSync` may take fewer, on a full disk it does before it fails. */
export function writeAll(
  file: { writeSync(bytes: Uint8Array): number },
  bytes: Uint8Array,
): void {
  for (let done = 0; done < bytes.length;) {
    const n = file.writeSync(bytes.subarray(done));
    if (n <= 0) throw new Error("the file system accepts no more bytes");
    done += n;
  }
}

/** Writes a small file and waits until it is on disk. @throws Error naming `path` */
export function writeSynced(path: string, bytes: Uint8Array): void {
  attemptWrite(path, () => {
    using file = createFile(path);
    writeAll(file, bytes);
    file.syncSync();
  });
}

/** Opens a file for writing; whatever has the name is removed first, so that no link is followed. */
export function createFile(path: string): Deno.FsFile {
  removeTree(path);
  return Deno.openSync(path, { write: true, createNew: true });
}

/** Makes renames inside a folder durable; Windows knows no such call and needs none. */
export function syncFolder(dir: string): void {
  if (Deno.build.os === "windows") return;
  using folder = Deno.openSync(dir);
  folder.syncSync();
}

/** Removes a file, a link (not its target) or a folder with its contents, if there is one. */
export function removeTree(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The folder a path lies in. */
export function parentOf(path: string): string {
  const cut = path.search(/[/\\][^/\\]*$/);
  return cut < 0 ? "." : path.slice(0, cut) || "/";
}
