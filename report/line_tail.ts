/**
 * The lines that were appended to a file since the last look: a run's files grow while a page of it is
 * open. A line without its end is left for the next look, as the writer may be in the middle of it.
 */
import { attemptReport } from "./json_lines.ts";

/** A parsed line. */
export type JsonRecord = Readonly<Record<string, unknown>>;

export interface NewLines {
  readonly records: readonly JsonRecord[];
  /** Lines that are no JSON object: half a line that a crash left behind. */
  readonly broken: number;
  /** True when the file is shorter than it was: a resumed run has cut it, and all was read again. */
  readonly cut: boolean;
}

const NEWLINE = 10;

export class LineTail {
  #path: string;
  #position = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * What is new; nothing while the file is not there.
   *
   * @throws ReportFileError when the file system refuses
   */
  read(): NewLines {
    const bytes = attemptReport("read", this.#path, () => {
      try {
        return this.#newBytes();
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    });
    if (bytes === undefined) return { records: [], broken: 0, cut: false };
    const end = bytes.tail.lastIndexOf(NEWLINE) + 1;
    this.#position += end;
    const lines = new TextDecoder().decode(bytes.tail.subarray(0, end)).split("\n");
    const records: JsonRecord[] = [];
    let broken = 0;
    for (const line of lines) {
      if (line.trim() === "") continue;
      const record = parseRecord(line);
      if (record) records.push(record);
      else broken++;
    }
    return { records, broken, cut: bytes.cut };
  }

  #newBytes(): { tail: Uint8Array; cut: boolean } {
    using file = Deno.openSync(this.#path);
    const { size } = file.statSync();
    const cut = size < this.#position;
    if (cut) this.#position = 0;
    const tail = new Uint8Array(size - this.#position);
    file.seekSync(this.#position, Deno.SeekMode.Start);
    let filled = 0;
    while (filled < tail.length) {
      const read = file.readSync(tail.subarray(filled));
      if (read === null) break;
      filled += read;
    }
    return { tail: tail.subarray(0, filled), cut };
  }
}

function parseRecord(line: string): JsonRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const object = typeof value === "object" && value !== null && !Array.isArray(value);
    return object ? value as JsonRecord : undefined;
  } catch {
    return undefined;
  }
}
