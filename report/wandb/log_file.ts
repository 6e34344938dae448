/**
 * The file of a W&B run, `run-ID.wandb`: a head of seven bytes, then records in the log format of
 * LevelDB (blocks of 32 KiB, a record in one or more fragments, each with checksum, length and type),
 * with CRC-32 in place of its CRC-32C. What differs from LevelDB was read off files of the client.
 */
import { crc32 } from "../checksum.ts";
import { attemptReport } from "../json_lines.ts";
import { writeWhole } from "../write_whole.ts";

const HEAD = Uint8Array.of(0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0);
const BLOCK = 32768;
/** Checksum (u32), length (u16) and type (u8) of a fragment. */
const FRAGMENT_HEAD = 7;
const FULL = 1, FIRST = 2, MIDDLE = 3, LAST = 4;

/** Where the first record begins. */
export const FIRST_RECORD = HEAD.length;

export interface StoredRecord {
  readonly data: Uint8Array;
  /** Where it begins, and where the next one does. */
  readonly begin: number;
  readonly end: number;
}

export class RunLog {
  readonly path: string;
  readonly #file: Deno.FsFile;
  #position: number;

  private constructor(path: string, file: Deno.FsFile, position: number) {
    this.path = path;
    this.#file = file;
    this.#position = position;
  }

  /** @throws ReportFileError when it is there already, or the file system refuses */
  static create(path: string): RunLog {
    return attemptReport("create", path, () => {
      const file = Deno.openSync(path, { write: true, createNew: true });
      writeWhole(file, HEAD);
      return new RunLog(path, file, HEAD.length);
    });
  }

  /**
   * Goes on at `end`; what the file has behind it is cut off.
   *
   * @throws ReportFileError when the file system refuses
   */
  static continue(path: string, end: number): RunLog {
    return attemptReport("open", path, () => {
      const file = Deno.openSync(path, { write: true });
      file.truncateSync(end);
      file.seekSync(end, Deno.SeekMode.Start);
      return new RunLog(path, file, end);
    });
  }

  /** Bytes up to the end of the last whole record. */
  get position(): number {
    return this.#position;
  }

  /** @throws ReportFileError when the file system refuses */
  append(record: Uint8Array): void {
    const bytes = fragments(record, this.#position);
    attemptReport("write", this.path, () => writeWhole(this.#file, bytes));
    this.#position += bytes.length;
  }

  close(): void {
    this.#file.close();
  }
}

/** A record as it is written at a place in the file. */
function fragments(record: Uint8Array, position: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let done = 0, first = true; first || done < record.length; first = false) {
    let left = BLOCK - position % BLOCK;
    if (left < FRAGMENT_HEAD) {
      parts.push(new Uint8Array(left));
      position += left;
      left = BLOCK;
    }
    const data = record.subarray(done, done + left - FRAGMENT_HEAD);
    done += data.length;
    const last = done === record.length;
    const type = first ? last ? FULL : FIRST : last ? LAST : MIDDLE;
    const head = new Uint8Array(FRAGMENT_HEAD);
    const view = new DataView(head.buffer);
    view.setUint32(0, crc32(Uint8Array.of(type), data), true);
    view.setUint16(4, data.length, true);
    view.setUint8(6, type);
    parts.push(head, data);
    position += FRAGMENT_HEAD + data.length;
  }
  return joinedParts(parts);
}

/**
 * The whole records of a log from `from` on, a block in memory at a time; ends where the file does, or
 * at the first byte that is no part of a whole record.
 *
 * @throws ReportFileError when the file cannot be read
 */
export function* readLog(path: string, from = FIRST_RECORD): Generator<StoredRecord> {
  using file = attemptReport("open", path, () => Deno.openSync(path, { read: true }));
  const size = attemptReport("read", path, () => file.statSync().size);
  const head = readAt(file, path, 0, Math.min(size, HEAD.length));
  if (head.length < HEAD.length || head.some((byte, i) => byte !== HEAD[i])) return;
  let position = from, begin = from;
  let parts: Uint8Array[] = [];
  while (position < size) {
    const blockEnd = position - position % BLOCK + BLOCK;
    const block = readAt(file, path, position, Math.min(size, blockEnd) - position);
    let at = 0;
    while (block.length - at >= FRAGMENT_HEAD) {
      const fragment = readFragment(block, at);
      const starts = fragment?.type === FULL || fragment?.type === FIRST;
      if (!fragment || starts !== (parts.length === 0)) return;
      if (starts) begin = position + at;
      parts.push(fragment.data);
      at += FRAGMENT_HEAD + fragment.data.length;
      if (fragment.type === FULL || fragment.type === LAST) {
        yield { data: joinedParts(parts), begin, end: position + at };
        parts = [];
      }
    }
    if (position + block.length < blockEnd) return;
    position = blockEnd;
  }
}

function readFragment(block: Uint8Array, at: number) {
  const view = new DataView(block.buffer, block.byteOffset + at, FRAGMENT_HEAD);
  const length = view.getUint16(4, true), type = view.getUint8(6);
  const data = block.subarray(at + FRAGMENT_HEAD, at + FRAGMENT_HEAD + length);
  if (type < FULL || type > LAST || data.length < length) return undefined;
  return crc32(Uint8Array.of(type), data) === view.getUint32(0, true) ? { type, data } : undefined;
}

function readAt(file: Deno.FsFile, path: string, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  return attemptReport("read", path, () => {
    file.seekSync(position, Deno.SeekMode.Start);
    let done = 0;
    while (done < length) {
      const read = file.readSync(bytes.subarray(done));
      if (read === null) break;
      done += read;
    }
    return bytes.subarray(0, done);
  });
}

function joinedParts(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
