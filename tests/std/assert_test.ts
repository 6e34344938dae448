import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertIsError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
} from "@std/assert";

/** Names the calls of a table that behave wrongly: those in `passing` throw, those in `failing` don't. */
function misjudged(passing: (() => unknown)[], failing: (() => unknown)[]): string[] {
  const wrong: string[] = [];
  for (const call of passing) {
    try {
      call();
    } catch {
      wrong.push(`should pass: ${call}`);
    }
  }
  for (const call of failing) {
    try {
      call();
      wrong.push(`should fail: ${call}`);
    } catch (error) {
      if (!(error instanceof AssertionError)) wrong.push(`threw ${error}: ${call}`);
    }
  }
  return wrong;
}

// The one check that does not lean on the code under test.
function mustBeEmpty(wrong: string[]): void {
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
}

class Point {
  constructor(readonly x: number) {}
}
class Other {
  constructor(readonly x: number) {}
}

Deno.test("deep equality follows std's rules", () => {
  const cases: [unknown, unknown, boolean][] = [
    [0, -0, true],
    [NaN, NaN, true],
    [[0], [-0], true],
    [{ a: NaN }, { a: NaN }, true],
    [1, "1", false],
    [{ a: 1 }, { a: 1, b: undefined }, false],
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
    [[1, 2], [2, 1], false],
    [new Point(1), new Point(1), true],
    [new Point(1), new Other(1), false],
    [new Float32Array([1, NaN]), new Float32Array([1, NaN]), true],
    [new Float32Array([1]), new Float64Array([1]), false],
    [new Float32Array([1, 2]), new Float32Array([1, 3]), false],
    [new Uint8Array([1]), new Uint8Array([1, 2]), false],
    [new BigUint64Array([1n]), new BigUint64Array([1n]), true],
    [new Map([["a", [1]]]), new Map([["a", [1]]]), true],
    [new Map([["a", [1]]]), new Map([["a", [2]]]), false],
    [new Set([1, 2]), new Set([2, 1]), true],
    [new Date(5), new Date(5), true],
    [new Date(5), new Date(6), false],
    [/a/g, /a/i, false],
    [null, undefined, false],
    [{ t: { u: new Float64Array([1]) } }, { t: { u: new Float64Array([2]) } }, false],
  ];
  mustBeEmpty(
    cases.filter(([a, b, same]) => equal(a, b) !== same).map((row) => Deno.inspect(row)),
  );
});

Deno.test("each assertion passes and fails where it should", () => {
  mustBeEmpty(misjudged(
    [
      () => assert(1),
      () => assertFalse(0),
      () => assertEquals([1, { a: 2 }], [1, { a: 2 }]),
      () => assertNotEquals([1], [2]),
      () => assertStrictEquals(NaN, NaN),
      () => assertNotStrictEquals<unknown>({}, {}),
      () => assertAlmostEquals(1, 1 + 1e-9),
      () => assertAlmostEquals(1, 1.4, 0.5),
      () => assertAlmostEquals(-Infinity, -Infinity),
      () => assertExists(0),
      () => assertGreater(2, 1),
      () => assertGreaterOrEqual(2, 2),
      () => assertLess(1, 2),
      () => assertLessOrEqual(2, 2),
      () => assertStringIncludes("abc", "bc"),
      () => assertArrayIncludes([{ a: 1 }, { a: 2 }], [{ a: 2 }]),
      () => assertMatch("abc", /^a/),
      () => assertNotMatch("abc", /^b/),
      () => assertInstanceOf(new Point(1), Point),
      () => assertIsError(new TypeError("bad x"), TypeError, /x$/),
    ],
    [
      () => assert(0),
      () => assertFalse("x"),
      () => assertEquals([1, { a: 2 }], [1, { a: 3 }]),
      () => assertNotEquals([1], [1]),
      () => assertStrictEquals<unknown>({}, {}),
      () => assertNotStrictEquals(1, 1),
      () => assertAlmostEquals(1, 1.001),
      () => assertAlmostEquals(1, 1.6, 0.5),
      () => assertAlmostEquals(NaN, 1, 1e9),
      () => assertAlmostEquals(Infinity, 1, 1e9),
      () => assertExists(null),
      () => assertExists(undefined),
      () => assertGreater(1, 1),
      () => assertGreaterOrEqual(1, 2),
      () => assertLess(NaN, 2),
      () => assertLessOrEqual(3, 2),
      () => assertStringIncludes("abc", "cb"),
      () => assertArrayIncludes([1], [2]),
      () => assertMatch("abc", /^b/),
      () => assertNotMatch("abc", /^a/),
      () => assertInstanceOf(new Point(1), Other),
      () => assertIsError(new TypeError("bad"), RangeError),
      () => assertIsError("bad"),
      () => fail("on purpose"),
    ],
  ));
});

function throwRange(): never {
  throw new RangeError("out of range by 3");
}

Deno.test("assertThrows checks class and text and returns the error", () => {
  const error = assertThrows(throwRange, RangeError, "by 3");
  assertEquals(error.message, "out of range by 3");
  mustBeEmpty(misjudged(
    [() => assertThrows(throwRange), () => assertThrows(throwRange, "a message")],
    [
      () => assertThrows(() => 1),
      () => assertThrows(throwRange, TypeError),
      () => assertThrows(throwRange, RangeError, "by 4"),
    ],
  ));
});

Deno.test("assertRejects checks class and text and resolves to the error", async () => {
  const rejecting = () => Promise.reject(new RangeError("out of range by 3"));
  const error = await assertRejects(rejecting, RangeError, "by 3");
  assertEquals(error.message, "out of range by 3");
  const failing = [
    () => assertRejects(() => Promise.resolve(1)),
    () => assertRejects(rejecting, TypeError),
    () => assertRejects(rejecting, RangeError, "by 4"),
    () => assertRejects(throwRange),
  ];
  for (const call of failing) {
    const outcome = await call().then(() => "passed", (reason) => reason.constructor.name);
    if (outcome !== "AssertionError") throw new Error(`${outcome}: ${call}`);
  }
});

Deno.test("the failure's text shows both values and the message", () => {
  const error = assertThrows(() => assertEquals({ a: 1 }, { a: 2 }, "the row"), AssertionError);
  assertStringIncludes(error.message, "a: 1");
  assertStringIncludes(error.message, "a: 2");
  assertStringIncludes(error.message, "the row");
});
