/** Comparison of numbers with a relative tolerance that treats NaN and infinities as failures. */
import { assert } from "@std/assert";

/**
 * Asserts |found - expected| <= tolerance * max(|expected|, scale).
 *
 * @param scale size of the terms the number was made of; 0 for a purely relative comparison
 */
export function assertClose(
  found: number,
  expected: number,
  tolerance: number,
  name: string,
  scale = 0,
): void {
  const allowed = tolerance * Math.max(Math.abs(expected), scale);
  assert(
    Number.isFinite(found) && Math.abs(found - expected) <= allowed,
    `${name} is ${found}, expected ${expected} within ${allowed}`,
  );
}

/** {@linkcode assertClose} for each element, and equal lengths. */
export function assertAllClose(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  name: string,
  scale = 0,
): void {
  assert(found.length === expected.length, `${name} has ${found.length} numbers`);
  for (let i = 0; i < found.length; i++) {
    assertClose(found[i], expected[i], tolerance, `${name}[${i}]`, scale);
  }
}
