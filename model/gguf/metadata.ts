/** Typed access to the metadata of one file; every refusal names file and key. */
import { metadataError } from "./header.ts";
import type { GgufMetadata, GgufValue } from "./value_types.ts";

/** Keys that change nothing a reader computes, behind the architecture's name. */
const HARMLESS = ["vocab_size", "tensor_data_layout", "rope.scaling.finetuned"];

export class MetadataReader {
  readonly #metadata: GgufMetadata;
  readonly #path: string;
  readonly #asked = new Set<string>();

  /** @param path for messages */
  constructor(metadata: GgufMetadata, path: string) {
    this.#metadata = metadata;
    this.#path = path;
  }

  fail(key: string, problem: string): never {
    throw metadataError(this.#path, key, problem);
  }

  has(key: string): boolean {
    this.#asked.add(key);
    return this.#metadata.has(key);
  }

  text(key: string): string | undefined {
    const entry = this.#get(key);
    if (entry === undefined) return undefined;
    return entry.type === "string" ? entry.value : this.fail(key, "must be a text");
  }

  flag(key: string): boolean | undefined {
    const entry = this.#get(key);
    if (entry === undefined) return undefined;
    return entry.type === "bool" ? entry.value : this.fail(key, "must be true or false");
  }

  /** A number; a list, one for each layer, where they are all the same. */
  number(key: string): number | undefined {
    const entry = this.#get(key);
    if (entry === undefined) return undefined;
    let value: number | undefined;
    if (entry.type === "array" && entry.of !== "string" && entry.of !== "bool") {
      const items = [...entry.value as Iterable<number | bigint>].map(Number);
      value = items.every((item) => item === items[0]) ? items[0] : undefined;
      if (value === undefined) this.fail(key, "differs between layers, which is not supported");
    } else if (typeof entry.value === "number" || typeof entry.value === "bigint") {
      value = shortest(Number(entry.value), entry.type === "f32");
    }
    if (value === undefined || !Number.isFinite(value)) this.fail(key, "must be a number");
    return value;
  }

  /** A number that has to be there. */
  required(key: string): number {
    return this.number(key) ?? this.fail(key, "is missing");
  }

  /** A list of texts. */
  texts(key: string): readonly string[] | undefined {
    const entry = this.#get(key);
    if (entry === undefined) return undefined;
    return entry.type === "array" && entry.of === "string"
      ? entry.value
      : this.fail(key, "must be a list of texts");
  }

  /** A list of numbers. */
  numbers(key: string): ArrayLike<number> | undefined {
    const entry = this.#get(key);
    if (entry === undefined) return undefined;
    const plain = entry.type === "array" && !["string", "u64", "i64"].includes(entry.of);
    return plain ? entry.value as ArrayLike<number> : this.fail(key, "must be a list of numbers");
  }

  /**
   * Refuses keys of an architecture that nobody asked for: each may change what the model computes.
   * Zero, false and "none" switch a feature off, known or not.
   */
  refuseOthers(prefix: string): void {
    for (const [key, entry] of this.#metadata) {
      if (!key.startsWith(prefix) || this.#asked.has(key)) continue;
      if (HARMLESS.includes(key.slice(prefix.length)) || isOff(entry)) continue;
      const value = entry.type === "array" ? "a list" : `${entry.value}`.slice(0, 40);
      this.fail(key, `is ${value}: it is not known here and may change the arithmetic`);
    }
  }

  #get(key: string): GgufValue | undefined {
    this.#asked.add(key);
    return this.#metadata.get(key);
  }
}

function isOff(entry: GgufValue): boolean {
  if (entry.type === "array") return entry.value.length === 0;
  const { value } = entry;
  return value === false || Number(value) === 0 || value === "none";
}

/** The shortest decimal that float32 rounds to the same value: 1e-5, not 0.00000999999974. */
function shortest(value: number, isFloat32: boolean): number {
  if (!isFloat32) return value;
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
