/** One GGUF file: metadata, and tensors whose rows are turned into float32 when they are asked for. */
import { bytesInMemory, type ByteSource, openByteSource, readExactly } from "../byte_source.ts";
import { ModelError, quoted } from "../error.ts";
import { elementCount, tensorError } from "../safetensors_header.ts";
import { dequantize } from "./dequantize.ts";
import { type GgufHeader, type GgufTensor, metadataError, readGgufHeader } from "./header.ts";
import { blockOf, isReadable, READABLE, type ReadableType } from "./tensor_types.ts";
import type { GgufMetadata } from "./value_types.ts";

/** Bytes converted at once; bounds the memory used beside the result. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/** The file stays open until `close`. */
export class GgufFile implements Disposable {
  readonly path: string;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly #source: ByteSource;

  /**
   * Checks the header of `source` and takes ownership of it: it is closed when this throws.
   *
   * @param path for messages
   * @throws ModelError naming the file, and the key or tensor where there is one
   */
  constructor(source: ByteSource, path: string) {
    this.path = path;
    this.#source = source;
    let header: GgufHeader;
    try {
      header = readGgufHeader(source, path);
      refuseParts(header.metadata, path);
    } catch (error) {
      source.close();
      throw error;
    }
    this.metadata = header.metadata;
    this.tensors = header.tensors;
  }

  /** Opens a file on disk. @throws ModelError naming it: missing, no file, malformed */
  static open(path: string): GgufFile {
    return new GgufFile(openByteSource(path), path);
  }

  /** A file already in memory. @throws ModelError when malformed */
  static fromBytes(bytes: Uint8Array, label = "memory"): GgufFile {
    return new GgufFile(bytesInMemory(bytes), label);
  }

  /**
   * Rows `from .. to` of a tensor under the file's own name; a row is the last dimension, all others
   * are rows. Only these rows are read.
   *
   * @throws ModelError: no such tensor, rows outside it, a type that is not read, read failed
   */
  readRows(name: string, from: number, to: number): Float32Array<ArrayBuffer> {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw tensorError(this.path, name, "there is no such tensor");
    const type = this.readableType(name);
    const width = tensor.shape.at(-1) ?? 1, rows = elementCount(tensor.shape.slice(0, -1));
    if (!(from >= 0 && from <= to && to <= rows)) {
      throw tensorError(this.path, name, `rows ${from} to ${to} asked for, it has ${rows}`);
    }
    const block = blockOf(type);
    const rowBytes = width / block.values * block.bytes;
    const out = new Float32Array((to - from) * width);
    this.#decode(type, tensor.begin + from * rowBytes, out);
    return out;
  }

  /** The type of a tensor. @throws ModelError when it is none that is read */
  readableType(name: string): ReadableType {
    const { type } = this.tensors.get(name)!;
    if (isReadable(type)) return type;
    const known = READABLE.join(", ");
    throw tensorError(this.path, name, `its type ${type} is not read, supported are ${known}`);
  }

  close(): void {
    this.#source.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #decode(type: ReadableType, start: number, out: Float32Array): void {
    const { values, bytes } = blockOf(type);
    const step = Math.floor(CHUNK_BYTES / bytes) * values;
    const scratch = new Uint8Array(Math.min(step, out.length) / values * bytes);
    for (let i = 0; i < out.length; i += step) {
      const part = out.subarray(i, i + step);
      const chunk = scratch.subarray(0, part.length / values * bytes);
      readExactly(this.#source, this.path, start + i / values * bytes, chunk);
      dequantize(type, chunk, part);
    }
  }
}

/** Large models are split into several files, each with a header of its own. */
function refuseParts(metadata: GgufMetadata, path: string): void {
  const parts = metadata.get("split.count");
  if (parts === undefined || Number(parts.value) <= 1) return;
  throw metadataError(
    path,
    "split.count",
    `is ${parts.value}: the file is one of several parts; merge them with llama-gguf-split --merge`,
  );
}

/** A text of the metadata; undefined where there is none. @throws ModelError for another type */
export function textOf(metadata: GgufMetadata, key: string, path: string): string | undefined {
  const entry = metadata.get(key);
  if (entry === undefined) return undefined;
  if (entry.type !== "string") throw metadataError(path, key, "must be a text");
  return entry.value;
}

/** The error of a file that cannot be used as a model. */
export function ggufError(path: string, problem: string): ModelError {
  return new ModelError(`Cannot read ${quoted(path)}: ${problem}`);
}
