import { assert, assertEquals } from "@std/assert";
import { makeContext, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { Json, LossMode, Needs } from "../../losses/loss_mode.ts";
import { pairLoss, type PairLossChoice } from "../../losses/pair_loss.ts";
import { runMode } from "../../losses/run_mode.ts";
import { assertAllClose, assertClose } from "./assert_close.ts";
import { pairsOf } from "./make_pairs.ts";
import zoo from "./zoo_goldens.json" with { type: "json" };

const needs: Needs = { reference: "logps", scope: "pair", rows: "pairs" };
const pairs = pairsOf(zoo.input);

Deno.test("the losses of a whole batch equal their golden cases", () => {
  for (const { loss_type, beta, ...expected } of zoo.batch_cases) {
    const result = pairLoss(pairs, { beta: beta ?? undefined }, loss_type);
    assertClose(result.loss, expected.loss, 1e-12, loss_type);
    assertAllClose(result.seeds!.chosen, expected.grad_policy_chosen, 1e-12, loss_type);
    assertAllClose(result.seeds!.rejected!, expected.grad_policy_rejected, 1e-12, loss_type);
    // The golden losses are in the order of the sort, or all equal to the mean over tokens.
    const { length } = pairs.chosen;
    const found = loss_type === "sft"
      ? result.perPair.map((loss, i) => loss * length[i] * 4 / length.reduce((a, b) => a + b))
      : result.perPair;
    const sum = expected.loss_per_pair.reduce((total, loss) => total + loss, 0);
    assertClose(found.reduce((total, loss) => total + loss, 0), sum, 1e-12, loss_type);
    if (loss_type === "sft") continue;
    const order = (values: Iterable<number>) => [...values].sort((a, b) => a - b);
    assertAllClose(order(found), order(expected.loss_per_pair), 1e-12, loss_type);
  }
});

Deno.test("aot and aot_unpaired are sigmoid for one pair, and leave rows of weight 0 out", () => {
  const one = ordinaryBatch(needs, 1, 3);
  const sigmoid = pairLoss(one, { beta: 0.2 }, "sigmoid");
  const batch = ordinaryBatch(needs, 6, 4);
  const rows = [0, 2, 3, 5];
  const some = pairsOf({
    policy_chosen: rows.map((i) => batch.chosen.policy[i]),
    policy_rejected: rows.map((i) => batch.rejected!.policy[i]),
    ref_chosen: rows.map((i) => batch.chosen.reference![i]),
    ref_rejected: rows.map((i) => batch.rejected!.reference![i]),
  });
  const weights = Float64Array.from({ length: 6 }, (_, i) => rows.includes(i) ? 0.25 : 0);
  batch.chosen.policy[1] = NaN;
  for (const name of ["aot", "aot_unpaired"]) {
    assertClose(pairLoss(one, { beta: 0.2 }, name).loss, sigmoid.loss, 1e-12, name);
    const kept = pairLoss(batch, { beta: 0.2, weights }, name);
    const alone = pairLoss(some, { beta: 0.2 }, name);
    assertEquals(kept.loss, alone.loss);
    assertEquals(rows.map((i) => kept.seeds!.chosen[i]), [...alone.seeds!.chosen]);
    assertEquals([kept.seeds!.chosen[1], kept.seeds!.rejected![4]], [0, 0]);
  }
});

Deno.test("aot weighs a row as several of its kind, on 50 batches", () => {
  for (let seed = 0; seed < 50; seed++) {
    // Row 1 of weight 2 / 5 against the same row twice among five.
    const batch = ordinaryBatch(needs, 4, seed);
    const twice = [0, 1, 1, 2, 3];
    const copied = pairsOf({
      policy_chosen: twice.map((i) => batch.chosen.policy[i]),
      policy_rejected: twice.map((i) => batch.rejected!.policy[i]),
      ref_chosen: twice.map((i) => batch.chosen.reference![i]),
      ref_rejected: twice.map((i) => batch.rejected!.reference![i]),
    });
    const weights = Float64Array.of(0.2, 0.4, 0.2, 0.2);
    for (const name of ["aot", "aot_unpaired"]) {
      const weighted = pairLoss(batch, { beta: 0.2, weights }, name);
      const plain = pairLoss(copied, { beta: 0.2 }, name);
      assertClose(weighted.loss, plain.loss, 1e-14, name);
      const [a, b] = [plain.seeds!.rejected!, weighted.seeds!.rejected!];
      assertAllClose(b, [a[0], a[1] + a[2], a[3], a[4]], 1e-14, name, 0.01);
      const total = weighted.perPair.reduce((sum, loss, i) => sum + weights[i] * loss, 0);
      assertClose(total, weighted.loss, 1e-14, name);
    }
  }
});

Deno.test("aot comes to an end whatever the weights", () => {
  for (const weight of [NaN, Infinity, -1]) {
    const weights = Float64Array.of(0.25, weight, 0.25, 0.25);
    const { perPair } = pairLoss(pairs, { beta: 0.1, weights }, "aot");
    assertEquals(perPair.length, 4);
  }
});

/** DPO at beta 0.1 that keeps a count, to see the two states apart. */
const counting: LossMode<{ calls: number }> = {
  name: "counting",
  help: "A mode for this test",
  version: 1,
  options: {},
  needs: () => needs,
  init: () => ({ calls: 0 }),
  decide: (_batch, { calls }) => ({ beta: 0.1, state: { calls: calls + 1 }, metrics: {} }),
};
const running: PairLossChoice[] = [
  { type: "bco_pair", weight: 1, options: { running_mean: true } },
];

function scaled(scale: number) {
  const { policy_chosen: a, policy_rejected: b, ref_chosen: c, ref_rejected: d } = zoo.input;
  const move = (policy: number[], reference: number[]) =>
    policy.map((p, i) => reference[i] + scale * (p - reference[i]));
  return pairsOf({ ...zoo.input, policy_chosen: move(a, c), policy_rejected: move(b, d) });
}

Deno.test("bco_pair with a running mean equals the golden batches, its state beside the mode's", () => {
  let state: Json = counting.init({});
  zoo.modes.bco_pair_running.batches.forEach(({ scale, delta, loss_per_pair }, call) => {
    const context = makeContext(true, call);
    const outcome = runMode(counting, scaled(scale), state, {}, context, running);
    assertAllClose(outcome.perPair, loss_per_pair, 1e-12, `batch ${call}`);
    const { mode, pair_losses } = outcome.state as Record<string, Record<string, never>>;
    assertEquals(mode, { calls: call + 1 } as never);
    const { mean, count } = pair_losses.bco_pair as { mean: number; count: number };
    assertClose(mean, delta, 1e-12, "running mean");
    assertEquals(count, call + 1);
    state = JSON.parse(JSON.stringify(outcome.state));
  });
  // Evaluation uses the running mean as it is, and leaves it.
  const evaluation = runMode(counting, scaled(9), state, {}, makeContext(false, 2), running);
  assertEquals(evaluation.state, state);
  const { mean } = (state as { pair_losses: { bco_pair: { mean: number } } }).pair_losses.bco_pair;
  const c = 9 * (zoo.input.policy_chosen[0] - zoo.input.ref_chosen[0]);
  const r = 9 * (zoo.input.policy_rejected[0] - zoo.input.ref_rejected[0]);
  const expected = Math.log1p(Math.exp(mean - 0.1 * c)) + Math.log1p(Math.exp(0.1 * r - mean));
  assertClose(evaluation.perPair[0], expected, 1e-12, "evaluation");
});

Deno.test("a state of pair losses begins and ends with the loss that keeps it", () => {
  const context = makeContext(true, 0);
  const plain = [{ type: "bco_pair", weight: 1, options: {} }];
  assertEquals(runMode(counting, pairs, { calls: 4 }, {}, context, plain).state, { calls: 5 });
  const joined = runMode(counting, pairs, { calls: 4 }, {}, context, running).state;
  assertEquals(Object.keys(joined as object), ["mode", "pair_losses"]);
  assertEquals(runMode(counting, pairs, joined, {}, context, plain).state, { calls: 6 });
  const mix = [{ type: "sigmoid", weight: 0.8, options: {} }, ...running, {
    type: "sft",
    weight: 1,
    options: {},
  }];
  const mixed = runMode(counting, pairs, joined, {}, context, mix);
  assert((mixed.state as { mode: { calls: number } }).mode.calls === 6);
});

Deno.test("MPO is 0.8 sigmoid, 0.2 bco_pair and the token mean of chosen", () => {
  const mpo = [["sigmoid", 0.8], ["bco_pair", 0.2], ["sft", 1]] as const;
  const choices = mpo.map(([type, weight]) => ({ type, weight, options: {} }));
  const { loss, seeds } = runMode(counting, pairs, { calls: 0 }, {}, makeContext(true, 0), choices);
  // From the golden losses of each part.
  const expected = 0.8 * 0.6500091621148071 + 0.2 * 1.3461614112553093 + 1.9325657894736843;
  assertClose(loss, expected, 1e-12, "loss");
  const seed = 0.8 * -0.011099652736384504 + 0.2 * -0.012031469603036618 - 1 / 76;
  assertClose(seeds.chosen[0], seed, 1e-12, "seed");
});
