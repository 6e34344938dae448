import { assertEquals, assertThrows } from "@std/assert";
import { logSigmoid, sigmoid } from "../../losses/log_sigmoid.ts";
import { marginRecord } from "../../losses/margin_record.ts";
import { nearestName } from "../../losses/nearest_name.ts";
import { quantile } from "../../losses/quantile.ts";
import { deviation, mean, movingAverage } from "../../losses/running_stats.ts";
import golden from "../goldens/modes.json" with { type: "json" };
import { assertClose } from "./assert_close.ts";

Deno.test("logSigmoid() gives the hand values and holds at both ends", () => {
  // torchtune's case: -log s(x) at margins 0, 10, 20 and beta 0.1.
  const expected = [0.693147180559945, 0.313261687518223, 0.126928011042973];
  expected.forEach((loss, i) => assertClose(-logSigmoid(i), loss, 2e-15, `loss ${i}`, 1));
  assertEquals(logSigmoid(-1e300), -1e300);
  assertEquals(-logSigmoid(40), 4.248354255291589e-18);
  assertEquals([sigmoid(-1e300), sigmoid(0), sigmoid(1e300)], [0, 0.5, 1]);
  for (const x of [-30, -2.5, 0, 0.1, 7]) {
    assertClose(sigmoid(x) + sigmoid(-x), 1, 1e-15, "sum");
    assertClose(Math.exp(logSigmoid(x)), sigmoid(x), 1e-13, "exp of log");
  }
});

Deno.test("quantile() interpolates linearly like numpy, whatever the order", () => {
  for (const { q, linear } of golden.quantile.cases) {
    assertClose(quantile(golden.quantile.x, q), linear, 1e-15, `quantile ${q}`);
  }
  // Rank 0.9 * 7 = 6.3: between the two largest, 1.5 + 0.3 * 1.5.
  assertClose(quantile([3, 1.5, 1, 0.5, 0, -1, -2, -0.5], 0.9), 1.95, 1e-15, "eight margins");
  assertEquals(quantile([7], 0.3), 7);
  assertThrows(() => quantile([], 0.5), RangeError, "no values");
  assertThrows(() => quantile([1], 1.1), RangeError, "1.1");
});

Deno.test("deviation() divides by n or n - 1 and survives both ends of float64", () => {
  assertEquals(mean([1, 2, 3, 4]), 2.5);
  assertClose(deviation([1, 2, 3, 4], 2.5), Math.sqrt(1.25), 1e-15, "population");
  assertClose(deviation([1, 2, 3, 4], 2.5, 1), Math.sqrt(5 / 3), 1e-15, "sample");
  assertEquals(deviation([5], 5, 1), 0);
  assertClose(deviation([1e300, -1e300], 0), 1e300, 1e-15, "huge");
  assertClose(deviation([1e-300, -1e-300], 0), 1e-300, 1e-15, "tiny");
  assertClose(movingAverage(2, 4, 0.9), 2.2, 1e-15, "moving average");
});

Deno.test("marginRecord() equals the golden records and keeps the first margins", () => {
  for (const { calls } of golden.risk) {
    for (const { expect } of calls) {
      const margins = Float64Array.from(expect.margin);
      const { sample, ...record } = marginRecord(margins, 3);
      assertEquals(sample, expect.margin.slice(0, 3));
      assertEquals(marginRecord(margins, 0).sample, expect.margin);
      assertEquals(Object.keys(record), Object.keys(expect.margin_log));
      for (const [name, value] of Object.entries(record)) {
        const expected = expect.margin_log[name as keyof typeof expect.margin_log];
        assertClose(value, expected, 1e-12, name, name === "std" ? 1e-3 : 0);
      }
    }
  }
});

Deno.test("nearestName() finds the slip and leaves other words alone", () => {
  const known = ["sigmoid", "hinge", "ipo"];
  assertEquals(nearestName("sigmiod", known), "sigmoid");
  assertEquals(nearestName("Hinge", known), "hinge");
  assertEquals(nearestName("reinforce", known), undefined);
  assertEquals(nearestName("a".repeat(100), ["a".repeat(99)]), "a".repeat(99));
  assertEquals(nearestName("a".repeat(101), ["a".repeat(100)]), undefined);
});
