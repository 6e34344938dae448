/** The comparison itself: what it accepts, what it refuses, and what it says. */
import { assert, assertThrows } from "@std/assert";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";

const refused = (found: ArrayLike<number>, expected: ArrayLike<number>, bounds = FORWARD) => {
  let message = "";
  assertThrows(() => {
    try {
      assertClose(found, expected, bounds, "group", "place");
    } catch (error) {
      message = (error as Error).message;
      throw error;
    }
  });
  return message;
};

Deno.test("assertClose bounds the L2 error by the norm of what is expected", () => {
  assertClose([1 + 0.9e-5, 0], [1, 0], { relativeL2: 1e-5 }, "group");
  refused([1 + 1.1e-5, 0], [1, 0], { relativeL2: 1e-5 });
  refused([1, 1.1e-5], [1, 0], { relativeL2: 1e-5 });
  refused([1e-30], [0], BACKWARD);
  assertClose([0], [0], FORWARD, "group");
});

Deno.test("assertClose bounds the largest error by the largest expected value", () => {
  assertClose([2, 0.9e-4], [2, 0], { relativeMax: 5e-5 }, "group");
  refused([2, 1.1e-4], [2, 0], { relativeMax: 5e-5 });
});

Deno.test("assertClose takes the size of cancelled terms into account", () => {
  assertClose([0.9e-5], [0], { relativeL2: 1e-5, scale: 1 }, "group");
  refused([1.1e-5], [0], { relativeL2: 1e-5, scale: 1 });
});

Deno.test("assertClose never accepts NaN, infinities or another length", () => {
  refused([NaN], [NaN]);
  refused([Infinity], [Infinity]);
  refused([NaN, 1], [0, 1]);
  refused([], [1]);
});

Deno.test("assertClose names the case and shows the first mismatches", () => {
  const message = refused([0, 1, 2, 3, 4, 5, 6, NaN], [0, 0, 0, 0, 0, 0, 0, 0]);
  assert(message.startsWith("group, place: L2 error Infinity"), message);
  assert(message.includes("7 of 8 elements are off"), message);
  assert(message.includes("  [1] found 1, expected 0\n"), message);
  assert(message.includes("  [5] found 5, expected 0") && !message.includes("[6]"), message);
});

Deno.test("assertSameBits tells zeros and NaNs apart by their bits", () => {
  assertSameBits(Float32Array.of(1, NaN, -0), Float32Array.of(1, NaN, -0), "same");
  assertThrows(
    () => assertSameBits(Float32Array.of(0), Float32Array.of(-0), "zero"),
    Error,
    "zero",
  );
  assertThrows(() => assertSameBits(Float32Array.of(1), Float32Array.of(1, 2), "length"));
  const above = 1 + 2 ** -23;
  assertThrows(() => assertSameBits(Float32Array.of(above), Float32Array.of(1), "bit"));
});
