/**
 * Writing safetensors files. Names and shapes are known first, so the header is written once and the
 * tensors follow as they come, each to its place: never more than one tensor in memory. Equal
 * input gives equal bytes.
 */
import { ModelError, quoted } from "./error.ts";
import { bytesOf, encodeFloats, firstNonFinite, type StoredDtype } from "./dtype.ts";
import { elementCount } from "./safetensors_header.ts";
import {
  attemptWrite,
  createFile,
  parentOf,
  removeTree,
  syncFolder,
  writeAll,
} from "./durable_file.ts";

/** Name, shape and stored type of a tensor, known before its values. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: StoredDtype;
}

/** The part of `Deno.FsFile` the writer uses; tests pass their own. */
export interface WritableFile {
  seekSync(offset: number, whence: Deno.SeekMode): number;
  writeSync(bytes: Uint8Array): number;
  syncSync(): void;
  close(): void;
}

/** Elements converted at once; bounds the memory used beside the tensor. */
const CHUNK_ELEMENTS = 1024 * 1024;

const DEFAULT_METADATA = { format: "pt" };

/** First bytes of a file (length and header), and where each tensor's data goes, from its start on. */
export interface SafetensorsLayout {
  readonly head: Uint8Array<ArrayBuffer>;
  readonly places: ReadonlyMap<string, { readonly spec: TensorSpec; readonly offset: number }>;
  readonly totalBytes: number;
}

/**
 * Lays a file out: tensors in the given order without gaps, header padded with blanks so that the data
 * starts at a multiple of 8.
 *
 * @throws ModelError when a name is used twice or reserved, or a shape is not of non-negative integers
 */
export function layoutSafetensors(
  specs: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>> = DEFAULT_METADATA,
): SafetensorsLayout {
  const parts = [`"__metadata__":${JSON.stringify(metadata)}`];
  const relative = new Map<string, { spec: TensorSpec; offset: number }>();
  let end = 0;
  for (const spec of specs) {
    const { name, shape, dtype } = spec;
    if (relative.has(name) || name === "__metadata__" || !name.isWellFormed()) {
      throw new ModelError(
        `Cannot write tensor ${quoted(name)}: its name is used twice or reserved`,
      );
    }
    if (!shape.every((n) => n >= 0) || Number.isNaN(elementCount(shape))) {
      throw new ModelError(`Cannot write tensor ${quoted(name)}: bad shape ${quoted(shape)}`);
    }
    const begin = end;
    end += elementCount(shape) * bytesOf(dtype);
    relative.set(name, { spec, offset: begin });
    const entry = { dtype, shape, data_offsets: [begin, end] };
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const json = new TextEncoder().encode(`{${parts.join(",")}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8 + headerBytes).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
  head.set(json, 8);
  const places = new Map<string, { spec: TensorSpec; offset: number }>();
  for (const [name, { spec, offset }] of relative) {
    places.set(name, { spec, offset: head.length + offset });
  }
  return { head, places, totalBytes: head.length + end };
}

/**
 * Writes one file. Tensors may come in any order, each exactly once. Until `finish` only a temporary
 * file beside `path` exists; `finish` syncs it and renames it, so that `path` is whole or absent (or
 * still the old one). Not finished when disposed: the temporary file is removed.
 *
 * @example
 *     using writer = new SafetensorsWriter(path, specs);
 *     for (const { name, data } of tensors) writer.write(name, data);
 *     writer.finish();
 */
export class SafetensorsWriter implements Disposable {
  readonly #path: string;
  readonly #temporary: string;
  readonly #file: WritableFile;
  readonly #layout: SafetensorsLayout;
  readonly #missing: Set<string>;
  #open = true;

  /**
   * @param openFile for tests: opens the temporary file
   * @throws ModelError for bad specs; Error naming the path when the file system refuses
   */
  constructor(
    path: string,
    specs: readonly TensorSpec[],
    options: {
      readonly metadata?: Readonly<Record<string, string>>;
      readonly openFile?: (path: string) => WritableFile;
    } = {},
  ) {
    this.#layout = layoutSafetensors(specs, options.metadata);
    this.#missing = new Set(this.#layout.places.keys());
    this.#path = path;
    this.#temporary = `${path}.tmp`;
    this.#file = attemptWrite(this.#path, () => (options.openFile ?? createFile)(this.#temporary));
    try {
      this.#writeAt(0, this.#layout.head);
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /**
   * Writes the values of one tensor.
   *
   * @param data row-major, as many as the shape says
   * @throws ModelError: unknown or repeated name, wrong length, a finite value too large for the type;
   * Error naming the path when writing fails
   */
  write(name: string, data: Float32Array): void {
    const place = this.#layout.places.get(name);
    if (place === undefined || !this.#missing.has(name)) {
      throw new ModelError(
        `Cannot write ${quoted(this.#path)}: tensor ${quoted(name)} is ` +
          (place === undefined ? "not announced" : "written twice"),
      );
    }
    const { spec, offset } = place;
    if (data.length !== elementCount(spec.shape)) {
      throw new ModelError(
        `Cannot write ${quoted(this.#path)}: tensor ${quoted(name)} has ${data.length} values, ` +
          `its shape ${quoted(spec.shape)} says ${elementCount(spec.shape)}`,
      );
    }
    for (const { at, bytes } of encodeChunks(spec, data, this.#path)) {
      this.#writeAt(offset + at, bytes);
    }
    this.#missing.delete(name);
  }

  /** Makes the file durable and visible. @throws ModelError naming a tensor that was not written */
  finish(): void {
    for (const name of this.#missing) {
      throw new ModelError(
        `Cannot write ${quoted(this.#path)}: tensor ${quoted(name)} was never written`,
      );
    }
    attemptWrite(this.#path, () => {
      // The bytes first: a rename that is durable before them would show a torn file.
      this.#file.syncSync();
      this.#open = false;
      this.#file.close();
      try {
        Deno.renameSync(this.#temporary, this.#path);
      } catch (error) {
        removeTree(this.#temporary);
        throw error;
      }
      syncFolder(parentOf(this.#path));
    });
  }

  /** Drops what was written. Does nothing after `finish`. */
  abort(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#file.close();
    removeTree(this.#temporary);
  }

  [Symbol.dispose](): void {
    this.abort();
  }

  #writeAt(offset: number, bytes: Uint8Array): void {
    attemptWrite(this.#path, () => {
      this.#file.seekSync(offset, Deno.SeekMode.Start);
      writeAll(this.#file, bytes);
    });
  }
}

/**
 * A whole file in memory.
 *
 * @throws ModelError as `layoutSafetensors` and `SafetensorsWriter.write`
 */
export function encodeSafetensors(
  tensors: readonly (TensorSpec & { readonly data: Float32Array })[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const specs = tensors.map(({ name, shape, dtype }) => ({ name, shape, dtype }));
  const { head, places, totalBytes } = layoutSafetensors(specs, metadata);
  const out = new Uint8Array(totalBytes);
  out.set(head);
  for (const { name, data } of tensors) {
    const { spec, offset } = places.get(name)!;
    if (data.length !== elementCount(spec.shape)) {
      throw new ModelError(
        `Cannot write tensor ${quoted(name)}: ${data.length} values do not fill ${
          quoted(spec.shape)
        }`,
      );
    }
    for (const { at, bytes } of encodeChunks(spec, data, "memory")) out.set(bytes, offset + at);
  }
  return out;
}

function* encodeChunks(
  { name, dtype }: TensorSpec,
  data: Float32Array,
  file: string,
): Generator<{ at: number; bytes: Uint8Array }> {
  for (let i = 0; i < data.length; i += CHUNK_ELEMENTS) {
    const values = data.subarray(i, i + CHUNK_ELEMENTS);
    const bytes = encodeFloats(dtype, values);
    if (dtype !== "F32") refuseOverflow(values, bytes, dtype, name, i, file);
    yield { at: i * bytesOf(dtype), bytes };
  }
}

/** A finite value must not become infinite by being stored in fewer bits. */
function refuseOverflow(
  values: Float32Array,
  bytes: Uint8Array,
  dtype: StoredDtype,
  name: string,
  first: number,
  file: string,
): void {
  const exponent = dtype === "F16" ? 0x7c00 : 0x7f80;
  const stored = new Uint16Array(bytes.buffer, bytes.byteOffset, values.length);
  for (let i = 0; i < stored.length; i++) {
    if ((stored[i] & exponent) !== exponent) continue;
    if (firstNonFinite(values.subarray(i, i + 1)) === 0) continue;
    throw new ModelError(
      `Cannot write ${quoted(file)}: ${values[i]} at index ${first + i} of tensor ${
        quoted(name)
      } ` +
        `is too large for ${dtype}; choose a wider precision`,
    );
  }
}
