/**
 * Checks a structure in Thrift's compact protocol before it is read: the sizes in it are believed by the
 * reader, which would allocate what a damaged one says. Nothing is decoded here.
 *
 * Format: the compact protocol's specification in Apache Thrift, as far as Parquet uses it.
 */

const MAX_DEPTH = 64;
/** Values of ten bytes fill 64 bits. */
const MAX_VARINT_BYTES = 10;

const STOP = 0, TRUE = 1, FALSE = 2, BYTE = 3, I16 = 4, I32 = 5, I64 = 6, DOUBLE = 7, BINARY = 8;
const LIST = 9, STRUCT = 12;

/**
 * Walks one structure.
 *
 * @returns offset behind it.
 * @throws Error when it does not end inside `bytes`, or holds a size that cannot be.
 */
export function checkThrift(bytes: Uint8Array, offset: number): number {
  return new Walker(bytes, offset).struct(0);
}

class Walker {
  #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.#at = offset;
  }

  struct(depth: number): number {
    if (depth > MAX_DEPTH) throw new Error("a header is nested too deep");
    for (;;) {
      const byte = this.#byte();
      const type = byte & 15;
      if (type === STOP) return this.#at;
      // Without a difference the field's number follows.
      if (byte >> 4 === 0) this.#varint();
      if (type !== TRUE && type !== FALSE) this.#value(type, depth);
    }
  }

  #value(type: number, depth: number): void {
    switch (type) {
      case TRUE:
      case FALSE:
      case BYTE:
        this.#skip(1);
        return;
      case I16:
      case I32:
      case I64:
        this.#varint();
        return;
      case DOUBLE:
        this.#skip(8);
        return;
      case BINARY:
        this.#skip(this.#varint());
        return;
      case LIST:
        this.#list(depth);
        return;
      case STRUCT:
        this.struct(depth + 1);
        return;
      default:
        throw new Error(`a header has a field of the unknown type ${type}`);
    }
  }

  #list(depth: number): void {
    const byte = this.#byte();
    const length = byte >> 4 === 15 ? this.#varint() : byte >> 4;
    // Every element takes a byte or more.
    if (length > this.#bytes.length - this.#at) throw new Error("a list in a header is too long");
    for (let i = 0; i < length; i++) this.#value(byte & 15, depth);
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) throw new Error("a header does not end");
    return this.#bytes[this.#at++];
  }

  #skip(length: number): void {
    if (!(length <= this.#bytes.length - this.#at)) throw new Error("a header does not end");
    this.#at += length;
  }

  /** The value as a float64, inexact beyond 2^53. */
  #varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.#byte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new Error("a number in a header is too long");
  }
}
