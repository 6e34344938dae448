/**
 * Writing GGUF files (version 3): metadata and the list of tensors first, then the tensors in that
 * order, rows as they come: never more than a part of one tensor in memory. Equal input gives equal
 * bytes. The file is whole or absent.
 */
import {
  attemptWrite,
  createFile,
  parentOf,
  removeTree,
  syncFolder,
  writeAll,
} from "../durable_file.ts";
import { firstNonFinite } from "../dtype.ts";
import { ModelError, quoted } from "../error.ts";
import { elementCount } from "../safetensors_header.ts";
import { DEFAULT_ALIGNMENT, MAGIC, padded } from "./header.ts";
import { quantize, type WrittenType } from "./quantize.ts";
import { blockOf } from "./tensor_types.ts";
import { ARRAY_CODE, codeOf, type GgufValue, NUMBER_ARRAYS } from "./value_types.ts";

const VERSION = 3;

/** A tensor known before its values; `shape` is [rows, ..., row length]. */
export interface GgufTensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: WrittenType;
}

/** A tensor and its values in parts of whole rows. */
export interface GgufTensorData extends GgufTensorSpec {
  values(): Iterable<Float32Array>;
}

/** Everything before the tensors, padding included. */
export function encodeHeader(
  metadata: Iterable<readonly [string, GgufValue]>,
  tensors: readonly GgufTensorSpec[],
): Uint8Array<ArrayBuffer> {
  const out = new HeaderWriter();
  const pairs = [...metadata];
  out.number("u32", MAGIC);
  out.number("u32", VERSION);
  out.number("u64", BigInt(tensors.length));
  out.number("u64", BigInt(pairs.length));
  for (const [key, value] of pairs) {
    out.text(key);
    out.value(value);
  }
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    out.text(name);
    out.number("u32", shape.length);
    for (const size of shape.toReversed()) out.number("u64", BigInt(size));
    out.number("u32", blockOf(type).code);
    out.number("u64", BigInt(offset));
    offset += padded(byteLength({ shape, type }), DEFAULT_ALIGNMENT);
  }
  return out.finish(DEFAULT_ALIGNMENT);
}

/** Bytes of a tensor without padding. */
function byteLength({ shape, type }: Pick<GgufTensorSpec, "shape" | "type">): number {
  const { values, bytes } = blockOf(type);
  return elementCount(shape) / values * bytes;
}

/**
 * Writes a file beside `path` and renames it when it is whole.
 *
 * @throws ModelError naming the tensor: not finite, too large for its type, not as many values as its
 * shape says; Error naming the path when the file system refuses
 */
export function writeGgufFile(
  path: string,
  metadata: Iterable<readonly [string, GgufValue]>,
  tensors: readonly GgufTensorData[],
): void {
  const temporary = `${path}.tmp`;
  const file = attemptWrite(path, () => createFile(temporary));
  let open = true;
  const write = (bytes: Uint8Array) => attemptWrite(path, () => writeAll(file, bytes));
  try {
    write(encodeHeader(metadata, tensors));
    for (const tensor of tensors) {
      writeTensor(path, tensor, write);
      const length = byteLength(tensor);
      write(new Uint8Array(padded(length, DEFAULT_ALIGNMENT) - length));
    }
    attemptWrite(path, () => {
      file.syncSync();
      open = false;
      file.close();
      Deno.renameSync(temporary, path);
      syncFolder(parentOf(path));
    });
  } catch (error) {
    if (open) file.close();
    removeTree(temporary);
    throw error;
  }
}

function writeTensor(
  path: string,
  { name, shape, type, values }: GgufTensorData,
  write: (bytes: Uint8Array) => void,
): void {
  let done = 0;
  for (const part of values()) {
    const at = firstNonFinite(part);
    if (at >= 0) fail(path, name, `has ${part[at]} at index ${done + at}`);
    const bytes = quantize(type, part);
    const large = overflow(type, bytes);
    if (large >= 0) {
      const hint = type === "F16" ? "; choose --dtype q8_0 or f32" : "";
      fail(
        path,
        name,
        `has values near index ${done + large} that are too large for ${type}${hint}`,
      );
    }
    write(bytes);
    done += part.length;
  }
  if (done !== elementCount(shape)) {
    fail(path, name, `has ${done} values, its shape ${quoted(shape)} says ${elementCount(shape)}`);
  }
}

function fail(path: string, name: string, problem: string): never {
  throw new ModelError(`Cannot write ${quoted(path)}: tensor ${quoted(name)} ${problem}`);
}

/** Index of a value (or the first of its block) whose float16, or its block's, is infinite; else -1. */
function overflow(type: WrittenType, bytes: Uint8Array): number {
  if (type === "F32") return -1;
  const { values, bytes: width } = blockOf(type);
  for (let at = 0; at < bytes.length; at += width) {
    if ((bytes[at + 1] & 0x7c) === 0x7c) return at / width * values;
  }
  return -1;
}

/** Little-endian fields one after the other. */
class HeaderWriter {
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];
  readonly #encoder = new TextEncoder();
  #length = 0;

  number(type: keyof typeof NUMBER_ARRAYS, value: number | bigint): void {
    const array = new NUMBER_ARRAYS[type](1) as
      & { [index: number]: number | bigint }
      & ArrayBufferView;
    array[0] = value;
    this.#push(new Uint8Array(array.buffer as ArrayBuffer));
  }

  text(text: string): void {
    const bytes = this.#encoder.encode(text);
    this.number("u64", BigInt(bytes.length));
    this.#push(bytes);
  }

  value(value: GgufValue): void {
    if (value.type !== "array") {
      this.number("u32", codeOf(value.type));
      if (value.type === "string") this.text(value.value);
      else if (value.type === "bool") this.number("u8", value.value ? 1 : 0);
      else this.number(value.type, value.value);
      return;
    }
    this.number("u32", ARRAY_CODE);
    this.number("u32", codeOf(value.of));
    this.number("u64", BigInt(value.value.length));
    if (value.of === "string") value.value.forEach((text) => this.text(text));
    else {
      const { buffer, byteOffset, byteLength } = value.value;
      this.#push(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
    }
  }

  finish(alignment: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(padded(this.#length, alignment));
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  #push(bytes: Uint8Array<ArrayBuffer>): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }
}
