import { assert, assertEquals, assertThrows } from "@std/assert";
import { counterUniform, makeContext } from "../../losses/contract_batches.ts";
import type { Json, Options, ScoreBatch } from "../../losses/loss_mode.ts";
import { ModeError, ModeNumbersError } from "../../losses/mode_error.ts";
import { defaultOptions, readOptions } from "../../losses/options.ts";
import type { RiskState } from "../../losses/risk.ts";
import { runMode } from "../../losses/run_mode.ts";
import risk from "../../modes/risk.ts";
import { assertClose } from "../losses/assert_close.ts";
import { normalMargins, pairsWithMargins } from "../losses/make_pairs.ts";

const defaults = defaultOptions(risk.options);

/** A run that keeps its state; returns the outcome of each call. */
function runner(changes: Options) {
  const options = { ...defaults, ...changes };
  let state: Json = risk.init(options);
  let call = 0;
  return (margins: ArrayLike<number>, training = true) => {
    const batch = pairsWithMargins(margins);
    const outcome = runMode(risk, batch, state, options, makeContext(training, call++));
    state = outcome.state;
    return { ...outcome, after: state as unknown as RiskState };
  };
}

Deno.test("risk gives the hand case: margins 1, 2, 3, 4 twice", () => {
  const run = runner({ beta_warmup: 1 });
  assertEquals(run([1, 2, 3, 4]).after.tau, 3.7);
  const { metrics } = run([1, 2, 3, 4]);
  assertEquals(metrics["risk/p_hat"], 0.25);
  assertClose(metrics["risk/u_k"], 1, 1e-15, "u");
  assertClose(metrics["risk/s_k"], Math.tanh(2), 1e-15, "s");
  assertClose(metrics["dpo/beta"], 0.100483177, 1e-8, "beta");
  assertEquals([metrics["risk/beta_used"], metrics["risk/fail"]], [0.1, 1]);
});

/** The published rule, written down once more: sorting by hand, no shared code. */
function independentRisk(options: Options) {
  const o = options as Record<string, number>;
  const state = { beta: o.beta_0, tau: 0, seen: 0, buffer: [] as number[] };
  const upper = (values: number[]) => {
    const sorted = [...values].sort((a, b) => a - b);
    const place = (1 - o.delta) * (sorted.length - 1);
    const part = place % 1;
    const below = sorted[Math.trunc(place)];
    return part === 0 ? below : below * (1 - part) + part * sorted[Math.trunc(place) + 1];
  };
  return (margins: number[]) => {
    const used = state.beta;
    let loss = 0;
    for (const h of margins) {
      const x = -used * h;
      loss += (Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))) / margins.length;
    }
    if (++state.seen <= o.beta_warmup) {
      state.buffer.push(...margins);
      if (state.seen === o.beta_warmup) state.tau = upper(state.buffer);
    } else {
      state.tau += o.lambda * (upper(margins) - state.tau);
      const share = margins.reduce((n, h) => h >= state.tau ? n + 1 : n, 0) / margins.length;
      const excess = (share - o.delta) * Math.sqrt(margins.length / (o.delta * (1 - o.delta)));
      const factor = Math.exp(o.alpha * Math.tanh(o.gamma * excess));
      state.beta = Math.min(Math.max(state.beta * factor, o.beta_min), o.beta_max);
    }
    return { used, loss, tau: state.tau, beta: state.beta };
  };
}

Deno.test("risk equals an independent formula on 10,000 random batches in 100 runs", () => {
  for (let round = 0; round < 100; round++) {
    const pick = (i: number) => counterUniform(round, 1000 + i);
    const scale = 10 ** (-3 + 7 * pick(0));
    const changes = {
      delta: 0.02 + 0.5 * pick(1),
      lambda: 0.02 + 0.5 * pick(2),
      beta_warmup: 1 + Math.floor(20 * pick(3)),
      alpha: 0.1 * pick(4),
      gamma: 4 * pick(5),
    };
    const run = runner(changes);
    const check = independentRisk({ ...defaults, ...changes });
    for (let call = 0; call < 100; call++) {
      const size = 1 + Math.floor(64 * counterUniform(round, call));
      const margins = normalMargins(1000 * round + call, size, scale);
      const [found, expected] = [run(margins), check(margins)];
      assertClose(found.beta as number, expected.used, 1e-12, "beta used");
      assertClose(found.loss, expected.loss, 1e-12, "loss");
      assertClose(found.after.tau, expected.tau, 1e-12, "tau", scale);
      assertClose(found.after.beta, expected.beta, 1e-12, "beta after");
      assert(found.after.beta >= 1e-3 && found.after.beta <= 2);
    }
  }
});

Deno.test("risk follows a scripted trace of 400 calls: 120 of warm-up, then margins that grow", () => {
  const run = runner({});
  const check = independentRisk(defaults);
  let betaAtEnd = 0;
  for (let call = 0; call < 400; call++) {
    const margins = normalMargins(call, 16, 1).map((h) => h + 0.02 * Math.max(0, call - 200));
    const [found, expected] = [run(margins), check(margins)];
    assertEquals(found.after.warmupDone, call >= 119);
    assertEquals(found.after.warmupBuffer.length, call < 119 ? 16 * (call + 1) : 0);
    if (call < 120) assertEquals(found.after.beta, 0.1);
    assertClose(found.after.beta, expected.beta, 1e-12, `beta after call ${call}`);
    betaAtEnd = found.after.beta;
  }
  // Growing margins exceed tau more often than delta: beta must have risen.
  assert(betaAtEnd > 0.12, `beta ended at ${betaAtEnd}`);
});

Deno.test("risk counts a margin equal to tau as above it", () => {
  const run = runner({ beta_warmup: 1, lambda: 0 });
  assertEquals(run([2, 2, 2, 2]).after.tau, 2);
  assertEquals(run([2, 1, 1, 1]).metrics["risk/p_hat"], 0.25);
});

Deno.test("risk keeps beta within beta_min and beta_max whatever the margins", () => {
  const up = runner({ beta_warmup: 1, alpha: 1 });
  const down = runner({ beta_warmup: 1, alpha: 1, beta_min: 0.05 });
  up([0, 1]);
  down([0, 1]);
  for (let call = 0; call < 30; call++) {
    const high = up([1e6 * (call + 1), 1e6 * (call + 1)]).after.beta;
    const low = down([-1e6 * (call + 1), -1e6 * (call + 1)]).after.beta;
    assert(high <= 2 && low >= 0.05, `${high} ${low}`);
    if (call > 5) assertEquals([high, low], [2, 0.05]);
  }
});

Deno.test("risk without warm-up starts tau at the first batch; v1 leaves it at 0 for ever", () => {
  const run = runner({ beta_warmup: 0 });
  const first = run([1, 2, 3, 4]);
  assertEquals([first.after.tau, first.after.beta], [3.7, 0.1]);
  const v1 = runner({ beta_warmup: 0, compat: "v1" });
  const old = v1([1, 2, 3, 4]);
  assertEquals([old.after.tau, old.metrics["risk/p_hat"]], [0, 1]);
  assert(old.after.beta > 0.1);
  assertEquals(v1([5, 6]).after.tau, 0);
});

Deno.test("risk leaves beta alone while the policy is the reference, but not later", () => {
  const zeros = [0, 0, 0, 0];
  const run = runner({ beta_warmup: 1 });
  run(zeros);
  const still = run(zeros);
  assertEquals([still.after.beta, "risk/p_hat" in still.metrics], [0.1, false]);
  run([1, 2, 3, 4]);
  // Zero margins under a positive tau are evidence like any other.
  assert(run(zeros).after.beta < 0.1005);
  assert("risk/p_hat" in run(zeros).metrics);
  const v1 = runner({ beta_warmup: 1, compat: "v1" });
  v1(zeros);
  assertEquals(v1(zeros).metrics["risk/p_hat"], 1);
});

Deno.test("risk drops an update with a margin that is no number, and ends after too many", () => {
  const run = runner({ beta_warmup: 1, max_skipped_nonfinite: 2 });
  run([1, 2, 3, 4]);
  const before = run([1, 2, 3, 4]).after;
  const skipped = run([1, NaN, 3, Infinity]);
  assertEquals(skipped.after, { ...before, skippedNonfinite: 1 });
  assertEquals([...skipped.weights], [0.5, 0, 0.5, 0]);
  assertEquals([...skipped.seeds.chosen].map((seed) => seed === 0), [false, true, false, true]);
  const empty = run([NaN]);
  assertEquals([empty.loss, empty.metrics["risk/skipped_nonfinite"]], [0, 2]);
  const error = assertThrows(() => run([NaN]), ModeNumbersError, "max_skipped_nonfinite");
  assertEquals(error.exitCode, 4);
});

Deno.test("risk evaluates at the beta of its state and changes nothing", () => {
  const run = runner({ beta_warmup: 1 });
  run([1, 2, 3, 4]);
  const trained = run([1, 2, 3, 4]).after;
  const evaluated = run([7, 8, 9], false);
  assertEquals(evaluated.after, trained);
  assertEquals(evaluated.beta, trained.beta);
  assertEquals(evaluated.metrics["dpo/beta"], trained.beta);
});

/** Mean exceedance over 2,000 calls in which nothing changes. */
function meanExceedance(tau: string, size: number): number {
  const run = runner({ beta_warmup: 200, tau });
  let sum = 0;
  for (let call = 0; call < 2200; call++) {
    sum += run(normalMargins(call, size, 3)).metrics["risk/p_hat"] ?? 0;
  }
  return sum / 2000;
}

Deno.test("risk's Robbins-Monro tau is unbiased where the batch quantile is not", () => {
  for (const size of [1, 4, 16]) {
    assertClose(meanExceedance("robbins_monro", size), 0.1, 0.15, `exceedance at ${size}`);
  }
  // About (n delta + 1 - delta) / (n + 1) = 0.26 for the quantile of four; it lands near 0.21.
  assert(meanExceedance("ema_quantile", 4) > 0.18);
});

Deno.test("risk reads the user's own sections, with or without a section for beta_dpo", () => {
  const config = {
    risk_test: { delta: 0.2, lambda: 0.3, beta_warmup: 7 },
    beta_update: { beta_0: 0.4, gamma: 1, alpha: 0.01, beta_max: 3, beta_min: 0 },
  };
  const expected = { ...defaults, ...config.risk_test, ...config.beta_update };
  assertEquals(readOptions("risk", risk.options, config), expected);
  const both = { ...config, beta_dpo: { alpha: 0.9, beta_0: 5, rho: 0.1 } };
  assertEquals(readOptions("risk", risk.options, both), expected);
  assertEquals(defaults.beta_min, 1e-3);
  const wrong = { risk_test: { delta: 1 } };
  const error = assertThrows(() => readOptions("risk", risk.options, wrong), ModeError);
  assertEquals(error.path, "risk_test.delta");
  const crossed = { ...defaults, beta_min: 3 };
  assertThrows(() => risk.init(crossed), ModeError, "must not be above");
});

Deno.test("risk remarks on a decision set below 1/delta and on a warm-up that never ends", () => {
  const remarks = (decisionSize: number, decisions: number) =>
    risk.remarks!(defaults, { decisionSize, decisions });
  assertEquals(remarks(16, 1000), []);
  const [small] = remarks(4, 1000);
  // (4 * 0.1 + 0.9) / 5 = 26 %.
  assert(small.includes("fewer than 1/delta = 10") && small.includes("26.0 %"), small);
  const [short] = remarks(16, 120);
  assert(short.includes("120 decisions, all within its warm-up of 120"), short);
  assertEquals(risk.needs({ ...defaults, scope: "step" }).scope, "step");
});

Deno.test("risk takes any pair loss at its beta", () => {
  const batch: ScoreBatch = pairsWithMargins([1, 4]);
  const hinge = [{ type: "hinge", weight: 1, options: {} }];
  const state = risk.init(defaults) as unknown as Json;
  const outcome = runMode(risk, batch, state, defaults, makeContext(true, 0), hinge);
  assertClose(outcome.loss, (0.9 + 0.6) / 2, 1e-15, "hinge at beta 0.1");
});
