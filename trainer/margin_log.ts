/**
 * The margins of every pair on disk: `epoch_000/step_00001.npy` (float32) and one line a record in
 * `margins.jsonl`, in the layout and with the fields of dynamic-dpo-v1, plus `rows`, `beta_used` and
 * `dropped_rows`.
 *
 * There, all micro-batches of an accumulation window share the name of one .npy, so all but the last
 * are lost; here a record is an optimizer step, or a micro-batch with a name of its own.
 */
import { marginRecord } from "../losses/margin_record.ts";
import { JsonLinesFile } from "../report/json_lines.ts";
import { folderOf } from "./atomic_write.ts";
import { attemptSync } from "./file_error.ts";

export interface MarginLogSettings {
  readonly folder: string;
  /** Margins of a record written into its line; 0 writes all. */
  readonly sampleSize: number;
  /** What a record is. Default `step`. */
  readonly granularity?: "step" | "micro";
}

/** Margins of one decision set. */
export interface MarginPart {
  /** Dataset row ids, [B]. */
  readonly rows: Uint32Array;
  /** [B], without beta. */
  readonly margins: Float64Array;
  /** One beta, or one for each pair; absent for a mode without one. */
  readonly beta?: number | Float64Array;
  /** [B], weight of each pair in the loss; absent: all have one. */
  readonly weights?: Float64Array;
}

const LINES = "margins.jsonl";

export class MarginLog {
  #settings: MarginLogSettings;
  #lines: JsonLinesFile;
  #unsynced: string[] = [];

  private constructor(settings: MarginLogSettings, lines: JsonLinesFile) {
    this.#settings = settings;
    this.#lines = lines;
  }

  /**
   * Checks that the log can be opened at `position`; changes nothing.
   *
   * @throws ReportFileError when `margins.jsonl` is shorter than that
   */
  static check({ folder }: MarginLogSettings, position: number): void {
    JsonLinesFile.check(`${folder}/${LINES}`, position);
  }

  /**
   * Opens or makes the log as it was after `finished` steps, when `margins.jsonl` had `position`
   * bytes: later lines and files are removed.
   *
   * @throws ReportFileError when `margins.jsonl` is shorter than that; FileError when the file system
   * refuses
   */
  static open(settings: MarginLogSettings, position: number, finished: number): MarginLog {
    const { folder } = settings;
    MarginLog.check(settings, position);
    attemptSync("create", folder, () => Deno.mkdirSync(folder, { recursive: true }));
    const entries = (path: string) => attemptSync("read", path, () => [...Deno.readDirSync(path)]);
    for (const epoch of entries(folder)) {
      if (!epoch.isDirectory || !/^epoch_\d{3,}$/.test(epoch.name)) continue;
      for (const file of entries(`${folder}/${epoch.name}`)) {
        const step = /^step_(\d{5,})(_micro_\d+)?\.npy$/.exec(file.name)?.[1];
        if (step === undefined || Number(step) <= finished) continue;
        const path = `${folder}/${epoch.name}/${file.name}`;
        attemptSync("remove", path, () => Deno.removeSync(path));
      }
    }
    return new MarginLog(settings, JsonLinesFile.open(`${folder}/${LINES}`, position));
  }

  /** Bytes of `margins.jsonl`. */
  get position(): number {
    return this.#lines.position;
  }

  /**
   * Writes the margins of one optimizer step.
   *
   * @param epoch 0-based epoch of the step
   * @param step 1-based optimizer step
   * @param parts decision sets of the step, in order
   */
  write(epoch: number, step: number, parts: readonly MarginPart[]): void {
    const name = `epoch_${pad(epoch, 3)}/step_${pad(step, 5)}`;
    if (this.#settings.granularity === "micro") {
      parts.forEach((part, i) =>
        this.#record(epoch, step, `${name}_micro_${pad(i, 2)}.npy`, [part])
      );
    } else {
      this.#record(epoch, step, `${name}.npy`, parts);
    }
  }

  /** Makes everything written durable, before a checkpoint refers to it. */
  sync(): void {
    for (const path of this.#unsynced) {
      attemptSync("sync", path, () => {
        using file = Deno.openSync(path, { write: true });
        file.syncSync();
      });
    }
    this.#unsynced = [];
    this.#lines.sync();
  }

  close(): void {
    this.#lines.close();
  }

  #record(epoch: number, step: number, npy: string, parts: readonly MarginPart[]): void {
    const margins = Float64Array.from(parts.flatMap((part) => [...part.margins]));
    const betas = parts.flatMap(({ beta, rows }) =>
      typeof beta === "object" ? [...beta] : Array.from(rows, () => beta ?? null)
    );
    const path = `${this.#settings.folder}/${npy}`;
    attemptSync("create", folderOf(path), () => {
      Deno.mkdirSync(folderOf(path), { recursive: true });
    });
    attemptSync("write", path, () => writeFile(path, encodeNpy(Float32Array.from(margins))));
    this.#unsynced.push(path);
    const { sample, ...distribution } = marginRecord(margins, this.#settings.sampleSize);
    this.#lines.append({
      epoch,
      step,
      ...distribution,
      npy,
      sample,
      rows: parts.flatMap(({ rows }) => [...rows]),
      beta_used: betas.every((beta) => beta === betas[0]) ? betas[0] : betas,
      dropped_rows: parts.flatMap(({ rows, weights }) =>
        [...rows].filter((_, i) => weights?.[i] === 0)
      ),
    });
  }
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}

function writeFile(path: string, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  for (let done = 0; done < bytes.length;) {
    const written = file.writeSync(bytes.subarray(done));
    if (!(written > 0)) throw new Error("the file system takes no more bytes");
    done += written;
  }
}

/**
 * A one-dimensional float32 array as a NumPy file of format version 1.0 (numpy.lib.format): magic,
 * version, u16 length of the header, the header padded so that the data starts at a multiple of 64.
 */
export function encodeNpy(values: Float32Array): Uint8Array {
  const fields = `{'descr': '<f4', 'fortran_order': False, 'shape': (${values.length},), }`;
  const prefix = 10;
  const total = Math.ceil((prefix + fields.length + 1) / 64) * 64;
  const bytes = new Uint8Array(total + values.byteLength);
  bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0]);
  const view = new DataView(bytes.buffer);
  view.setUint16(8, total - prefix, true);
  bytes.set(new TextEncoder().encode(fields.padEnd(total - prefix - 1) + "\n"), prefix);
  values.forEach((value, i) => view.setFloat32(total + 4 * i, value, true));
  return bytes;
}
