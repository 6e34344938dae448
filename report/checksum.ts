/**
 * The two cyclic redundancy checks of log files: CRC-32C (Castagnoli) in TFRecord files, CRC-32 (IEEE
 * 802.3) in the logs of W&B. Both reflected, with all bits inverted before and after.
 */

/** Reversed generator polynomials. */
const CASTAGNOLI = 0x82f63b78, IEEE = 0xedb88320;

function tableOf(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value >>> 0;
  });
}

const castagnoliTable = tableOf(CASTAGNOLI), ieeeTable = tableOf(IEEE);

function checksum(table: Uint32Array, parts: readonly Uint8Array[]): number {
  let value = 0xffffffff;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) {
      value = table[(value ^ part[i]) & 255] ^ (value >>> 8);
    }
  }
  return ~value >>> 0;
}

/** CRC-32C of the parts, one after the other. */
export function crc32c(...parts: readonly Uint8Array[]): number {
  return checksum(castagnoliTable, parts);
}

/** CRC-32 of the parts, one after the other. */
export function crc32(...parts: readonly Uint8Array[]): number {
  return checksum(ieeeTable, parts);
}

/**
 * The form in which TFRecord stores a CRC-32C: rotated right by 15 bits, plus a constant, so that the
 * checksum of data with checksums in it stays a good one.
 * Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
 */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
