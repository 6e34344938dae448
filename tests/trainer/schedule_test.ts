import { assertAlmostEquals, assertEquals } from "@std/assert";
import { scheduleFactor, type ScheduleKind } from "../../trainer/schedule.ts";

function factors(kind: ScheduleKind, warmupSteps: number, totalSteps: number): number[] {
  return Array.from(
    { length: totalSteps + 1 },
    (_, step) => scheduleFactor({ kind, warmupSteps }, step, totalSteps),
  );
}

// 10 steps, warm-up 2; linear and cosine are the numbers of transformers' own schedule tests over 10.
const TRANSFORMERS: Record<ScheduleKind, number[]> = {
  constant: [0, 0.5, 1, 1, 1, 1, 1, 1, 1, 1],
  linear: [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125],
  cosine: [0, 0.5, 1, 0.961, 0.853, 0.691, 0.5, 0.308, 0.146, 0.038],
};

for (const kind of ["constant", "linear", "cosine"] as const) {
  Deno.test(`schedule ${kind} gives the factors of transformers`, () => {
    const found = factors(kind, 2, 10);
    TRANSFORMERS[kind].forEach((expected, step) => assertAlmostEquals(found[step], expected, 1e-3));
  });
}

Deno.test("linear and cosine end at 0, and stay there beyond the last step", () => {
  for (const kind of ["linear", "cosine"] as const) {
    assertAlmostEquals(scheduleFactor({ kind, warmupSteps: 0 }, 7, 7), 0, 1e-15);
  }
  assertEquals(scheduleFactor({ kind: "linear", warmupSteps: 0 }, 9, 7), 0);
  assertEquals(scheduleFactor({ kind: "cosine", warmupSteps: 0 }, 0, 7), 1);
});

Deno.test("a warm-up longer than the run only rises", () => {
  assertEquals(factors("linear", 8, 4), [0, 1 / 8, 2 / 8, 3 / 8, 4 / 8]);
});
