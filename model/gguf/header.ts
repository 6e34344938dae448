/**
 * The header of a GGUF file (versions 2 and 3, little-endian): metadata, and where each tensor lies.
 * Tensors must follow each other without holes but the padding, and end where the file ends.
 */
import type { ByteSource } from "../byte_source.ts";
import { ModelError, quoted } from "../error.ts";
import { elementCount } from "../safetensors_header.ts";
import { HeaderReader } from "./header_reader.ts";
import { blockOf, type GgmlType, ggmlType } from "./tensor_types.ts";
import type { GgufMetadata, GgufValue } from "./value_types.ts";

export const MAGIC = 0x46554747, DEFAULT_ALIGNMENT = 32, ALIGNMENT_KEY = "general.alignment";

/** Most dimensions a tensor has in GGML. */
const MAX_DIMENSIONS = 4;

/** Bytes that a key with its value, and the entry of a tensor, take at least. */
const LEAST_PAIR = 8 + 4 + 1, LEAST_TENSOR = 8 + 4 + 4 + 8;

/** Where a tensor lies: `begin` and `end` are bytes of the file. */
export interface GgufTensor {
  readonly type: GgmlType;
  /** Row-major as everywhere here, [rows, ..., row length]; the file has it the other way round. */
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly metadata: GgufMetadata;
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly alignment: number;
}

/**
 * Reads and checks the header.
 *
 * @throws ModelError naming `path`, and the key, tensor or byte
 */
export function readGgufHeader(source: ByteSource, path: string): GgufHeader {
  const reader = new HeaderReader(source, path);
  checkVersion(reader);
  const tensorCount = reader.count("the number of tensors", LEAST_TENSOR);
  const pairCount = reader.count("the number of metadata keys", LEAST_PAIR);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < pairCount; i++) {
    const key = reader.text(`metadata key ${i}`);
    if (metadata.has(key)) reader.fail(`the metadata key ${quoted(key)} occurs twice`);
    metadata.set(key, reader.value(key));
  }
  const alignment = alignmentOf(metadata, reader);
  const relative = new Map<string, GgufTensor>();
  for (let i = 0; i < tensorCount; i++) {
    const name = reader.text(`the name of tensor ${i}`);
    if (relative.has(name)) reader.fail(`the tensor ${quoted(name)} occurs twice`);
    relative.set(name, readTensor(reader, name));
  }
  return { metadata, tensors: place(relative, alignment, reader, source.size), alignment };
}

function checkVersion(reader: HeaderReader): void {
  if (reader.u32("the magic number") !== MAGIC) reader.fail("it does not begin with GGUF");
  const version = reader.u32("the version");
  if ((version & 0xffff) === 0) {
    reader.fail("it is big-endian, which is not read; convert it to little-endian");
  }
  if (version !== 2 && version !== 3) {
    reader.fail(`GGUF version ${version} is not read, only 2 and 3; convert it again`);
  }
}

function alignmentOf(metadata: GgufMetadata, reader: HeaderReader): number {
  const entry = metadata.get(ALIGNMENT_KEY);
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const value = entry.type === "u32" ? Number(entry.value) : 0;
  if (value === 0 || (value & (value - 1)) !== 0) {
    reader.fail(`${quoted(ALIGNMENT_KEY)} must be a power of two of type u32`);
  }
  return value;
}

/** An entry of the tensor list; `begin` and `end` count from the start of the data. */
function readTensor(reader: HeaderReader, name: string): GgufTensor {
  const fail = (problem: string) => reader.fail(`tensor ${quoted(name)}: ${problem}`);
  const dimensions = reader.u32(`the number of dimensions of ${quoted(name)}`);
  if (dimensions > MAX_DIMENSIONS) fail(`${dimensions} dimensions, at most ${MAX_DIMENSIONS}`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(reader.size(`a dimension of ${quoted(name)}`));
  const code = reader.u32(`the type of ${quoted(name)}`);
  const type = ggmlType(code) ?? fail(`unknown type ${code}`);
  const begin = reader.size(`the offset of ${quoted(name)}`);
  const block = blockOf(type);
  const rowLength = shape.at(-1) ?? 1;
  if (rowLength % block.values !== 0) {
    fail(`rows of ${rowLength} values are no whole blocks of ${block.values}, as ${type} needs`);
  }
  // Divided first: the product of a valid file is exact in both orders, this one stays smaller.
  const bytes = elementCount(shape) / block.values * block.bytes;
  if (!Number.isSafeInteger(bytes) || !Number.isSafeInteger(begin + bytes)) {
    fail(`shape ${quoted(shape)} is too large`);
  }
  return { type, shape, begin, end: begin + bytes };
}

function place(
  relative: ReadonlyMap<string, GgufTensor>,
  alignment: number,
  reader: HeaderReader,
  size: number,
): Map<string, GgufTensor> {
  const dataStart = padded(reader.position, alignment);
  const placed = new Map<string, GgufTensor>();
  let expected = 0, last = 0;
  const byOffset = [...relative].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  for (const [name, { type, shape, begin, end }] of byOffset) {
    const fail = (problem: string) => reader.fail(`tensor ${quoted(name)}: ${problem}`);
    if (begin !== expected) {
      fail(`its data begins at byte ${begin} of the data, it should at byte ${expected}`);
    }
    if (dataStart + end > size) {
      fail(`its data ends at byte ${dataStart + end}, but the file has only ${size} bytes`);
    }
    placed.set(name, { type, shape, begin: dataStart + begin, end: dataStart + end });
    last = end;
    expected = padded(end, alignment);
  }
  if (size > dataStart + expected || relative.size === 0 && size > dataStart) {
    reader.fail(`the tensors end at byte ${dataStart + last}, the file has ${size}`);
  }
  return new Map([...relative.keys()].map((name) => [name, placed.get(name)!]));
}

/** The next multiple of `alignment`. */
export function padded(n: number, alignment: number): number {
  return Math.ceil(n / alignment) * alignment;
}

/** The error for one key of a file's metadata. */
export function metadataError(path: string, key: string, problem: string): ModelError {
  return new ModelError(`Cannot read ${quoted(path)}: metadata ${quoted(key)} ${problem}`);
}
