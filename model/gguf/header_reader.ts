/**
 * Reads the fields of a GGUF header in their order. Every length is compared with what is left of the
 * file before anything is allocated by it, and every refusal names the byte.
 */
import { type ByteSource, readExactly } from "../byte_source.ts";
import { ModelError, quoted } from "../error.ts";
import { ARRAY_CODE, type GgufValue, NUMBER_ARRAYS, type NumberArray } from "./value_types.ts";
import { type NumberType, type ScalarType, scalarType } from "./value_types.ts";

/** Read ahead; headers hold some hundred thousand short texts. */
const BLOCK_BYTES = 256 * 1024;

/** Longest text: chat templates have some ten thousand characters. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/** Longest list of texts: far more than any vocabulary or list of merges. */
const MAX_TEXTS = 2 ** 24;

export class HeaderReader {
  readonly #source: ByteSource;
  readonly #path: string;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #position = 0;
  #block = new Uint8Array(0);
  #blockStart = 0;

  /** @param path for messages */
  constructor(source: ByteSource, path: string) {
    this.#source = source;
    this.#path = path;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  fail(problem: string): never {
    throw new ModelError(`Cannot read ${quoted(this.#path)}: ${problem}`);
  }

  /** The next `n` bytes, valid until the next call. */
  bytes(n: number, what: string): Uint8Array {
    const left = this.#source.size - this.#position;
    if (n > left) {
      this.fail(
        `${what} at byte ${this.#position} takes ${n} bytes, but the file has only ${left} more; ` +
          `it is cut short or not a GGUF file`,
      );
    }
    const start = this.#position - this.#blockStart;
    if (start + n > this.#block.length) this.#fill(n);
    const from = this.#position - this.#blockStart;
    this.#position += n;
    return this.#block.subarray(from, from + n);
  }

  u32(what: string): number {
    const b = this.bytes(4, what);
    return (b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24) >>> 0;
  }

  /** A 64-bit count or size; over 2^53 it is no size of anything. */
  size(what: string): number {
    const low = this.u32(what), high = this.u32(what);
    const value = high * 2 ** 32 + low;
    if (!Number.isSafeInteger(value)) {
      this.fail(`${what} before byte ${this.#position} is ${value}, too large`);
    }
    return value;
  }

  /** How many things follow that take `least` bytes each or more. */
  count(what: string, least: number): number {
    const n = this.size(what);
    const left = this.#source.size - this.#position;
    if (n * least > left) {
      this.fail(
        `${what} before byte ${this.#position} is ${n}, which takes ${n * least} bytes or more, ` +
          `but the file has only ${left} more`,
      );
    }
    return n;
  }

  text(what: string): string {
    const n = this.size(`the length of ${what}`);
    if (n > MAX_TEXT_BYTES) this.fail(`${what} has ${n} bytes, more than ${MAX_TEXT_BYTES}`);
    const bytes = this.bytes(n, what);
    try {
      return this.#decoder.decode(bytes);
    } catch {
      return this.fail(`${what} before byte ${this.#position} is not valid UTF-8`);
    }
  }

  /** A value with its kind before it. */
  value(key: string): GgufValue {
    const what = `the value of ${quoted(key)}`;
    const code = this.u32(`the type of ${quoted(key)}`);
    if (code !== ARRAY_CODE) return this.#scalar(this.#kind(code, what), what);
    const of = this.#kind(this.u32(`the item type of ${quoted(key)}`), what);
    if (of === "string") {
      const n = this.count(`the length of ${quoted(key)}`, 8);
      if (n > MAX_TEXTS) this.fail(`${quoted(key)} has ${n} texts, more than ${MAX_TEXTS}`);
      const value: string[] = [];
      for (let i = 0; i < n; i++) value.push(this.text(`item ${i} of ${quoted(key)}`));
      return { type: "array", of, value };
    }
    if (of === "bool") {
      const value = this.#numbers("u8", key) as Uint8Array;
      if (value.some((byte) => byte > 1)) this.fail(`${what} has booleans other than 0 and 1`);
      return { type: "array", of, value };
    }
    return { type: "array", of, value: this.#numbers(of, key) };
  }

  #kind(code: number, what: string): ScalarType {
    if (code === ARRAY_CODE) this.fail(`${what} is an array of arrays, which is not read`);
    return scalarType(code) ??
      this.fail(`${what} has the unknown type ${code} before byte ${this.#position}`);
  }

  #scalar(type: ScalarType, what: string): GgufValue {
    if (type === "string") return { type, value: this.text(what) };
    if (type === "bool") {
      const byte = this.bytes(1, what)[0];
      if (byte > 1) this.fail(`${what} is the boolean ${byte}, it must be 0 or 1`);
      return { type, value: byte === 1 };
    }
    return { type, value: this.#copy(type, 1, what)[0] };
  }

  #numbers(type: NumberType, key: string): NumberArray {
    const n = this.count(`the length of ${quoted(key)}`, NUMBER_ARRAYS[type].BYTES_PER_ELEMENT);
    return this.#copy(type, n, `the value of ${quoted(key)}`);
  }

  #copy(type: NumberType, n: number, what: string): NumberArray {
    const array = NUMBER_ARRAYS[type];
    // A copy, because the file's bytes are not aligned.
    return new array(this.bytes(n * array.BYTES_PER_ELEMENT, what).slice().buffer);
  }

  #fill(n: number): void {
    const left = this.#source.size - this.#position;
    this.#block = new Uint8Array(Math.min(Math.max(n, BLOCK_BYTES), left));
    this.#blockStart = this.#position;
    readExactly(this.#source, this.#path, this.#position, this.#block);
  }
}
