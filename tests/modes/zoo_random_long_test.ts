import { assert } from "@std/assert";
import { makeContext, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { Json, LossMode, Options, ScoreBatch } from "../../losses/loss_mode.ts";
import { defaultOptions } from "../../losses/options.ts";
import { runMode, runOptimizerStep } from "../../losses/run_mode.ts";
import { builtInModes, loadMode } from "../../modes/mod.ts";
import { assertAllClose, assertClose } from "../losses/assert_close.ts";
import { assertSeeds } from "../losses/assert_seeds.ts";
import {
  assertTerms,
  BATCHES,
  logistic as s,
  randomPairs,
  SMALLEST,
  softplus,
  type Terms,
} from "../losses/random_pairs.ts";

/** Row i of a batch: sums P, p, references R, r and lengths L, M of chosen and rejected. */
function rowOf({ chosen, rejected }: ScoreBatch, i: number) {
  return {
    P: chosen.policy[i],
    p: rejected!.policy[i],
    R: chosen.reference![i],
    r: rejected!.reference![i],
    L: chosen.length[i],
    M: rejected!.length[i],
  };
}
type Row = ReturnType<typeof rowOf>;

interface RowTerms {
  readonly loss: Terms;
  readonly chosen: Terms;
  readonly rejected: Terms;
}

/** -log s(beta x) of a gap with inner derivatives up and down. */
function logit(beta: number, x: number, up: number, down: number): RowTerms {
  const slope = -beta * s(-beta * x);
  return { loss: [softplus(-beta * x)], chosen: [slope * up], rejected: [-slope * down] };
}

/** Written from the published formulas, apart from the code; `nll` adds the token mean. */
const formulas: [mode: string, options: Options, nll: number, of: (row: Row) => RowTerms][] = [
  ["tr_dpo", { beta: 0.2 }, 0, ({ P, p, R, r }) => logit(0.2, P - R - (p - r), 1, 1)],
  ["margin", { beta: 0.3 }, 0, ({ P, p, R, r }) => logit(0.3, P - R - (p - r), 1, 1)],
  [
    "simpo",
    { sft_weight: 0.5 },
    0.5,
    ({ P, p, L, M }) => logit(2, P / L - p / M - 0.5, 1 / L, 1 / M),
  ],
  ["slic_hf", { margin: 3, lambda: 0.5 }, 0, ({ P, p }) => {
    const on = 3 > P - p ? 1 : 0;
    return {
      loss: on ? [3, -P, p, -0.5 * P] : [-0.5 * P],
      chosen: [-on - 0.5],
      rejected: [on],
    };
  }],
  ["cpo", {}, 1, ({ P, p }) => logit(0.1, P - p, 1, 1)],
  ["cpo", { variant: "hinge", cpo_alpha: 0.5 }, 0.5, ({ P, p }) => {
    const on = 0.1 * (P - p) < 1 ? 1 : 0;
    return { loss: [on, -0.1 * on * (P - p)], chosen: [-0.1 * on], rejected: [0.1 * on] };
  }],
  ["cpo", { variant: "ipo", cpo_alpha: 0 }, 0, ({ P, p, L, M }) => {
    const x = P / L - p / M - 5;
    return { loss: [x * x], chosen: [2 * x / L], rejected: [-2 * x / M] };
  }],
  ["dpop", { delta: 7 }, 0, ({ P, p, R, r }) => {
    const { loss, chosen, rejected } = logit(0.1, P - R - (p - r), 1, 1);
    const lost = P < R;
    return {
      loss: lost ? [...loss, 7 * (R - P)] : loss,
      chosen: lost ? [...chosen, -7] : chosen,
      rejected,
    };
  }],
  [
    "dpop",
    { delta: 7, penalty: "inside" },
    0,
    ({ P, p, R, r }) => logit(0.1, P - R - (p - r) - (P < R ? 7 * (R - P) : 0), P < R ? 8 : 1, 1),
  ],
];

for (const [name, given, nll, formula] of formulas) {
  const title = `${name} ${JSON.stringify(given)}`;
  Deno.test(`${title} equals an independent formula on ${BATCHES} random batches`, async () => {
    const mode = await loadMode(name);
    const options = { ...defaultOptions(mode.options), ...given };
    const context = makeContext(true, 0);
    for (let seed = 0; seed < BATCHES; seed++) {
      const batch = randomPairs(seed);
      const n = batch.size;
      const { loss, perPair, seeds } = runMode(mode, batch, null, options, context);
      const tokens = batch.chosen.length.reduce((sum, length) => sum + length, 0);
      const whole: number[] = [];
      for (let i = 0; i < n; i++) {
        const row = rowOf(batch, i);
        const expected = formula(row);
        assertTerms(perPair[i], [...expected.loss, -nll * row.P / row.L], 1, title);
        assertTerms(seeds.chosen[i], [...expected.chosen, -nll * n / tokens], 1 / n, title);
        assertTerms(seeds.rejected![i], expected.rejected, 1 / n, title);
        for (const term of expected.loss) whole.push(term / n);
        whole.push(-nll * row.P / tokens);
      }
      assertTerms(loss, whole, 1, title);
    }
  });
}

Deno.test(`orpo equals the odds of probabilities on ${BATCHES} random batches`, async () => {
  const orpo = await loadMode("orpo");
  const context = makeContext(true, 0);
  for (let seed = 0; seed < BATCHES; seed++) {
    const batch = randomPairs(seed);
    const n = batch.size;
    // Mean log-probabilities of -0.01 .. -30, which is where probabilities can be written down.
    for (const { policy, length } of [batch.chosen, batch.rejected!]) {
      for (let i = 0; i < n; i++) {
        policy[i] = -length[i] * Math.min(30, 0.01 + Math.abs(policy[i]) / 7);
      }
    }
    const { perPair, seeds } = runMode(orpo, batch, null, { beta: 0.2, nll: "answer" }, context);
    const tokens = batch.chosen.length.reduce((sum, length) => sum + length, 0);
    for (let i = 0; i < n; i++) {
      const { P, p, L, M } = rowOf(batch, i);
      const [good, bad] = [Math.exp(P / L), Math.exp(p / M)];
      const ratio = good / (1 - good) / (bad / (1 - bad));
      assertTerms(perPair[i], [0.2 * Math.log1p(1 / ratio), -P / L], 1, "perPair");
      const slope = -0.2 / (1 + ratio) / n;
      // 1 - p has lost two digits at p = 0.99.
      assertClose(seeds.chosen[i], slope / (1 - good) / L - 1 / tokens, 1e-12, "chosen", 0.01);
      assertClose(seeds.rejected![i], -slope / (1 - bad) / M, 1e-12, "rejected", 0.01);
    }
  }
});

Deno.test("orpo keeps its digits next to certainty, and is finite at it", async () => {
  const orpo = await loadMode("orpo");
  const options = { beta: 1, nll: "answer" };
  const batch = randomPairs(64);
  const run = (average: number) => {
    batch.chosen.policy[0] = average * batch.chosen.length[0];
    batch.rejected!.policy[0] = -Math.LN2 * batch.rejected!.length[0];
    return runMode(orpo, batch, null, options, makeContext(true, 0));
  };
  // Against odds of 1 the loss log(1 + 1 / odds) is -log p, which is the likelihood's part as well.
  assertClose(run(-1e-7).loss, 2e-7, 1e-12, "loss");
  for (const average of [0, -1e-300, 1]) {
    const { loss: found, seeds } = run(average);
    assert([found, seeds.chosen[0], seeds.rejected![0]].every(Number.isFinite), `${average}`);
  }
});

Deno.test(`alpha_dpo equals an independent trace on ${BATCHES} random batches`, async () => {
  const mode = await loadMode("alpha_dpo");
  const options = defaultOptions(mode.options);
  for (let run = 0; run < 100; run++) {
    let state: Json = mode.init(options);
    let [center, spread] = [NaN, NaN];
    for (let call = 0; call < BATCHES / 100; call++) {
      // One scale a run, and two pairs or more, so that the deviation is never next to nothing.
      const batch = randomPairs(64 * 8 * call + 8 * (1 + run % 6) + run % 8 + 1);
      const rows = Array.from({ length: batch.size }, (_, i) => rowOf(batch, i));
      const gaps = rows.map(({ P, p, R, r, L, M }) => P / L - p / M - (R / L - r / M));
      const size = Math.max(...rows.map(({ P, p, L, M }) => Math.abs(P / L) + Math.abs(p / M)));
      const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
      const squares = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0);
      const std = Math.sqrt(squares / (gaps.length - 1));
      center = call === 0 ? mean : 0.9 * center + 0.1 * mean;
      spread = call === 0 ? std : 0.9 * spread + 0.1 * std;
      const outcome = runMode(mode, batch, state, options, makeContext(true, call));
      state = outcome.state;
      const known = (state as { gaps: { mean: number; std: number } }).gaps;
      assertClose(known.mean, center, 1e-12, "mean", size);
      assertClose(known.std, spread, 1e-12, "std", size);
      // From the mode's own statistics on, where the rounding of the gaps no longer counts.
      rows.forEach(({ P, p, L, M }, i) => {
        const target = 0.2 * (gaps[i] - known.mean) / known.std + 0.6;
        const x = 2.5 * (P / L - p / M - target);
        const scale = 2.5 * (Math.abs(P / L) + Math.abs(p / M) + Math.abs(target));
        assertClose(outcome.perPair[i], softplus(-x), 1e-12, "perPair", scale);
        const slope = -2.5 * s(-x) / batch.size;
        assertClose(outcome.seeds.chosen[i], slope / L, 1e-12 * scale, "chosen", SMALLEST);
        assertClose(outcome.seeds.rejected![i], -slope / M, 1e-12 * scale, "rejected", SMALLEST);
      });
    }
  }
});

Deno.test(`bco equals an independent trace on ${BATCHES} random batches`, async () => {
  const mode = await loadMode("bco");
  const options = { ...defaultOptions(mode.options), desirable_weight: 1.5 };
  for (let run = 0; run < 100; run++) {
    let state: Json = mode.init(options);
    const rewards: number[] = [];
    for (let call = 0; call < BATCHES / 100; call++) {
      const batch = randomPairs(100 * run + call);
      const rows = Array.from({ length: batch.size }, (_, i) => rowOf(batch, i));
      const good = rows.map(({ P, R }) => 0.1 * (P - R));
      const bad = rows.map(({ p, r }) => 0.1 * (p - r));
      rewards.push(...good, ...bad);
      const outcome = runMode(mode, batch, state, options, makeContext(true, call));
      state = outcome.state;
      const shift = outcome.metrics["bco/shift"];
      if (call % 10 === 0) {
        const expected = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
        const size = rewards.reduce((sum, reward) => sum + Math.abs(reward), 0) / rewards.length;
        assertClose(shift, expected, 1e-12, "shift", size);
      }
      rows.forEach((_, i) => {
        const [x, y] = [good[i] - shift, shift - bad[i]];
        assertTerms(outcome.perPair[i], [0.75 * softplus(-x), 0.5 * softplus(-y)], 1, "perPair");
        assertTerms(outcome.seeds.chosen[i], [-0.075 * s(-x)], 1 / batch.size, "chosen");
        assertTerms(outcome.seeds.rejected![i], [0.05 * s(-y)], 1 / batch.size, "rejected");
      });
    }
  }
});

Deno.test(`kto equals an independent formula on ${BATCHES} random batches`, async () => {
  const mode = await loadMode("kto");
  const options = { ...defaultOptions(mode.options), undesirable_weight: 1.3 };
  for (let seed = 0; seed < BATCHES; seed++) {
    const { rejected, ...rest } = randomPairs(seed);
    const label = Uint8Array.from(rest.rows, (row) => (row + seed) % 3 === 0 ? 0 : 1);
    const batch: ScoreBatch = { ...rest, label, mismatched: rejected };
    const outcome = runMode(mode, batch, null, options, makeContext(true, 0));
    const moved = rejected!.policy.map((p, i) => p - rejected!.reference![i]);
    const size = moved.reduce((sum, x) => sum + Math.abs(x), 0) / rest.size;
    const kl = outcome.metrics["kto/kl"];
    const mean = moved.reduce((sum, x) => sum + x, 0) / rest.size;
    assertClose(kl, Math.max(0, mean), 1e-12, "kl", size);
    let loss = 0;
    label.forEach((good, i) => {
      const sign = good === 1 ? 1 : -1;
      const x = sign * 0.1 * (rest.chosen.policy[i] - rest.chosen.reference![i] - kl);
      const weight = (good === 1 ? 1 : 1.3) / rest.size;
      loss += weight * s(-x);
      assertTerms(outcome.perPair[i], [s(-x)], 1, "perPair");
      assertTerms(outcome.seeds.chosen[i], [-sign * 0.1 * s(x) * s(-x)], weight, "seed");
    });
    assertClose(outcome.loss, loss, 1e-12, "loss", SMALLEST);
  }
});

Deno.test(`epsilon_dpo equals an independent trace on ${BATCHES} random batches`, async () => {
  const mode = await loadMode("epsilon_dpo");
  const options = { beta: 0.2, epsilon: 0.05 };
  for (let run = 0; run < 100; run++) {
    let state: Json = mode.init(options);
    let beta = 0.2;
    for (let step = 0; step < BATCHES / 200; step++) {
      let sum = 0;
      for (const call of [0, 1]) {
        const batch = randomPairs(100 * run + 2 * step + call);
        const other = randomPairs(100 * run + 2 * step + call + 64 * 8);
        const mix = (scores: ScoreBatch["chosen"], plus: Float64Array, minus: Float64Array) => ({
          ...scores,
          epsilonMix: { plus, minus },
        });
        const mixed = {
          ...batch,
          chosen: mix(batch.chosen, other.chosen.policy, other.chosen.reference!),
          rejected: mix(batch.rejected!, other.rejected!.policy, other.rejected!.reference!),
        };
        const context = makeContext(true, 2 * step + call);
        const outcome = runMode(mode, mixed, state, options, context);
        state = outcome.state;
        for (let i = 0; i < batch.size; i++) {
          const { P, p, R, r } = rowOf(batch, i);
          const [now, next] = [P - p, rowOf(other, i)];
          const order = [next.R - next.r, now, next.P - next.p];
          const rises = order[0] < order[1] && order[1] < order[2];
          const falls = order[0] > order[1] && order[1] > order[2];
          const move = rises ? 1 : falls ? -1 : 0;
          sum += move / batch.size / 2;
          const b = beta / (1 + 0.05 * move);
          const x = P - R - (p - r);
          assertClose(outcome.perPair[i], softplus(-b * x), 1e-11, "perPair", SMALLEST);
        }
      }
      state = runOptimizerStep(mode, state, options, makeContext(true, 2 * step)).state;
      beta /= 1 + 0.05 * sum;
      assertClose((state as { beta: number }).beta, beta, 1e-11, "beta");
      beta = (state as { beta: number }).beta;
    }
  }
});

/** What differentiates every branch of the modes with a loss of their own. */
const differentiated: [mode: string, options: Options][] = [
  ...builtInModes.map((name): [string, Options] => [name, {}]),
  ["cpo", { variant: "hinge", beta: 1 }],
  ["cpo", { variant: "ipo" }],
  ["cpo", { variant: "simpo", alpha: 0.25, label_smoothing: 0.1 }],
  ["dpop", { penalty: "inside", delta: 2 }],
  ["orpo", { nll: "sequence" }],
  ["bco", { rows: "unpaired" }],
  ["alpha_dpo", { ln: false, label_smoothing: 0.1 }],
  ["simpo", { sft_weight: 0.5 }],
];

for (const [name, given] of differentiated) {
  const title = `${name} ${JSON.stringify(given)}`;
  Deno.test(`${title} has seeds equal to differences to 1e-8 on 1,000 batches`, async () => {
    const mode: LossMode = await loadMode(name);
    if (!mode.loss) return;
    const options = { ...defaultOptions(mode.options), ...given };
    let state: Json = mode.init(options);
    let kinks = 0;
    for (let seed = 0; seed < 1000; seed++) {
      const batch = ordinaryBatch(mode.needs(options), 1 + seed % 3, seed);
      const decision = mode.decide(batch, state, options, makeContext(true, seed));
      state = decision.state;
      kinks += assertSeeds(batch, (b) => mode.loss!(b, decision, options), 1e-8, title);
    }
    // A step may reach over a kink, which only the hinges and the penalty have.
    const kinked = name === "slic_hf" || name === "dpop" || given.variant === "hinge";
    assert(kinks <= (kinked ? 50 : 0), `${title}: ${kinks} kinks`);
  });
}

Deno.test("cpo with AlphaPO's reward is its formula, and log p as alpha goes to 0", async () => {
  const cpo = await loadMode("cpo");
  const run = (alpha: number) => {
    const options = { ...defaultOptions(cpo.options), variant: "simpo", alpha, cpo_alpha: 0 };
    return runMode(cpo, randomPairs(34), null, options, makeContext(true, 0));
  };
  const { P, p, L, M } = rowOf(randomPairs(34), 0);
  const reward = (logp: number) => (1 - Math.exp(-0.3 * logp)) / 0.3;
  const x = 0.1 * (reward(P / L) - reward(p / M)) - 0.5;
  assertClose(run(0.3).perPair[0], softplus(-x), 1e-12, "perPair");
  assertAllClose(run(1e-7).perPair, run(0).perPair, 1e-5, "limit");
});
