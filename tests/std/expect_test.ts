import { AssertionError, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { expect } from "@std/expect";

const passing: Record<string, () => unknown> = {
  toBe: () => expect(NaN).toBe(NaN),
  toEqual: () => expect({ a: [1], b: undefined }).toEqual({ a: [1] }),
  toEqualZero: () => expect([0]).toEqual([-0]),
  toEqualTyped: () => expect(new Float32Array([1, 2])).toEqual(new Float32Array([1, 2])),
  toStrictEqual: () => expect({ a: [1] }).toStrictEqual({ a: [1] }),
  toMatchObject: () => expect({ a: 1, b: { c: 2, d: 3 } }).toMatchObject({ b: { c: 2 } }),
  toBeCloseTo: () => expect(1.001).toBeCloseTo(1),
  toBeCloseToDigits: () => expect(1.0000001).toBeCloseTo(1, 6),
  toBeGreaterThan: () => expect(2).toBeGreaterThan(1),
  toBeGreaterThanOrEqual: () => expect(2).toBeGreaterThanOrEqual(2),
  toBeLessThan: () => expect(1).toBeLessThan(2),
  toBeLessThanOrEqual: () => expect(2).toBeLessThanOrEqual(2),
  toBeDefined: () => expect(null).toBeDefined(),
  toBeUndefined: () => expect(undefined).toBeUndefined(),
  toBeNull: () => expect(null).toBeNull(),
  toBeNaN: () => expect(NaN).toBeNaN(),
  toBeTruthy: () => expect("x").toBeTruthy(),
  toBeFalsy: () => expect("").toBeFalsy(),
  toBeInstanceOf: () => expect(new TypeError()).toBeInstanceOf(Error),
  toContain: () => expect([1, 2]).toContain(2),
  toContainText: () => expect("abc").toContain("bc"),
  toContainEqual: () => expect([{ a: 1 }]).toContainEqual({ a: 1 }),
  toHaveLength: () => expect("abc").toHaveLength(3),
  toHaveProperty: () => expect({ a: { b: 1 } }).toHaveProperty("a.b", 1),
  toMatch: () => expect("abc").toMatch(/^a/),
  toThrow: () =>
    expect(() => {
      throw new RangeError("by 3");
    }).toThrow(RangeError),
};

const failing: Record<string, () => unknown> = {
  toBe: () => expect({}).toBe({}),
  toEqual: () => expect({ a: [1] }).toEqual({ a: [2] }),
  toEqualTyped: () => expect(new Float32Array([1, 2])).toEqual(new Float32Array([1, 3])),
  toStrictEqual: () => expect({ a: 1, b: undefined }).toStrictEqual({ a: 1 }),
  toMatchObject: () => expect({ a: 1 }).toMatchObject({ a: 2 }),
  toBeCloseTo: () => expect(1.01).toBeCloseTo(1),
  toBeCloseToNaN: () => expect(NaN).toBeCloseTo(1),
  toBeGreaterThan: () => expect(1).toBeGreaterThan(1),
  toBeGreaterThanOrEqual: () => expect(1).toBeGreaterThanOrEqual(2),
  toBeLessThan: () => expect(2).toBeLessThan(2),
  toBeLessThanOrEqual: () => expect(3).toBeLessThanOrEqual(2),
  toBeDefined: () => expect(undefined).toBeDefined(),
  toBeUndefined: () => expect(null).toBeUndefined(),
  toBeNull: () => expect(undefined).toBeNull(),
  toBeNaN: () => expect(1).toBeNaN(),
  toBeTruthy: () => expect(0).toBeTruthy(),
  toBeFalsy: () => expect("x").toBeFalsy(),
  toBeInstanceOf: () => expect(1).toBeInstanceOf(Error),
  toContain: () => expect([1, 2]).toContain(3),
  toContainEqual: () => expect([{ a: 1 }]).toContainEqual({ a: 2 }),
  toHaveLength: () => expect([1]).toHaveLength(2),
  toHaveProperty: () => expect({ a: { b: 1 } }).toHaveProperty("a.c"),
  toHavePropertyValue: () => expect({ a: { b: 1 } }).toHaveProperty("a.b", 2),
  toMatch: () => expect("abc").toMatch("x"),
  toThrow: () => expect(() => 1).toThrow(),
  toThrowText: () =>
    expect(() => {
      throw new RangeError("by 3");
    }).toThrow("by 4"),
  not: () => expect(1).not.toBe(1),
};

for (const [name, call] of Object.entries(passing)) {
  Deno.test(`expect passes: ${name}`, () => {
    call();
  });
}

for (const [name, call] of Object.entries(failing)) {
  Deno.test(`expect fails: ${name}`, () => {
    assertThrows(call, AssertionError);
  });
}

Deno.test("not turns a matcher round", () => {
  expect(1).not.toBe(2);
  expect([1]).not.toContain(2);
  expect(() => 1).not.toThrow();
});

Deno.test("resolves and rejects wait for the promise", async () => {
  await expect(Promise.resolve(3)).resolves.toBe(3);
  await expect(Promise.resolve(3)).resolves.not.toBe(4);
  await expect(Promise.reject(new RangeError("by 3"))).rejects.toThrow("by 3");
  await assertRejects(() => expect(Promise.resolve(3)).resolves.toBe(4), AssertionError);
  await assertRejects(() => expect(Promise.resolve(3)).rejects.toThrow(), AssertionError);
  await assertRejects(() => expect(Promise.reject(new Error("x"))).resolves.toBe(1));
});

Deno.test("the failure's text shows the value and what was expected", () => {
  const error = assertThrows(() => expect([1, 2]).toEqual([1, 7]), AssertionError);
  assertStringIncludes(error.message, "2");
  assertStringIncludes(error.message, "7");
});
