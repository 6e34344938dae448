import { assertAlmostEquals, assertEquals } from "@std/assert";
import { betaSpread, noiseFound } from "../../tools/sweep/microscope.ts";

Deno.test("noise found: precision, recall and area of a worked example", () => {
  // Flagged (below 0): rows 0 to 3; swapped: rows 0, 1, 4. Row 6 was never seen.
  const margins = [-3, -2, -1, -0.5, 2, 3, undefined];
  const swapped = [true, true, false, false, true, false, true];
  const found = noiseFound(margins, swapped);
  assertAlmostEquals(found["noise/precision"], 1 / 2, 1e-15);
  assertAlmostEquals(found["noise/recall"], 2 / 3, 1e-15);
  assertAlmostEquals(found["noise/flagged"], 2 / 3, 1e-15);
  // Of the 9 pairs (swapped, kept) the swapped one lies lower in 3 + 3 + 1.
  assertAlmostEquals(found["noise/auc"], 7 / 9, 1e-15);
});

Deno.test("noise found: equal margins count half; perfect and reversed order are 1 and 0", () => {
  assertEquals(noiseFound([0, 0, 0, 0], [true, false, true, false])["noise/auc"], 0.5);
  assertEquals(noiseFound([-1, 1], [true, false])["noise/auc"], 1);
  assertEquals(noiseFound([1, -1], [true, false])["noise/auc"], 0);
});

Deno.test("noise found: nothing is said where no label or every label is swapped", () => {
  assertEquals(noiseFound([1, 2], [false, false]), {});
  assertEquals(noiseFound([1, 2], [true, true]), {});
});

Deno.test("spread of beta over pairs: 1, 1, 4 have mean 2 and the deviation root 2", () => {
  const { "beta/pairs:mean": mean, "beta/pairs:sd": sd } = betaSpread([1, 1, 4]);
  assertEquals(mean, 2);
  assertAlmostEquals(sd, Math.SQRT2, 1e-15);
  assertEquals(betaSpread([]), {});
});
