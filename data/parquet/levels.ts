/**
 * Runs of small whole numbers, as Parquet writes levels and the indices of a dictionary: repeated values
 * and bit-packed groups of eight in turn. Strict: whatever does not fill the count exactly is damaged.
 *
 * Format: "RLE / bit-packing hybrid" in the Parquet format's page on encodings.
 */

/** Wider values would be a dictionary of more than 16 million entries. */
const MAX_WIDTH = 24;

/** Bits that hold every number up to `value`. */
export function bitWidth(value: number): number {
  return 32 - Math.clz32(value);
}

/**
 * @param width bits of a value; of 0 bits all values are 0 and nothing is read.
 * @returns [count] values below 2^width.
 * @throws Error when the data ends early or a run is longer than what is left.
 */
export function readRuns(bytes: Uint8Array, width: number, count: number): Uint32Array {
  const values = new Uint32Array(count);
  if (width === 0) return values;
  if (width > MAX_WIDTH) throw new Error(`values of ${width} bits are too wide`);
  let at = 0, done = 0;
  const byte = () => {
    if (at >= bytes.length) throw new Error("levels or indices end early");
    return bytes[at++];
  };
  while (done < count) {
    let header = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      if (shift > 28) throw new Error("a run has no length");
      const next = byte();
      header += (next & 127) * 2 ** shift;
      more = next > 127;
    }
    const length = Math.floor(header / 2);
    if (header % 2 === 0) {
      if (length > count - done) throw new Error("a run is longer than its page");
      let value = 0;
      for (let i = 0; i < width; i += 8) value |= byte() << i;
      if (value >= 1 << width) throw new Error("a run has a value that is too large");
      values.fill(value, done, done + length);
      done += length;
    } else {
      const taken = Math.min(length * 8, count - done);
      // Groups are whole, but a writer may leave out the last one's padding.
      const packed = bytes.subarray(at, at + length * width);
      unpack(packed, width, values.subarray(done, done + taken));
      at += packed.length;
      done += taken;
    }
  }
  return values;
}

/** Unpacks from the lowest bit of each byte up. */
function unpack(packed: Uint8Array, width: number, values: Uint32Array): void {
  if (packed.length * 8 < values.length * width) throw new Error("levels or indices end early");
  const mask = (1 << width) - 1;
  let at = 0, buffer = 0, bits = 0;
  for (let i = 0; i < values.length; i++) {
    for (; bits < width; bits += 8) buffer |= packed[at++] << bits;
    values[i] = buffer & mask;
    buffer >>>= width;
    bits -= width;
  }
}
