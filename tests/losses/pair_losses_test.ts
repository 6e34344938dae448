import { assert, assertEquals, assertThrows } from "@std/assert";
import { makeBatch, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { Needs, Options, ScoreBatch } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import { mixPairLosses, pairLoss, pairLossNamed } from "../../losses/pair_loss.ts";
import { pairLosses } from "../../losses/pair_losses.ts";
import { rewardMetrics } from "../../losses/rewards.ts";
import golden from "../goldens/modes.json" with { type: "json" };
import { assertAllClose, assertClose } from "./assert_close.ts";
import { assertSeeds } from "./assert_seeds.ts";
import { pairsOf, pairsWithMargins } from "./make_pairs.ts";
import zoo from "./zoo_goldens.json" with { type: "json" };

const needs: Needs = { reference: "logps", scope: "pair", rows: "pairs" };
/** Losses that depend on c and r through the margin h alone. */
const marginLosses = ["sigmoid", "hinge", "robust", "exo_pair", "discopop"];
/** Losses whose derivative jumps somewhere. */
const kinked = ["hinge", "aot", "aot_unpaired"];
/** Losses that see only what the policy has moved. */
const withReference = pairLosses.filter((loss) => loss.reference === "logps");

Deno.test("pairLoss() equals every golden case of one pair at a time", () => {
  const batch = pairsOf(golden.pair_losses.input);
  assertEquals(golden.pair_losses.input, zoo.input);
  const cases = [...golden.pair_losses.cases, ...zoo.cases];
  for (const { loss_type, beta, options, ...expected } of cases) {
    const given = options as unknown as Record<string, number>;
    const result = pairLoss(batch, { beta }, loss_type, given);
    const name = `${loss_type} ${JSON.stringify(options)}`;
    assertClose(result.loss, expected.loss, 1e-12, name);
    assertAllClose(result.perPair, expected.loss_per_pair, 1e-12, name);
    assertAllClose(result.seeds!.chosen, expected.grad_policy_chosen, 1e-12, name);
    assertAllClose(result.seeds!.rejected!, expected.grad_policy_rejected, 1e-12, name);
  }
  const covered = new Set([...cases, ...zoo.batch_cases].map((one) => one.loss_type));
  assertEquals([...covered].sort(), pairLosses.map((loss) => loss.name).sort());
});

/** Options besides the defaults, so that every formula is differentiated. */
const optionSets: Record<string, readonly Options[]> = {
  sigmoid: [{ label_smoothing: 0.2 }, { f_divergence_type: "forward_kl" }],
  ipo: [{ reduction: "sum" }, { f_divergence_type: "js_divergence" }],
  aot: [{ label_smoothing: 0.1 }],
  aot_unpaired: [{ label_smoothing: 0.1 }],
  sppo_hard: [{ f_divergence_type: "alpha_divergence", f_alpha_divergence_coef: 0.7 }],
};

Deno.test("pairLoss() seeds equal differences to 1e-8 on 1,000 batches of every loss", () => {
  for (const { name } of pairLosses) {
    const beta = 0.3;
    for (const options of [{}, ...optionSets[name] ?? []]) {
      let kinks = 0;
      const batches = Object.keys(options).length === 0 ? 1000 : 200;
      for (let seed = 0; seed < batches; seed++) {
        const batch = ordinaryBatch(needs, 1 + seed % 3, seed);
        const weights = Float64Array.from({ length: batch.size }, (_, i) => 0.1 + 0.2 * i);
        const evaluate = (b: ScoreBatch) => pairLoss(b, { beta, weights }, name, options);
        kinks += assertSeeds(batch, evaluate, 1e-8, `${name} ${JSON.stringify(options)}`);
      }
      // Only where pieces meet may the step be too wide: the hinge, and the swaps of a sort.
      assert(kinks <= (kinked.includes(name) ? batches / 10 : 0), `${name}: ${kinks} kinks`);
    }
  }
});

Deno.test("pairLoss() is finite at extremes, for every loss", () => {
  const values = [410, 810.5, -610, 110.6, 1e4, -1e4, 1e150, -1e150, 1e300, -1e300, 0];
  for (const { name } of pairLosses) {
    for (const x of values) {
      for (const y of values) {
        const batch = makeBatch(needs, 1, (_, answer) => answer ? y : x, () => -x);
        for (const beta of [1e-3, 0.1, 2]) {
          const { loss, seeds } = pairLoss(batch, { beta }, name);
          const numbers = [loss, seeds!.chosen[0], seeds!.rejected![0]];
          assert(numbers.every(Number.isFinite), `${name} at ${x}, ${y}: ${numbers}`);
        }
      }
    }
  }
});

Deno.test("pairLoss() is ln 2 with slope beta / 2 where policy and reference agree", () => {
  const batch = ordinaryBatch(needs, 4, 3);
  const same = { ...batch.chosen, policy: batch.chosen.reference! };
  const other = { ...batch.rejected!, policy: batch.rejected!.reference! };
  const result = pairLoss({ ...batch, chosen: same, rejected: other }, { beta: 0.1 }, "sigmoid");
  assertEquals(result.loss, Math.LN2);
  assertEquals(result.seeds!.chosen, new Float64Array(4).fill(-0.0125));
});

Deno.test("pairLoss() ignores a shift of policy and reference, and permutes with the pairs", () => {
  const batch = ordinaryBatch(needs, 6, 5);
  const change = (f: (values: Float64Array) => Float64Array) => {
    const answer = (scores: typeof batch.chosen) => ({
      policy: f(scores.policy),
      reference: f(scores.reference!),
      length: scores.length,
    });
    return { ...batch, chosen: answer(batch.chosen), rejected: answer(batch.rejected!) };
  };
  const lengths = new Uint32Array(6).fill(9);
  for (const { name } of withReference) {
    const plain = pairLoss(batch, { beta: 0.2 }, name);
    const shifted = pairLoss(change((v) => v.map((x) => x + 64)), { beta: 0.2 }, name);
    assertAllClose(shifted.perPair, plain.perPair, 1e-11, name, 1);
    // Lengths equal, so that only the scores have to be turned round.
    const level = { ...batch.chosen, length: lengths };
    const even = { ...batch, chosen: level, rejected: { ...batch.rejected!, length: lengths } };
    const turned = change((v) => v.toReversed());
    const reversed = pairLoss(
      {
        ...turned,
        chosen: { ...turned.chosen, length: lengths },
        rejected: { ...turned.rejected, length: lengths },
      },
      { beta: 0.2 },
      name,
    );
    assertEquals(reversed.perPair.toReversed(), pairLoss(even, { beta: 0.2 }, name).perPair);
  }
});

Deno.test("pairLoss() of the margin alone turns its seeds round when the answers are swapped", () => {
  const batch = ordinaryBatch(needs, 5, 8);
  const swapped = { ...batch, chosen: batch.rejected!, rejected: batch.chosen };
  for (const name of marginLosses) {
    const { seeds } = pairLoss(batch, { beta: 0.2 }, name);
    assertEquals(seeds!.chosen, seeds!.rejected!.map((x) => -x), name);
  }
  // Smoothing by one half says nothing about which answer is better.
  const half = { label_smoothing: 0.5 };
  assertAllClose(
    pairLoss(batch, { beta: 0.2 }, "sigmoid", half).perPair,
    pairLoss(swapped, { beta: 0.2 }, "sigmoid", half).perPair,
    1e-14,
    "half smoothed",
  );
});

Deno.test("pairLoss() takes a beta for each pair and skips pairs of weight 0, NaN and all", () => {
  const batch = pairsWithMargins([1, NaN, 3]);
  const beta = Float64Array.of(0.1, 0.2, 0.3);
  const weights = Float64Array.of(0.25, 0, 0.75);
  const { loss, seeds } = pairLoss(batch, { beta, weights }, "sigmoid");
  const expected = 0.25 * Math.log1p(Math.exp(-0.1)) + 0.75 * Math.log1p(Math.exp(-0.9));
  assertClose(loss, expected, 1e-15, "loss");
  assertEquals([seeds!.chosen[1], seeds!.rejected![1]], [0, 0]);
  assertClose(seeds!.chosen[2], -0.75 * 0.3 / (1 + Math.exp(0.9)), 1e-15, "seed");
});

Deno.test("mixPairLosses() adds losses and seeds with their factors", () => {
  const batch = ordinaryBatch(needs, 4, 2);
  const mixed = mixPairLosses(batch, { beta: 0.1 }, [
    { type: "sigmoid", weight: 0.8, options: {} },
    { type: "bco_pair", weight: 0.2, options: {} },
  ]);
  const [a, b] = ["sigmoid", "bco_pair"].map((name) => pairLoss(batch, { beta: 0.1 }, name));
  assertClose(mixed.loss, 0.8 * a.loss + 0.2 * b.loss, 1e-15, "loss");
  for (const answer of ["chosen", "rejected"] as const) {
    const sum = a.seeds![answer]!.map((x, i) => 0.8 * x + 0.2 * b.seeds![answer]![i]);
    assertAllClose(mixed.seeds![answer]!, sum, 1e-15, answer);
  }
});

Deno.test("exo_pair takes a smoothing of 0 for its default, where the logarithm would be infinite", () => {
  const batch = ordinaryBatch(needs, 4, 2);
  const none = pairLoss(batch, { beta: 0.1 }, "exo_pair", { label_smoothing: 0 });
  assertEquals(none, pairLoss(batch, { beta: 0.1 }, "exo_pair", { label_smoothing: 1e-3 }));
});

Deno.test("pairLoss() says what is missing", () => {
  const batch = ordinaryBatch(needs, 2, 2);
  assertThrows(() => pairLossNamed("sigmod"), ModeError, 'did you mean "sigmoid"?');
  assertThrows(() => pairLoss(batch, {}, "ipo"), ModeError, 'pair loss "ipo" without a beta');
  const { rejected: _, ...single } = batch;
  assertThrows(() => pairLoss(single, { beta: 1 }, "ipo"), ModeError, "without rejected answers");
  assertEquals(pairLoss(batch, {}, "sft"), pairLoss(batch, { beta: 9 }, "sft"));
});

Deno.test("rewardMetrics() gives beta times policy minus reference, ties as not accurate", () => {
  const batch = pairsOf({
    policy_chosen: [-9, -20],
    policy_rejected: [-12, -30],
    ref_chosen: [-10, -20],
    ref_rejected: [-10, -30],
  });
  assertEquals(rewardMetrics(batch, 0.5), {
    "logps/chosen": -14.5,
    "logps/rejected": -21,
    "rewards/chosen": 0.25,
    "rewards/rejected": -0.5,
    "rewards/accuracies": 0.5,
    "rewards/margins": 0.75,
  });
  assertEquals(rewardMetrics(batch, Float64Array.of(1, 2))["rewards/margins"], 1.5);
  assertEquals(Object.keys(rewardMetrics(batch)), ["logps/chosen", "logps/rejected"]);
});
