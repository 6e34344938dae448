import { assert, assertEquals, assertThrows } from "@std/assert";
import { makeContext, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { Decision, LossMode, LossResult, Needs } from "../../losses/loss_mode.ts";
import { ModeError, ModeNumbersError } from "../../losses/mode_error.ts";
import { centralDifference } from "../../losses/numeric_seeds.ts";
import { jsonCopy } from "../../losses/json_copy.ts";
import { runMode, runOptimizerStep } from "../../losses/run_mode.ts";
import { assertAllClose, assertClose } from "./assert_close.ts";
import { pairsWithMargins } from "./make_pairs.ts";

const needs: Needs = { reference: "logps", scope: "pair", rows: "pairs" };
const good: LossMode = {
  name: "good",
  help: "A mode",
  version: 1,
  options: {},
  needs: () => needs,
  init: () => null,
  decide: () => ({ beta: 0.1, state: { calls: 1 }, metrics: { "good/beta": 0.1 } }),
};
const batch = ordinaryBatch(needs, 3, 1);
const training = makeContext(true, 5);

function deciding(decision: Partial<Decision>): LossMode {
  return { ...good, decide: () => ({ beta: 0.1, state: null, metrics: {}, ...decision }) };
}

function losing(result: Partial<LossResult>): LossMode {
  const loss = () => ({ loss: 1, perPair: new Float64Array(3), ...result });
  return { ...good, loss };
}

Deno.test("runMode() passes state, weights and metrics on, and keeps the state in evaluation", () => {
  const outcome = runMode(good, batch, { calls: 0 }, {}, training);
  assertEquals(outcome.state, { calls: 1 });
  assertEquals(outcome.weights, new Float64Array(3).fill(1 / 3));
  assertEquals(outcome.metrics, { "good/beta": 0.1, "dpo/loss": outcome.loss });
  const evaluation = runMode(good, batch, { calls: 0 }, {}, makeContext(false, 5));
  assertEquals([evaluation.state, evaluation.loss], [{ calls: 0 }, outcome.loss]);
});

Deno.test("runMode() applies the pair losses it is given", () => {
  const half = [{ type: "hinge", weight: 0.5, options: {} }];
  const whole = [{ type: "hinge", weight: 1, options: {} }];
  const [a, b] = [half, whole].map((types) => runMode(good, batch, null, {}, training, types).loss);
  assertClose(a, b / 2, 1e-15, "loss");
  assert(a !== runMode(good, batch, null, {}, training).loss);
});

Deno.test("runMode() takes seeds by differences from a mode that states only the loss", () => {
  // sum of sin(p / 7) + p^2 / 50, whose derivative is known.
  const f = (p: number) => Math.sin(p / 7) + p * p / 50;
  const sum = (values: Float64Array) => values.reduce((total, p) => total + f(p), 0);
  const mode: LossMode = {
    ...good,
    loss: (b) => ({
      loss: sum(b.chosen.policy) - 3 * sum(b.rejected!.policy),
      perPair: new Float64Array(b.size),
    }),
  };
  const { seeds } = runMode(mode, batch, null, {}, training);
  const slope = (p: number) => Math.cos(p / 7) / 7 + p / 25;
  assertAllClose(seeds.chosen, batch.chosen.policy.map(slope), 1e-9, "chosen");
  const rejected = batch.rejected!.policy.map((p) => -3 * slope(p));
  assertAllClose(seeds.rejected!, rejected, 1e-9, "rejected");
});

Deno.test("runMode() takes seeds of prompts by differences too", () => {
  const wanted: Needs = { ...needs, tokens: ["promptLogp"] };
  const mode: LossMode = {
    ...good,
    needs: () => wanted,
    loss: (b) => ({
      loss: b.prompt!.policy.reduce((sum, p) => sum + Math.sin(p / 7), 0),
      perPair: new Float64Array(b.size),
    }),
  };
  const prompted = ordinaryBatch(wanted, 3, 1);
  const { seeds } = runMode(mode, prompted, null, {}, training);
  const slopes = prompted.prompt!.policy.map((p) => Math.cos(p / 7) / 7);
  assertAllClose(seeds.prompt!, slopes, 1e-9, "prompt", 1);
  assertEquals(seeds.chosen, new Float64Array(3));
});

Deno.test("centralDifference() is exact to 1e-10 and scales with huge arguments", () => {
  for (const x of [-500, -3, 0, 0.25, 40]) {
    assertClose(centralDifference(Math.atan, x), 1 / (1 + x * x), 1e-10, `atan at ${x}`, 1);
  }
  assertClose(centralDifference((x) => 3 * x, 1e300), 3, 1e-8, "huge");
});

Deno.test("runMode() names mode, step, decision and row of a broken promise", () => {
  const place = 'Mode "good" after optimizer step 2, decision 5';
  const three = Float64Array.of(1, NaN, 0);
  const two = new Float64Array(2);
  const cases: [LossMode, string][] = [
    [
      deciding({ weights: two }),
      '"weights" must be a Float64Array of 3 numbers, but is 2 numbers',
    ],
    [deciding({ beta: Infinity }), '"beta" is "Infinity", not a finite number'],
    [deciding({ metrics: { x: NaN } }), 'metric "x" is "NaN", not a finite number'],
    [
      deciding({ state: { a: [1, NaN] } }),
      '"decide" failed: "state.a[1]" is "NaN", which JSON cannot hold',
    ],
    [losing({ loss: NaN }), 'the loss is "NaN" although the log-probabilities are finite'],
    [losing({ perPair: two }), '"perPair" must be a Float64Array of 3 numbers, but is 2 numbers'],
    [
      losing({ seeds: { chosen: new Float64Array(3) } }),
      '"seeds.rejected" must be a Float64Array of 3 numbers, but is undefined',
    ],
    [
      { ...good, decide: () => ({ beta: 0.1 * NaN, state: null, metrics: {} }) },
      '"beta" is "NaN", not a finite number',
    ],
    [
      {
        ...good,
        decide: () => {
          throw new TypeError("oops");
        },
      },
      '"decide" failed: oops',
    ],
  ];
  for (const [mode, message] of cases) {
    const error = assertThrows(() => runMode(mode, batch, null, {}, training), ModeError);
    assert(error.message.startsWith(`${place}: ${message}`), error.message);
    assertEquals(error.exitCode, 2);
  }
  const seeds = { chosen: three, rejected: new Float64Array(3) };
  const named = () => runMode(losing({ seeds }), batch, null, {}, training);
  assertThrows(named, ModeError, `${place}, dataset row 101: "seeds.chosen" is "NaN"`);
});

Deno.test("runMode() ends with exit 4 on a log-probability that is no number, unless its weight is 0", () => {
  const bad = pairsWithMargins([1, NaN, 2]);
  const error = assertThrows(() => runMode(good, bad, null, {}, training), ModeNumbersError);
  assertEquals(error.exitCode, 4);
  assert(
    error.message.includes(
      'dataset row 1: the policy log-probability of the chosen answer is "NaN"',
    ),
    error.message,
  );
  const without = deciding({ weights: Float64Array.of(0.5, 0, 0.5) });
  assertEquals(runMode(without, bad, null, {}, training).seeds.chosen[1], 0);
});

Deno.test("runMode() refuses a decision set of uneven arrays or without what the mode needs", () => {
  const short = { ...batch, rows: new Uint32Array(2) };
  const cut = { ...batch, chosen: { ...batch.chosen, reference: undefined } };
  const { rejected: _, ...single } = batch;
  for (
    const [wrong, message] of [
      [short, 'the decision set has 3 rows but "rows" has 2'],
      [cut, '"chosen.reference" has none'],
      [single, '"rejected.policy" has none'],
      [ordinaryBatch(needs, 0, 1), "the decision set is empty"],
    ] as const
  ) {
    assertThrows(() => runMode(good, wrong, null, {}, training), ModeError, message);
  }
});

Deno.test("runMode() refuses a batch without the prompts, mixtures or mismatched answers it needs", () => {
  const cases: [Partial<Needs>, string][] = [
    [{ tokens: ["promptLogp"] }, '"prompt.policy" has none'],
    [{ tokens: ["epsilonMix"] }, '"chosen.epsilonMix" has none'],
    [{ extra: "mismatched" }, '"mismatched.policy" has none'],
  ];
  for (const [more, message] of cases) {
    const wanting: LossMode = { ...good, needs: () => ({ ...needs, ...more }) };
    assertThrows(() => runMode(wanting, batch, null, {}, training), ModeError, message);
    const full = ordinaryBatch({ ...needs, ...more }, 3, 1);
    if (more.tokens?.includes("promptLogp")) continue;
    assertEquals(runMode(wanting, full, null, {}, training).loss > 0, true);
  }
  // A loss that was given prompts must have derivatives for them.
  const prompts: LossMode = { ...good, needs: () => ({ ...needs, tokens: ["promptLogp"] }) };
  const full = ordinaryBatch({ ...needs, tokens: ["promptLogp"] }, 3, 1);
  assertThrows(
    () => runMode(prompts, full, null, {}, training),
    ModeError,
    '"seeds.prompt" must be',
  );
});

Deno.test("runOptimizerStep() gives a mode its own state and keeps that of the pair losses", () => {
  const counting: LossMode = { ...good, onOptimizerStep: (s) => ({ state: (s as number) + 1 }) };
  const pair_losses = { bco_pair: { mean: 1, count: 2 } };
  const { state } = runOptimizerStep(counting, { mode: 7, pair_losses }, {}, training);
  assertEquals(state, { mode: 8, pair_losses });
});

Deno.test("runMode() refuses random numbers in evaluation", () => {
  const mode: LossMode = {
    ...good,
    decide: (_b, _s, _o, { uniform }) => ({ beta: uniform(0), state: null, metrics: {} }),
  };
  assertEquals(runMode(mode, batch, null, {}, training).beta, training.uniform(0));
  const evaluate = () => runMode(mode, batch, null, {}, makeContext(false, 0));
  assertThrows(evaluate, ModeError, "Random numbers are not allowed in evaluation");
});

Deno.test("jsonCopy() gives what a checkpoint would, and refuses the rest", () => {
  const value = { a: [1, -0, null, "x"], b: { c: true } };
  const copy = jsonCopy(value, "state");
  assertEquals(copy, JSON.parse(JSON.stringify(value)));
  assert(copy !== value);
  assert(Object.is(jsonCopy(-0, "state"), 0));
  for (const bad of [undefined, 1n, () => 1, new Map(), Float64Array.of(1), new Date(0)]) {
    assertThrows(() => jsonCopy({ bad }, "state"), ModeError, '"state.bad"');
  }
});

Deno.test("runOptimizerStep() keeps the state of modes without one and checks the others", () => {
  assertEquals(runOptimizerStep(good, 7, {}, training), { state: 7, metrics: {} });
  const counting: LossMode = { ...good, onOptimizerStep: (s) => ({ state: (s as number) + 1 }) };
  assertEquals(runOptimizerStep(counting, 7, {}, training).state, 8);
  const broken: LossMode = { ...good, onOptimizerStep: () => ({ state: NaN }) };
  assertThrows(() => runOptimizerStep(broken, 7, {}, training), ModeError, "optimizer step 2");
});
