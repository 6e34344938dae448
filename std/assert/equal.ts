import { equals, iterableEquality, sparseArrayEquality, typeEquality } from "@jest/expect-utils";

/** A tester of `@jest/expect-utils`: true or false settles a pair of values, undefined passes it on. */
type Tester = (a: unknown, b: unknown) => boolean | undefined;

type NumberArray = ArrayLike<number> & { readonly constructor: unknown };

function sameNumber(a: number, b: number): boolean {
  return a === b || (a !== a && b !== b);
}

/** Unlike Jest, std treats 0 and -0 as equal. */
function numberTester(a: unknown, b: unknown): boolean | undefined {
  return typeof a === "number" && typeof b === "number" ? sameNumber(a, b) : undefined;
}

/** Compares typed arrays in one loop; the generic walk takes seconds for a million numbers. */
function typedArrayTester(a: unknown, b: unknown): boolean | undefined {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b)) return undefined;
  if (a instanceof DataView || b instanceof DataView) return undefined;
  const left = a as unknown as NumberArray;
  const right = b as unknown as NumberArray;
  if (left.constructor !== right.constructor || left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) {
    if (!sameNumber(left[i], right[i])) return false;
  }
  return true;
}

const testers: Tester[] = [
  numberTester,
  typedArrayTester,
  typeEquality,
  sparseArrayEquality,
  iterableEquality,
];

/**
 * Deep equality as `@std/assert` defines it: 0 equals -0, NaN equals NaN, classes must agree, and a
 * property that is undefined differs from one that is missing.
 */
export function equal(a: unknown, b: unknown): boolean {
  return equals(a, b, testers, true);
}
