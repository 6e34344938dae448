/**
 * An append-only file of JSON lines whose length is recorded in checkpoints.
 *
 * On resume the file is cut to the recorded length, so a killed run leaves neither a doubled nor a
 * half line. Lines go out at once; `sync` makes them durable before a checkpoint refers to them.
 */

import { writeWhole } from "./write_whole.ts";

/** A report's file that cannot be read or written as it must be: the file system's fault, no bug. */
export class ReportFileError extends Error {
  override name = "ReportFileError";
}

/**
 * Runs one file operation.
 *
 * @param what the operation as a verb, e.g. `write`
 * @throws ReportFileError naming the operation and the path; `cause` is what the system said
 */
export function attemptReport<T>(what: string, path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ReportFileError(`Cannot ${what} "${path}": ${reason}`, { cause: error });
  }
}

export class JsonLinesFile {
  #file: Deno.FsFile;
  #position: number;

  private constructor(readonly path: string, file: Deno.FsFile, position: number) {
    this.#file = file;
    this.#position = position;
  }

  /**
   * Checks that the file can be continued at `position` bytes; changes nothing.
   *
   * @throws ReportFileError when it holds fewer: it is not the file of that checkpoint
   */
  static check(path: string, position: number): void {
    const size = attemptReport("read", path, () => {
      try {
        return Deno.statSync(path).size;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return 0;
        throw error;
      }
    });
    if (size >= position) return;
    throw new ReportFileError(
      `Cannot continue "${path}": the checkpoint was made when it had ${position} bytes, ` +
        `now it has ${size}; put the file back or start in a new output folder`,
    );
  }

  /**
   * Opens or creates the file and cuts it to `position` bytes.
   *
   * @throws ReportFileError when the file holds fewer bytes than that, or the file system refuses
   */
  static open(path: string, position: number): JsonLinesFile {
    JsonLinesFile.check(path, position);
    return attemptReport("open", path, () => {
      const file = Deno.openSync(path, { read: true, write: true, create: true });
      try {
        file.truncateSync(position);
        file.seekSync(position, Deno.SeekMode.Start);
      } catch (error) {
        file.close();
        throw error;
      }
      return new JsonLinesFile(path, file, position);
    });
  }

  /** Bytes written so far. */
  get position(): number {
    return this.#position;
  }

  /**
   * Writes one line.
   *
   * @throws ReportFileError when the file system refuses
   */
  append(record: Readonly<Record<string, unknown>>): void {
    const bytes = new TextEncoder().encode(JSON.stringify(record) + "\n");
    attemptReport("write", this.path, () => writeWhole(this.#file, bytes));
    this.#position += bytes.length;
  }

  /** @throws ReportFileError when the file system refuses */
  sync(): void {
    attemptReport("sync", this.path, () => this.#file.syncSync());
  }

  close(): void {
    this.#file.close();
  }
}

/**
 * The text of a file; empty where there is none.
 *
 * @throws ReportFileError when the file system refuses
 */
export function readTextIfThere(path: string): string {
  return attemptReport("read", path, () => {
    try {
      return Deno.readTextFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  });
}
