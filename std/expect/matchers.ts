import { equals, getPath, iterableEquality, subsetEquality } from "@jest/expect-utils";
import { equal } from "@std/assert";

/** True when the value matches. */
// deno-lint-ignore no-explicit-any
export type Matcher = (actual: any, ...args: any[]) => boolean;

// deno-lint-ignore no-explicit-any
type ErrorClass = abstract new (...args: any[]) => Error;

/** Unlike Jest, std treats 0 and -0 as equal; typed arrays are compared in one loop. */
function numberTester(a: unknown, b: unknown): boolean | undefined {
  if (typeof a === "number" && typeof b === "number") return a === b || (a !== a && b !== b);
  return ArrayBuffer.isView(a) && ArrayBuffer.isView(b) ? equal(a, b) : undefined;
}

/** Deep equality in which a missing property equals an undefined one and classes do not matter. */
function looselyEqual(actual: unknown, expected: unknown): boolean {
  return equals(actual, expected, [numberTester, iterableEquality]);
}

function matchesError(error: unknown, expected?: string | RegExp | ErrorClass | Error): boolean {
  if (expected === undefined) return true;
  if (typeof expected === "function") return error instanceof expected;
  const message = error instanceof Error ? error.message : String(error);
  if (typeof expected === "string") return message.includes(expected);
  if (expected instanceof RegExp) return expected.test(message);
  return message === expected.message;
}

function throws(
  actual: (() => unknown) | unknown,
  expected?: string | RegExp | ErrorClass | Error,
): boolean {
  // After `rejects` the value is the reason itself.
  if (typeof actual !== "function") {
    return actual instanceof Error && matchesError(actual, expected);
  }
  try {
    actual();
  } catch (error) {
    return matchesError(error, expected);
  }
  return false;
}

function hasProperty(actual: object, path: string | string[], ...value: unknown[]): boolean {
  const found = getPath(actual as Record<string, unknown>, path);
  const exists = found.hasEndProp === true;
  return exists && (value.length === 0 || looselyEqual(found.value, value[0]));
}

function contains(actual: string | Iterable<unknown>, expected: unknown): boolean {
  if (typeof actual === "string") return actual.includes(String(expected));
  for (const item of actual) if (item === expected || Object.is(item, expected)) return true;
  return false;
}

/** The matchers by name; the first argument is the value under test. */
export const matchers = {
  toBe: (actual: unknown, expected: unknown) => Object.is(actual, expected),
  toEqual: (actual: unknown, expected: unknown) => looselyEqual(actual, expected),
  toStrictEqual: (actual: unknown, expected: unknown) => equal(actual, expected),
  toMatchObject: (actual: unknown, expected: object) =>
    equals(actual, expected, [numberTester, iterableEquality, subsetEquality]),
  toBeCloseTo: (actual: number, expected: number, digits = 2) =>
    actual === expected || Math.abs(actual - expected) < 0.5 * 10 ** -digits,
  toBeGreaterThan: (actual: number | bigint, expected: number | bigint) => actual > expected,
  toBeGreaterThanOrEqual: (actual: number | bigint, expected: number | bigint) =>
    actual >= expected,
  toBeLessThan: (actual: number | bigint, expected: number | bigint) => actual < expected,
  toBeLessThanOrEqual: (actual: number | bigint, expected: number | bigint) => actual <= expected,
  toBeDefined: (actual: unknown) => actual !== undefined,
  toBeUndefined: (actual: unknown) => actual === undefined,
  toBeNull: (actual: unknown) => actual === null,
  toBeNaN: (actual: unknown) => Number.isNaN(actual),
  toBeTruthy: (actual: unknown) => Boolean(actual),
  toBeFalsy: (actual: unknown) => !actual,
  toBeInstanceOf: (actual: unknown, type: abstract new (...args: never[]) => unknown) =>
    actual instanceof type,
  toContain: contains,
  toContainEqual: (actual: Iterable<unknown>, expected: unknown) =>
    [...actual].some((item) => looselyEqual(item, expected)),
  toHaveLength: (actual: { readonly length: number }, expected: number) =>
    actual.length === expected,
  toHaveProperty: hasProperty,
  toMatch: (actual: string, expected: RegExp | string) =>
    typeof expected === "string" ? actual.includes(expected) : expected.test(actual),
  toThrow: throws,
};
