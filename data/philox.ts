/**
 * Counter-based random numbers: philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3" (SC 2011). A number is a pure function of (seed, stream name,
 * counter), so nothing has to be saved to resume and no consumer can disturb another.
 */

const MULTIPLIER_0 = 0xD2511F53;
const MULTIPLIER_1 = 0xCD9E8D57;
const WEYL_0 = 0x9E3779B9;
const WEYL_1 = 0xBB67AE85;
const ROUNDS = 10;

/** High 32 bits of the 64-bit product of two u32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  // No partial sum reaches 2^53, so float64 holds each of them exactly.
  const middle = aHigh * bLow + Math.floor((aLow * bLow) / 0x10000);
  const carry = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * One philox4x32-10 block.
 *
 * @param counter four u32.
 * @param key two u32.
 * @returns four u32; equal to Random123's `philox4x32_R(10, counter, key)`.
 */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0), low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = multiplyHigh(MULTIPLIER_1, c2), low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** 64-bit FNV-1a of the UTF-8 bytes of a stream's name, as [low, high] u32. */
function hashName(name: string): [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}

/** Uniform numbers in (0, 1) of one stream, by counter (a non-negative safe integer). */
export type UniformStream = (counter: number) => number;

/**
 * The stream of uniform numbers called `name` of a seed; hashing the name once makes many draws
 * cheap. Each number has 52 random bits and is never 0 or 1.
 *
 * @param seed a non-negative safe integer.
 * @throws RangeError when the seed or a counter is not one.
 */
export function uniformStream(seed: number, name: string): UniformStream {
  const [nameLow, nameHigh] = hashName(name);
  const key = splitInteger(seed, "seed");
  return (counter) => {
    const [low, high] = splitInteger(counter, "counter");
    const [a, b] = philox4x32([low, high, nameLow, nameHigh], key);
    // (k + 1/2) / 2^52 with k < 2^52: symmetric about 1/2 and inside the open interval.
    return (a * 0x100000 + (b >>> 12) + 0.5) / 0x10000000000000;
  };
}

/** `uniformStream(seed, stream)(counter)`: one uniform number in (0, 1). */
export function uniform(seed: number, stream: string, counter: number): number {
  return uniformStream(seed, stream)(counter);
}

/** A safe integer as two u32, low word first. */
function splitInteger(value: number, what: string): [number, number] {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`A random ${what} must be a non-negative safe integer, got "${value}"`);
  }
  return [value >>> 0, Math.floor(value / 0x100000000)];
}
