import { assert, assertEquals, assertThrows } from "@std/assert";
import { counterUniform, makeContext } from "../../losses/contract_batches.ts";
import type { Json, Options } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import { defaultOptions, readOptions } from "../../losses/options.ts";
import { runMode } from "../../losses/run_mode.ts";
import betaDpo from "../../modes/beta_dpo.ts";
import { assertAllClose, assertClose } from "../losses/assert_close.ts";
import { contextWithDraws, normalMargins, pairsWithMargins } from "../losses/make_pairs.ts";

const defaults = defaultOptions(betaDpo.options);

/** The seed variant, written down once more without shared code. */
function independentBetaDpo(options: Options) {
  const o = options as Record<string, number>;
  let center = NaN;
  let width = NaN;
  return (gaps: number[], draws: number[]) => {
    const n = gaps.length;
    const average = gaps.reduce((a, b) => a + b, 0) / n;
    const variance = gaps.reduce((a, b) => a + (b - average) ** 2, 0) / n;
    const spread = Math.max(Math.sqrt(variance), o.eps);
    const old = Number.isNaN(center) ? undefined : { center, width };
    center = old ? o.m * old.center + (1 - o.m) * average : average;
    width = old ? Math.max(o.m * old.width + (1 - o.m) * spread, o.eps) : spread;
    const k = Math.max(1, Math.trunc(n * o.rho));
    const race = gaps.map((gap, i) => {
      const z = (gap - center) / (width + o.eps);
      return { i, key: -z * z / 2 - Math.log(-Math.log(draws[i])) };
    });
    const kept = race.sort((a, b) => b.key - a.key).slice(0, k).map(({ i }) => i);
    const keptMean = kept.sort((a, b) => a - b).reduce((sum, i) => sum + gaps[i], 0) / k;
    const beta = Math.max(o.beta_0 * (1 + o.alpha * (keptMean - center)), o.min_beta);
    const seeds = gaps.map(() => 0);
    let loss = 0;
    for (const i of kept) {
      const x = -beta * gaps[i];
      loss += (Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))) / k;
      const slope = x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
      seeds[i] = -beta * slope / k;
    }
    return { kept, beta, center, width, loss, seeds };
  };
}

Deno.test("beta_dpo equals an independent formula on 10,000 random batches in 100 runs", () => {
  for (let round = 0; round < 100; round++) {
    const pick = (i: number) => counterUniform(round, 1000 + i);
    const scale = 10 ** (-3 + 7 * pick(0));
    const options = {
      ...defaults,
      rho: 0.1 + 0.9 * pick(1),
      m: pick(2),
      // A change of beta of order one for every scale of gaps.
      alpha: pick(3) / scale,
    };
    const check = independentBetaDpo(options);
    let state: Json = betaDpo.init(options) as unknown as Json;
    for (let call = 0; call < 100; call++) {
      const size = 1 + Math.floor(64 * counterUniform(round, call));
      const margins = normalMargins(1000 * round + call, size, scale);
      const draws = margins.map((_, i) => counterUniform(call, 5000 * round + i));
      const context = contextWithDraws(draws, call);
      const found = runMode(betaDpo, pairsWithMargins(margins), state, options, context);
      const expected = check(margins, draws);
      const kept = [...found.weights.keys()].filter((i) => found.weights[i] > 0);
      assertEquals(kept, expected.kept);
      assertClose(found.beta as number, expected.beta, 1e-12, "beta", 0.1);
      const exponent = Math.max(1, expected.beta * scale);
      assertClose(found.loss, expected.loss, 1e-12, "loss", exponent);
      assertAllClose(found.seeds.chosen, expected.seeds, 1e-12, "seeds", exponent);
      assertClose(found.metrics["beta_dpo/M0"], expected.center, 1e-12, "M0", scale);
      assertClose(found.metrics["beta_dpo/sigma"], expected.width, 1e-12, "sigma", scale);
      state = found.state;
    }
  }
});

Deno.test("beta_dpo with policy equal to the reference keeps beta_0 and samples evenly", () => {
  const state = betaDpo.init(defaults) as unknown as Json;
  const batch = pairsWithMargins([0, 0, 0, 0, 0]);
  const context = contextWithDraws([0.5, 0.2, 0.9, 0.7, 0.05]);
  const outcome = runMode(betaDpo, batch, state, defaults, context);
  assertEquals([outcome.beta, outcome.loss], [0.1, Math.LN2]);
  // Equal weights: the four largest draws win the race.
  assertEquals([...outcome.weights], [0.25, 0.25, 0.25, 0.25, 0]);
});

Deno.test("beta_dpo leaves pairs without a gap out of statistics and selection", () => {
  const state = betaDpo.init(defaults) as unknown as Json;
  const context = makeContext(true, 0);
  const options = { ...defaults, rho: 1 };
  const outcome = runMode(betaDpo, pairsWithMargins([1, NaN, 3]), state, options, context);
  assertEquals(outcome.state, { threshold: { M0: 2, sigma: 1 } });
  assertEquals([...outcome.weights], [0.5, 0, 0.5]);
  assertEquals(outcome.seeds.chosen[1], 0);
  assertEquals(outcome.metrics["beta_dpo/skipped_nonfinite"], 1);
  // Draws stay with their rows: pair 2 is kept for its own draw, whatever pair 1 is.
  const half = { ...defaults, rho: 0.5 };
  const draws = contextWithDraws([0.1, 0.01, 0.9]);
  const two = runMode(betaDpo, pairsWithMargins([1, NaN, 3]), state, half, draws);
  assertEquals([...two.weights], [0, 0, 1]);
  const none = runMode(betaDpo, pairsWithMargins([NaN, NaN]), state, defaults, context);
  assertEquals([none.loss, none.beta], [0, 0.1]);
  assertEquals(none.state, state);
});

Deno.test("beta_dpo evaluates all pairs at beta_0 and keeps its state", () => {
  const state = { threshold: { M0: 0.5, sigma: 2 } };
  const batch = pairsWithMargins([1, 2, 30]);
  const outcome = runMode(betaDpo, batch, state, defaults, makeContext(false, 4));
  assertEquals([outcome.beta, outcome.state], [0.1, state]);
  assertEquals([...outcome.weights], [1 / 3, 1 / 3, 1 / 3]);
  assertEquals(outcome.metrics["dpo/beta"], 0.1);
});

Deno.test("beta_dpo logs beta_0 as dpo/beta, and the beta used beside it", () => {
  const state = { threshold: { M0: 0, sigma: 1 } };
  const options = { ...defaults, rho: 1, max_beta: 0.12 };
  const outcome = runMode(betaDpo, pairsWithMargins([4, 6]), state, options, makeContext(true, 0));
  const { metrics } = outcome;
  assertEquals([metrics["dpo/beta"], outcome.beta], [0.1, 0.12]);
  // M0 = 0.1 * 5, so 0.1 (1 + 0.5 * 4.5) = 0.325, cut at the ceiling.
  assertClose(metrics["beta_dpo/beta_used_raw"], 0.325, 1e-14, "raw");
  assertEquals(metrics["beta_dpo/n_clamped"], 1);
  assertEquals(metrics["beta_dpo/keep_ratio"], 1);
  assertEquals([metrics["beta_dpo/gap_mean"], metrics["beta_dpo/gap_selected_mean"]], [5, 5]);
});

Deno.test("beta_dpo reads the user's spellings and has the defaults of the plan", () => {
  const plan = { m: 0.9, rho: 0.8, alpha: 0.5, min_beta: 1e-3, eps: 1e-6, beta_0: 0.1 };
  for (const [name, value] of Object.entries(plan)) assertEquals(defaults[name], value);
  const config = {
    beta_update: { beta_0: 0.3, alpha: 0.005 },
    beta_dpo: { mode_loss: "beta_dpo", bdpo_m: 0.7, rho: 0.6, log_margins: true, log_dir: "x" },
  };
  const others = ["mode_loss", "log_margins", "log_dir"];
  const options = readOptions("beta_dpo", betaDpo.options, config, others);
  assertEquals(options, { ...defaults, beta_0: 0.3, m: 0.7, rho: 0.6 });
  const own = { ...config, beta_dpo: { beta_0: 0.05 } };
  assertEquals(readOptions("beta_dpo", betaDpo.options, own).beta_0, 0.05);
  const low = { ...defaults, max_beta: 1e-4 };
  assertThrows(() => betaDpo.init(low), ModeError, "must not be below");
});

Deno.test("beta_dpo remarks on decision sets that are too small to filter or to average", () => {
  const remarks = (n: number) =>
    betaDpo.remarks!(defaults, { decisionSize: n, decisions: 100 }).join();
  assertEquals(remarks(16), "");
  assert(remarks(4).includes("4 pairs and keeps 3"), remarks(4));
  assert(remarks(1).includes("keeps all of them"), remarks(1));
  assertEquals(betaDpo.needs({ ...defaults, scope: "step" }).scope, "step");
});
