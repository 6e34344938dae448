/**
 * Counter-based random bits: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3" (SC 2011). The same counter and key give the same bits, whatever was drawn before.
 */

const MULTIPLIER_0 = 0xd2511f53, MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9, KEY_STEP_1 = 0xbb67ae85;

/** Writes four 32-bit words for `counter` (4 words) and `key` (2 words) to `out[0..4]`. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array,
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0), low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2), low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + KEY_STEP_0) | 0;
    k1 = (k1 + KEY_STEP_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Upper 32 bits of the unsigned product, by halves of 16 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  // Each product is below 2^32 and the sums below 2^53; only the last result is cut to 32 bits.
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) | 0;
}

/** Key and counter words of the random numbers of a parameter: they depend on seed and name only. */
export function streamOf(name: string, seed: number) {
  return {
    key: [seed >>> 0, Math.floor(seed / 2 ** 32)] as const,
    stream: [hash(name, 0x811c9dc5), hash(name, 0x01234567)] as const,
  };
}

/** FNV-1a over UTF-16 units: spreads parameter names over the counter space. */
function hash(text: string, start: number): number {
  let h = start;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
