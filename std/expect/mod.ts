/**
 * Stand-in for `@std/expect`, for networks that reach npm but not JSR: its usual matchers with `not`,
 * `resolves` and `rejects`. No mocks, asymmetric matchers or snapshots. `deno unlink std/expect`
 * switches to the real package.
 *
 * @module
 */
import { AssertionError } from "@std/assert";
import { matchers } from "./matchers.ts";
import type { Matcher } from "./matchers.ts";

type Arguments<M> = M extends (actual: never, ...rest: infer R) => unknown ? R : never;

/** The matchers; each throws an `AssertionError` when the value does not match. */
export type Matchers<Result> = {
  [K in keyof typeof matchers]: (...args: Arguments<(typeof matchers)[K]>) => Result;
};

/** What {@linkcode expect} returns. */
export type Expected<Result = void> = Matchers<Result> & {
  readonly not: Matchers<Result>;
};

function build<Result>(run: (matcher: Matcher, name: string, args: unknown[]) => Result) {
  const table: Record<string, unknown> = {};
  for (const [name, matcher] of Object.entries(matchers)) {
    table[name] = (...args: unknown[]) => run(matcher as Matcher, name, args);
  }
  return table as Matchers<Result>;
}

function check(
  actual: unknown,
  negated: boolean,
  message: string | undefined,
): (matcher: Matcher, name: string, args: unknown[]) => void {
  return (matcher, name, args) => {
    if (matcher(actual, ...args) !== negated) return;
    const shown = [actual, ...args].map((value) =>
      Deno.inspect(value, { depth: 8, iterableLimit: 40, strAbbreviateSize: 2000 })
    );
    const call = `expect(${shown[0]})${negated ? ".not" : ""}.${name}(${
      shown.slice(1).join(", ")
    })`;
    throw new AssertionError(`${message ? `${message}: ` : ""}${call} does not hold`);
  };
}

function settled(
  get: () => Promise<unknown>,
  message: string | undefined,
): Expected<Promise<void>> {
  const later = (negated: boolean) =>
    build(async (matcher, name, args) => check(await get(), negated, message)(matcher, name, args));
  return { ...later(false), not: later(true) };
}

async function reasonOf(promise: unknown): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new AssertionError(`Expected the promise to reject, it resolved to ${Deno.inspect(value)}`);
}

async function valueOf(promise: unknown): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    throw new AssertionError(
      `Expected the promise to resolve, it rejected: ${Deno.inspect(error)}`,
    );
  }
}

/**
 * Begins an expectation about a value.
 *
 * @param actual The value, or a promise for `resolves` and `rejects`
 * @param message Said before the failure's text
 */
export function expect(actual: unknown, message?: string): Expected & {
  readonly resolves: Expected<Promise<void>>;
  readonly rejects: Expected<Promise<void>>;
} {
  return {
    ...build(check(actual, false, message)),
    not: build(check(actual, true, message)),
    get resolves() {
      return settled(() => valueOf(actual), message);
    },
    get rejects() {
      return settled(() => reasonOf(actual), message);
    },
  };
}
