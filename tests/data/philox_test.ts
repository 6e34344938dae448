import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { philox4x32, uniform, uniformStream } from "../../data/philox.ts";

Deno.test("philox4x32() gives the known answers of Random123", () => {
  const hex = (words: number[]) => words.map((word) => word.toString(16).padStart(8, "0"));
  const all = 0xffffffff;
  assertEquals(hex(philox4x32([0, 0, 0, 0], [0, 0])), [
    "6627e8d5",
    "e169c58d",
    "bc57ac4c",
    "9b00dbd8",
  ]);
  assertEquals(hex(philox4x32([all, all, all, all], [all, all])), [
    "408f276d",
    "41c83b0e",
    "a20bc7c6",
    "6d5451fd",
  ]);
  const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344] as const;
  assertEquals(hex(philox4x32(pi, [0xa4093822, 0x299f31d0])), [
    "d16cfe09",
    "94fdcceb",
    "5001e420",
    "24126ea1",
  ]);
});

Deno.test("uniform() is spread evenly over (0, 1)", () => {
  const random = uniformStream(42, "test");
  const bins = new Array(16).fill(0);
  const count = 16000;
  for (let i = 0; i < count; i++) {
    const u = random(i);
    assert(u > 0 && u < 1);
    bins[Math.floor(u * 16)]++;
  }
  const expected = count / 16;
  const chi2 = bins.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
  // 15 degrees of freedom: beyond 37.7 with probability 0.001; fixed seed, so no flake.
  assert(chi2 < 37.7, `chi-square ${chi2}`);
});

Deno.test("uniform() depends on seed, stream and counter, each beyond 32 bits", () => {
  const base = uniform(7, "a", 3);
  assertEquals(uniform(7, "a", 3), base);
  for (const other of [uniform(8, "a", 3), uniform(7, "b", 3), uniform(7, "a", 4)]) {
    assertNotEquals(other, base);
  }
  assertNotEquals(uniform(7 + 2 ** 40, "a", 3), base);
  assertNotEquals(uniform(7, "a", 3 + 2 ** 40), base);
  for (const bad of [-1, 0.5, NaN, 2 ** 53]) {
    assertThrows(() => uniform(bad, "a", 0), RangeError, "seed");
    assertThrows(() => uniform(0, "a", bad), RangeError, "counter");
  }
});

// Made once with an independent big-integer implementation in Python.
Deno.test("uniform() keeps its values: checkpoints rely on them", () => {
  assertEquals([0, 1, 2].map((i) => uniform(42, "split", i)), [
    0.3067053584729095,
    0.2081089206693566,
    0.4133818120167966,
  ]);
});
