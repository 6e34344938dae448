/** The random decision sets that formulas are compared on, and the terms of such formulas. */
import { counterUniform } from "../../losses/contract_batches.ts";
import type { AnswerScores, ScoreBatch } from "../../losses/loss_mode.ts";
import { assertClose } from "./assert_close.ts";
import { normal } from "./make_pairs.ts";

/** Decision sets of a comparison. */
export const BATCHES = 10_000;

const POOL = 1 << 14;
const normals = Float64Array.from({ length: POOL }, (_, i) => normal(77, i));
const uniforms = Float64Array.from({ length: POOL }, (_, i) => counterUniform(78, i));

/**
 * Decision set number `seed`: 1 to 64 pairs whose policy lies a normal deviate times 10^-3 .. 10^4
 * nats from the reference.
 */
export function randomPairs(seed: number): ScoreBatch {
  const size = 1 + seed % 64;
  const scale = 10 ** (seed % 8 - 3) / Math.SQRT2;
  // Steps without a common divisor, so that no two sets are the same.
  const start = 97 * seed;
  const side = (answer: number): AnswerScores => {
    const at = (i: number, step: number) => (start + 131 * i + 4099 * answer + step) % POOL;
    const reference = Float64Array.from({ length: size }, (_, i) => -1 - 80 * uniforms[at(i, 7)]);
    return {
      reference,
      policy: reference.map((r, i) => r + scale * normals[at(i, 3)]),
      length: Uint32Array.from({ length: size }, (_, i) => 1 + Math.floor(60 * uniforms[at(i, 5)])),
    };
  };
  return {
    size,
    rows: Uint32Array.from({ length: size }, (_, i) => i),
    chosen: side(0),
    rejected: side(1),
  };
}

/** log(1 + e^t). */
export function softplus(t: number): number {
  return Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));
}

/** 1 / (1 + e^-t), by way of its logarithm. */
export function logistic(t: number): number {
  return Math.exp(-softplus(-t));
}

/** A sum by its terms: where they cancel, their size is what rounding is relative to. */
export type Terms = readonly number[];

/** Below this numbers are few, and come without their last digits. */
export const SMALLEST = 1e-290;

/** Asserts that a number is the sum of terms, to 1e-12 of their size. */
export function assertTerms(found: number, terms: Terms, factor: number, name: string): void {
  let sum = 0;
  let size = 0;
  for (const term of terms) {
    sum += term;
    size += Math.abs(term);
  }
  assertClose(found, factor * sum, 1e-12, name, Math.max(SMALLEST, Math.abs(factor) * size));
}
