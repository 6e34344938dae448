import { assert, assertEquals } from "@std/assert";
import {
  betaDpoBetaUpdate,
  betaDpoDataFilter,
  betaDpoDpoLoss,
  computeBetaDpoMargin,
  computeBetaDpoThreshold,
} from "../../losses/beta_dpo.ts";
import { counterUniform } from "../../losses/contract_batches.ts";
import { assertClose } from "./assert_close.ts";
import { pairsWithMargins } from "./make_pairs.ts";

const filter = { rho: 0.5, eps: 1e-6 };

Deno.test("computeBetaDpoMargin() subtracts the reference from each answer first", () => {
  const one = (x: number) => Float64Array.of(x);
  assertEquals(computeBetaDpoMargin(one(-3), one(-9), one(-5), one(-8)), one(3));
  // The other order of subtraction would round 1e16 + 1 and lose the 1.
  assertEquals(computeBetaDpoMargin(one(1e16), one(-1), one(1e16), one(0)), one(1));
});

Deno.test("computeBetaDpoThreshold() starts at the first batch, then averages, never below eps", () => {
  const settings = { m: 0.9, eps: 1e-6 };
  const first = computeBetaDpoThreshold([1, 3], null, settings);
  assertEquals(first, { M0: 2, sigma: 1 });
  const second = computeBetaDpoThreshold([7, 7], first, settings);
  assertClose(second.M0, 0.9 * 2 + 0.1 * 7, 1e-15, "M0");
  assertClose(second.sigma, 0.9 + 0.1 * 1e-6, 1e-15, "sigma");
  assertEquals(computeBetaDpoThreshold([5], null, settings), { M0: 5, sigma: 1e-6 });
  const sample = { ...settings, variant: "official" } as const;
  const official = computeBetaDpoThreshold([1, 3], { M0: 0, sigma: 0 }, sample);
  assertClose(official.sigma, 0.1 * Math.SQRT2, 1e-15, "sample deviation");
});

Deno.test("betaDpoDataFilter() keeps max(1, floor(n rho)) and draws only when it must choose", () => {
  const never = () => {
    throw new Error("drawn");
  };
  const threshold = { M0: 0, sigma: 1 };
  const keep = (n: number, rho: number) => {
    const uniform = (i: number) => counterUniform(1, i);
    return betaDpoDataFilter(new Array(n).fill(0), threshold, { ...filter, rho }, uniform);
  };
  for (const [n, rho, k] of [[10, 0.8, 8], [5, 0.8, 4], [3, 0.5, 1], [1, 0.8, 1], [9, 0.01, 1]]) {
    const { mask, selected } = keep(n, rho);
    assertEquals([selected.length, mask.reduce((a, b) => a + b)], [k, k]);
    assert(selected.every((i) => mask[i] === 1));
  }
  assertEquals(
    betaDpoDataFilter([1, 2], threshold, { ...filter, rho: 1 }, never).selected,
    [0, 1],
  );
});

Deno.test("betaDpoDataFilter() prefers the less unusual even where every weight underflows", () => {
  // Weights e^-5000, e^-7200, e^-3200: all 0 in float64, yet the third is the most likely by far.
  const { selected } = betaDpoDataFilter([100, 120, 80], { M0: 0, sigma: 1 }, filter, () => 0.5);
  assertEquals(selected, [2]);
  const tie = betaDpoDataFilter([1, 1, 1, 1], { M0: 0, sigma: 1 }, filter, () => 0.5);
  assertEquals(tie.selected, [0, 1]);
});

/** Chance of each index to be among k drawn one after the other, weights renormalised each time. */
function inclusion(weights: readonly number[], k: number): number[] {
  const chance = weights.map(() => 0);
  const draw = (left: readonly number[], probability: number, more: number) => {
    if (more === 0) return;
    const sum = left.reduce((total, i) => total + weights[i], 0);
    for (const i of left) {
      const p = probability * weights[i] / sum;
      chance[i] += p;
      draw(left.filter((j) => j !== i), p, more - 1);
    }
  };
  draw(weights.map((_, i) => i), 1, k);
  return chance;
}

Deno.test("betaDpoDataFilter() selects with the exact frequencies: 20,000 draws within 4 sigma", () => {
  const gaps = [0.1, -0.4, 1.3, 2.2, -1.7, 0.6];
  const threshold = { M0: 0.2, sigma: 0.9 };
  const weights = gaps.map((gap) => Math.exp(-0.5 * ((gap - 0.2) / (0.9 + 1e-6)) ** 2));
  for (const k of [1, 3, 5]) {
    const counts = gaps.map(() => 0);
    for (let draw = 0; draw < 20_000; draw++) {
      const uniform = (i: number) => counterUniform(draw, i);
      const settings = { ...filter, rho: (k + 0.5) / gaps.length };
      for (const i of betaDpoDataFilter(gaps, threshold, settings, uniform).selected) counts[i]++;
    }
    inclusion(weights, k).forEach((p, i) => {
      const sigma = Math.sqrt(p * (1 - p) / 20_000);
      const distance = Math.abs(counts[i] / 20_000 - p);
      assert(distance <= 4 * sigma, `k ${k}, index ${i}: ${distance / sigma} sigma away`);
    });
  }
});

Deno.test("betaDpoBetaUpdate() is linear in the kept mean between floor and ceiling", () => {
  const settings = { beta_0: 0.1, alpha: 0.5, min_beta: 1e-3 };
  const update = (gaps: number[], ceiling?: number) =>
    betaDpoBetaUpdate(gaps, [0, 2], 1, { ...settings, max_beta: ceiling });
  const plain = update([2, 99, 4]);
  assertEquals(plain.gapSelectedMean, 3);
  assertClose(plain.beta, 0.2, 1e-15, "beta");
  assertEquals(update([-30, 0, -30]).beta, 1e-3);
  assertClose(update([-30, 0, -30]).raw, 0.1 * (1 + 0.5 * -31), 1e-15, "raw");
  assertEquals(update([2, 99, 4], 0.15).beta, 0.15);
  assertClose(update([2, 99, 4], 0).beta, 0.2, 1e-15, "no ceiling");
});

Deno.test("betaDpoDpoLoss() is the mean over kept pairs, with no seed for the others", () => {
  const { loss, seeds } = betaDpoDpoLoss(pairsWithMargins([1, 2, 3]), 0.5, Uint8Array.of(1, 0, 1));
  const expected = (Math.log1p(Math.exp(-0.5)) + Math.log1p(Math.exp(-1.5))) / 2;
  assertClose(loss, expected, 1e-15, "loss");
  assertEquals(seeds!.chosen[1], 0);
  assertClose(seeds!.chosen[0], -0.25 / (1 + Math.exp(0.5)), 1e-15, "seed");
  assertEquals(seeds!.rejected![2], -seeds!.chosen[2]);
});
