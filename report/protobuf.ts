/**
 * Protocol-buffer messages by hand: the few wire types that event files need, written and read, without
 * a schema compiler. Encoding: https://protobuf.dev/programming-guides/encoding/
 */

/** Wire types. */
const VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5;

const encoder = new TextEncoder();

/** A message under construction; fields are written in the order of the calls. */
export class MessageWriter {
  #buffer = new Uint8Array(64);
  #length = 0;

  /** An integer from 0 to 2^53 - 1. */
  integer(field: number, value: number): this {
    this.#key(field, VARINT);
    this.#varint(value);
    return this;
  }

  double(field: number, value: number): this {
    this.#key(field, FIXED64);
    const begin = this.#reserve(8);
    new DataView(this.#buffer.buffer).setFloat64(begin, value, true);
    return this;
  }

  float(field: number, value: number): this {
    this.#key(field, FIXED32);
    const begin = this.#reserve(4);
    new DataView(this.#buffer.buffer).setFloat32(begin, value, true);
    return this;
  }

  /** Doubles in the packed form of repeated fields. */
  doubles(field: number, values: readonly number[]): this {
    this.#key(field, LENGTH);
    this.#varint(8 * values.length);
    const begin = this.#reserve(8 * values.length);
    const view = new DataView(this.#buffer.buffer, begin);
    values.forEach((value, i) => view.setFloat64(8 * i, value, true));
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#key(field, LENGTH);
    this.#varint(value.length);
    const begin = this.#reserve(value.length);
    this.#buffer.set(value, begin);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value));
  }

  message(field: number, value: MessageWriter): this {
    return this.bytes(field, value.#buffer.subarray(0, value.#length));
  }

  /** The message so far. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }

  #key(field: number, wire: number): void {
    this.#varint(field * 8 + wire);
  }

  #varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`Cannot write ${value} as a varint: not an integer from 0 to 2^53 - 1`);
    }
    // Arithmetic, not bits: steps and sizes may pass 2^32.
    while (value >= 128) {
      this.#byte(value % 128 + 128);
      value = Math.floor(value / 128);
    }
    this.#byte(value);
  }

  #byte(value: number): void {
    const at = this.#reserve(1);
    this.#buffer[at] = value;
  }

  /** Makes room at the end for so many bytes; returns where they begin. */
  #reserve(bytes: number): number {
    const begin = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(2 * this.#buffer.length, this.#length));
      larger.set(this.#buffer.subarray(0, begin));
      this.#buffer = larger;
    }
    return begin;
  }
}

/** A field as read: its number and its value; of fixed-width fields the raw bytes. */
export interface MessageField {
  readonly field: number;
  readonly value: number | Uint8Array;
}

/**
 * The fields of a message, in order.
 *
 * @throws Error when the bytes are no message
 */
export function* messageFields(bytes: Uint8Array): Generator<MessageField> {
  let at = 0;
  const varint = (): number => {
    let value = 0, scale = 1;
    for (;;) {
      if (at >= bytes.length) throw new Error("a protocol-buffer message ends within a number");
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const field = Math.floor(key / 8), wire = key % 8;
    if (wire === VARINT) {
      yield { field, value: varint() };
      continue;
    }
    const length = wire === LENGTH ? varint() : wire === FIXED64 ? 8 : wire === FIXED32 ? 4 : -1;
    if (length < 0 || at + length > bytes.length) {
      throw new Error(
        `field ${field} of a protocol-buffer message is cut off or of an unknown kind`,
      );
    }
    yield { field, value: bytes.subarray(at, at + length) };
    at += length;
  }
}
