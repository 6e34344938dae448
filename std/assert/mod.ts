/**
 * Stand-in for `@std/assert`, for networks that reach npm but not JSR: the part of its interface that
 * this project uses. `deno unlink std/assert` switches to the real package.
 *
 * @module
 */
import { equal } from "./equal.ts";

export { equal };

/** What every failed assertion throws. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

// deno-lint-ignore no-explicit-any
type AnyConstructor = abstract new (...args: any[]) => unknown;
// deno-lint-ignore no-explicit-any
type ErrorConstructor<E extends Error> = abstract new (...args: any[]) => E;

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 8, iterableLimit: 40, strAbbreviateSize: 2000 });
}

function refuse(summary: string, message?: string): never {
  throw new AssertionError(message ? `${summary}: ${message}` : summary);
}

function compared(what: string, actual: unknown, expected: unknown): string {
  return `${what}\n    actual:   ${show(actual)}\n    expected: ${show(expected)}\n`;
}

/** Fails unless `condition` is truthy. */
export function assert(condition: unknown, message = ""): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Fails if `condition` is truthy. */
export function assertFalse(condition: unknown, message?: string): void {
  if (condition) refuse(`Expected a falsy value, got ${show(condition)}`, message);
}

/** Fails unless the two values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  if (!equal(actual, expected)) {
    refuse(compared("Values are not equal", actual, expected), message);
  }
}

/** Fails if the two values are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  if (equal(actual, expected)) {
    refuse(`Expected a value different from ${show(expected)}`, message);
  }
}

/** Fails unless the two values are the same by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  if (!Object.is(actual, expected)) {
    refuse(compared("Values are not strictly equal", actual, expected), message);
  }
}

/** Fails if the two values are the same by `Object.is`. */
export function assertNotStrictEquals<T>(actual: T, expected: T, message?: string): void {
  if (Object.is(actual, expected)) {
    refuse(`Expected a value that is not strictly ${show(expected)}`, message);
  }
}

/**
 * Fails unless `|actual - expected| <= tolerance`. Without a tolerance it is 1e-7 of `expected`, or
 * 1e-7 where `expected` is 0, as in std.
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  message?: string,
): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected || 1) * 1e-7 : 1e-7);
  const distance = Math.abs(actual - expected);
  // Written so that NaN fails.
  if (distance <= allowed) return;
  refuse(
    `Expected ${actual} to be within ${allowed} of ${expected}, it is ${distance} away`,
    message,
  );
}

/** Fails if `actual` is null or undefined. */
export function assertExists<T>(
  actual: T,
  message?: string,
): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    refuse(`Expected a value, got ${show(actual)}`, message);
  }
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  if (!(actual > expected)) refuse(`Expected ${show(actual)} > ${show(expected)}`, message);
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void {
  if (!(actual >= expected)) refuse(`Expected ${show(actual)} >= ${show(expected)}`, message);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, message?: string): void {
  if (!(actual < expected)) refuse(`Expected ${show(actual)} < ${show(expected)}`, message);
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void {
  if (!(actual <= expected)) refuse(`Expected ${show(actual)} <= ${show(expected)}`, message);
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  if (!actual.includes(expected)) {
    refuse(compared("The text does not contain what was expected", actual, expected), message);
  }
}

/** Fails unless every item of `expected` is deeply equal to some item of `actual`. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T>,
  expected: ArrayLike<T>,
  message?: string,
): void {
  const items = Array.from(actual);
  const missing = Array.from(expected).filter((wanted) => !items.some((x) => equal(x, wanted)));
  if (missing.length > 0) refuse(compared("Items are missing", actual, missing), message);
}

/** Fails unless `actual` matches the pattern. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  if (!expected.test(actual)) {
    refuse(compared("The text does not match the pattern", actual, expected), message);
  }
}

/** Fails if `actual` matches the pattern. */
export function assertNotMatch(actual: string, expected: RegExp, message?: string): void {
  if (expected.test(actual)) {
    refuse(compared("The text matches the pattern", actual, expected), message);
  }
}

/** Fails unless `actual` is an instance of `type`. */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  type: T,
  message?: string,
): asserts actual is InstanceType<T> {
  if (!(actual instanceof type)) {
    refuse(`Expected an instance of "${type.name}", got ${show(actual)}`, message);
  }
}

/** Fails always. */
export function fail(message?: string): never {
  refuse("Failed assertion", message);
}

/** Fails unless `error` is an `Error` of the class and with the text asked for. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  type?: ErrorConstructor<E>,
  includes?: string | RegExp,
  message?: string,
): asserts error is E {
  if (!(error instanceof Error)) refuse(`Expected an Error, got ${show(error)}`, message);
  if (type && !(error instanceof type)) {
    refuse(
      `Expected an error of class "${type.name}", got "${error.constructor.name}": ${error.message}`,
      message,
    );
  }
  if (includes === undefined) return;
  const found = typeof includes === "string"
    ? error.message.includes(includes)
    : includes.test(error.message);
  if (!found) refuse(compared("The error message differs", error.message, includes), message);
}

/** The three call shapes std allows: `(fn, message?)` and `(fn, Class, includes?, message?)`. */
function checkThrown(
  error: unknown,
  typeOrMessage?: ErrorConstructor<Error> | string,
  includes?: string,
  message?: string,
): void {
  if (typeof typeOrMessage === "function") assertIsError(error, typeOrMessage, includes, message);
}

function lastMessage(
  typeOrMessage?: ErrorConstructor<Error> | string,
  message?: string,
): string | undefined {
  return typeof typeOrMessage === "string" ? typeOrMessage : message;
}

/** Calls `fn`, fails unless it throws; returns what was thrown. */
export function assertThrows(fn: () => unknown, message?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  type: ErrorConstructor<E>,
  includes?: string,
  message?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  typeOrMessage?: ErrorConstructor<Error> | string,
  includes?: string,
  message?: string,
): unknown {
  try {
    fn();
  } catch (error) {
    checkThrown(error, typeOrMessage, includes, message);
    return error;
  }
  refuse("Expected the function to throw", lastMessage(typeOrMessage, message));
}

/** Calls `fn`, fails unless it returns a promise that rejects; resolves to the reason. */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  message?: string,
): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  type: ErrorConstructor<E>,
  includes?: string,
  message?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  typeOrMessage?: ErrorConstructor<Error> | string,
  includes?: string,
  message?: string,
): Promise<unknown> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    refuse(`Expected a rejected promise, but the function threw ${show(error)}`);
  }
  try {
    await promise;
  } catch (error) {
    checkThrown(error, typeOrMessage, includes, message);
    return error;
  }
  refuse("Expected the promise to reject", lastMessage(typeOrMessage, message));
}
