/** Comparison of arrays by norms, with a readable report; margins are kept and can be printed. */
import { AssertionError } from "@std/assert";

/** Bounds of a comparison; those left out are not checked. */
export interface Bounds {
  /** ||found - expected|| <= relativeL2 * max(||expected||, scale * sqrt(length)) */
  readonly relativeL2?: number;
  /** max |found - expected| <= relativeMax * max(max |expected|, scale) */
  readonly relativeMax?: number;
  /** Size of the terms the numbers were made of, where they cancel; 0 if left out. */
  readonly scale?: number;
}

/** Forward kernels against float64; where they come from: docs/numerics.md. */
export const FORWARD: Bounds = { relativeL2: 1e-5, relativeMax: 5e-5 };
/** Backward kernels against float64. */
export const BACKWARD: Bounds = { relativeL2: 2e-5 };

const SHOWN = 5;
const worst = new Map<string, number>();

/** The largest observed/allowed of each group, since the module was loaded. */
export function printMargins(): void {
  for (const [group, ratio] of [...worst].sort(([a], [b]) => a < b ? -1 : 1)) {
    console.log(`margin ${ratio.toExponential(1)} of 1  ${group}`);
  }
}

/** Notes how much of an allowance was used; printed at the end of a file. */
export function noteMargin(group: string, ratio: number): void {
  worst.set(group, Math.max(ratio, worst.get(group) ?? 0));
}

function norms(found: ArrayLike<number>, expected: ArrayLike<number>) {
  let squares = 0, squaresExpected = 0, max = 0, maxExpected = 0;
  for (let i = 0; i < expected.length; i++) {
    // NaN and infinities are never close, not to themselves either.
    const error = Number.isFinite(found[i]) && Number.isFinite(expected[i])
      ? Math.abs(found[i] - expected[i])
      : Infinity;
    squares += error ** 2;
    squaresExpected += expected[i] ** 2;
    max = Math.max(max, error);
    maxExpected = Math.max(maxExpected, Math.abs(expected[i]));
  }
  return { l2: Math.sqrt(squares), l2Expected: Math.sqrt(squaresExpected), max, maxExpected };
}

/** The first elements that are off by more than `allowed`, one a line. */
function mismatches(found: ArrayLike<number>, expected: ArrayLike<number>, allowed: number) {
  const lines: string[] = [];
  let count = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Math.abs(found[i] - expected[i]) <= allowed) continue;
    if (count++ < SHOWN) lines.push(`  [${i}] found ${found[i]}, expected ${expected[i]}`);
  }
  return `${count} of ${expected.length} elements are off by more than ${allowed}:\n${
    lines.join("\n")
  }`;
}

/**
 * Asserts that `found` is close to `expected` in norm. NaN and infinities never are. `group` names
 * the margin that is kept, `place` the case in the message.
 */
export function assertClose(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  bounds: Bounds,
  group: string,
  place = "",
): void {
  const name = place ? `${group}, ${place}` : group;
  if (found.length !== expected.length) {
    throw new AssertionError(`${name}: ${found.length} values, expected ${expected.length}`);
  }
  const { l2, l2Expected, max, maxExpected } = norms(found, expected);
  const { relativeL2, relativeMax, scale = 0 } = bounds;
  const allow = (relative: number | undefined, size: number) =>
    relative === undefined ? Infinity : relative * size;
  const allowedL2 = allow(relativeL2, Math.max(l2Expected, scale * Math.sqrt(expected.length)));
  const allowedMax = allow(relativeMax, Math.max(maxExpected, scale));
  const ratio = (error: number, allowed: number) => error === 0 ? 0 : error / allowed;
  noteMargin(group, Math.max(ratio(l2, allowedL2), ratio(max, allowedMax)));
  if (Number.isFinite(l2) && l2 <= allowedL2 && max <= allowedMax) return;
  const typical = allowedMax < Infinity ? allowedMax : allowedL2 / Math.sqrt(expected.length);
  throw new AssertionError(
    `${name}: L2 error ${l2}, allowed ${allowedL2}; largest error ${max}, allowed ${allowedMax}\n` +
      mismatches(found, expected, typical),
  );
}

/** Asserts that two arrays have the same bits, NaN and the sign of zero included. */
export function assertSameBits(found: Float32Array, expected: Float32Array, name: string): void {
  const bits = (x: Float32Array) => new Uint32Array(x.buffer, x.byteOffset, x.length);
  const a = bits(found), b = bits(expected);
  if (a.length !== b.length) {
    throw new AssertionError(`${name}: ${a.length} values, expected ${b.length}`);
  }
  const different = [...a.keys()].filter((i) => a[i] !== b[i]);
  if (different.length === 0) return;
  const lines = different.slice(0, SHOWN)
    .map((i) => `  [${i}] found ${found[i]}, expected ${expected[i]}`);
  throw new AssertionError(
    `${name}: ${different.length} of ${a.length} values have other bits:\n${lines.join("\n")}`,
  );
}
