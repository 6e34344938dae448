import { assertEquals } from "@std/assert";
import type { Json, LossMode, Options, ScoreBatch } from "../../losses/loss_mode.ts";
import { validateOptions } from "../../losses/options.ts";
import { type ModeOutcome, runMode, runOptimizerStep } from "../../losses/run_mode.ts";
import { makeContext } from "../../losses/contract_batches.ts";
import alphaDpo from "../../modes/alpha_dpo.ts";
import bco from "../../modes/bco.ts";
import cpo from "../../modes/cpo.ts";
import dpop from "../../modes/dpop.ts";
import epsilonDpo from "../../modes/epsilon_dpo.ts";
import kto from "../../modes/kto.ts";
import margin from "../../modes/margin.ts";
import orpo from "../../modes/orpo.ts";
import simpo from "../../modes/simpo.ts";
import slicHf from "../../modes/slic_hf.ts";
import { assertAllClose, assertClose } from "../losses/assert_close.ts";
import { pairsOf } from "../losses/make_pairs.ts";
import golden from "../losses/zoo_goldens.json" with { type: "json" };

const TOLERANCE = 1e-12;
const pairs = pairsOf(golden.input);
const cases = golden.modes;
const training = makeContext(true, 0);

function run(mode: LossMode, given: Options, batch: ScoreBatch = pairs): ModeOutcome {
  const options = validateOptions(mode.name, mode.options, given);
  return runMode(mode, batch, mode.init(options), options, training);
}

interface Expected {
  readonly loss_per_pair: readonly number[];
  readonly loss: number;
  readonly grad_policy_chosen: readonly number[];
  readonly grad_policy_rejected: readonly number[];
}

function assertOutcome(outcome: ModeOutcome, expected: Expected, name: string): void {
  assertClose(outcome.loss, expected.loss, TOLERANCE, `${name} loss`);
  assertAllClose(outcome.perPair, expected.loss_per_pair, TOLERANCE, `${name} perPair`);
  const { chosen, rejected } = outcome.seeds;
  assertAllClose(chosen, expected.grad_policy_chosen, TOLERANCE, `${name} chosen`);
  assertAllClose(rejected!, expected.grad_policy_rejected, TOLERANCE, `${name} rejected`);
}

Deno.test("simpo, slic_hf, cpo and dpop reproduce their golden cases", () => {
  const { beta, gamma_beta_ratio } = cases.simpo.options;
  assertOutcome(run(simpo, { beta, gamma_beta_ratio }), cases.simpo, "simpo");
  const { slic_margin, slic_lambda } = cases.slic_hf.options;
  const slic = run(slicHf, { margin: slic_margin, lambda: slic_lambda });
  assertOutcome(slic, cases.slic_hf, "slic_hf");
  assertOutcome(run(cpo, { ...cases.cpo.options, cpo_alpha: 0 }), cases.cpo, "cpo");
  assertOutcome(run(dpop, cases.dpop.options), cases.dpop, "dpop");
});

Deno.test("cpo with simpo's variant and no likelihood is simpo", () => {
  // TRL's simpo_gamma is the ratio times beta.
  const found = run(cpo, { variant: "simpo", beta: 2, simpo_gamma: 1, cpo_alpha: 0 });
  assertOutcome(found, cases.simpo, "cpo");
});

Deno.test("orpo reproduces the golden odds ratio, and the likelihood of answer or sequence", () => {
  const { chosen } = pairs;
  const tokens = chosen.length.reduce((sum, n) => sum + n, 0);
  const total = chosen.policy.reduce((sum, p) => sum + p, 0);
  const answer = run(orpo, cases.orpo.options);
  assertClose(answer.loss, cases.orpo.loss - total / tokens, TOLERANCE, "loss");
  const seeds = cases.orpo.grad_policy_chosen.map((seed) => seed - 1 / tokens);
  assertAllClose(answer.seeds.chosen, seeds, TOLERANCE, "chosen");
  assertAllClose(answer.seeds.rejected!, cases.orpo.grad_policy_rejected, TOLERANCE, "rejected");
  const odds = answer.perPair.map((loss, i) => loss + chosen.policy[i] / chosen.length[i]);
  assertAllClose(odds, cases.orpo.loss_per_pair, TOLERANCE, "odds", 1);

  const prompt = { policy: Float64Array.of(-7, -9, -11, -3), length: Uint32Array.of(4, 5, 9, 1) };
  const sequence = run(orpo, { ...cases.orpo.options, nll: "sequence" }, { ...pairs, prompt });
  const all = tokens + 19;
  assertClose(sequence.loss, cases.orpo.loss - (total - 30) / all, TOLERANCE, "sequence loss");
  assertAllClose(sequence.seeds.prompt!, new Float64Array(4).fill(-1 / all), TOLERANCE, "prompt");
  assertClose(sequence.seeds.chosen[0], cases.orpo.grad_policy_chosen[0] - 1 / all, 1e-12, "seed");
});

Deno.test("epsilon_dpo reproduces the golden case, and moves its base beta after the step", () => {
  const { beta, epsilon, steps, beta_after } = cases.epsilon_dpo.options;
  // Gaps that rise, fall, or turn, from minus over the policy to plus.
  const mix = (scores: ScoreBatch["chosen"], sign: number) => ({
    ...scores,
    epsilonMix: {
      plus: scores.policy.map((p, i) => p + sign * (steps[i] || 1)),
      minus: scores.policy.map((p, i) => p - sign * (steps[i] || -1)),
    },
  });
  const batch = { ...pairs, chosen: mix(pairs.chosen, 1), rejected: mix(pairs.rejected!, -1) };
  const options = validateOptions("epsilon_dpo", epsilonDpo.options, { beta, epsilon });
  let state: Json = epsilonDpo.init(options);
  // Two equal decisions of one optimizer step have the same mean step as one.
  for (let call = 0; call < 2; call++) {
    const outcome = runMode(epsilonDpo, batch, state, options, makeContext(true, call));
    assertOutcome(outcome, cases.epsilon_dpo, "epsilon_dpo");
    assertEquals(outcome.metrics["kl/avg_steps"], 0.25);
    assertEquals(outcome.metrics["kl/p_epsilon_steps"], 0.5);
    assertEquals(outcome.metrics["kl/n_epsilon_steps"], 0.25);
    state = outcome.state;
  }
  const after = runOptimizerStep(epsilonDpo, state, options, training).state;
  const { beta: moved, step } = after as { beta: number; step: number };
  assertClose(moved, beta_after, TOLERANCE, "beta after");
  assertEquals(step, 0);
  const evaluation = runMode(epsilonDpo, batch, after, options, makeContext(false, 2));
  assertEquals([evaluation.beta, evaluation.state], [moved, after]);
});

Deno.test("epsilon_dpo takes the steps of the golden logits", () => {
  const { policy_logps: P, ref_logps: R, p_eps_logps: plus, n_eps_logps: minus } =
    golden.token_level;
  const { completion_lens: L, epsilon, epsilon_steps } = golden.token_level;
  // Rows 0 and 1 are chosen, 2 and 3 rejected.
  const side = (from: number): ScoreBatch["chosen"] => {
    const cut = (values: readonly number[]) => Float64Array.from(values.slice(from, from + 2));
    return {
      policy: cut(P),
      reference: cut(R),
      length: Uint32Array.from(L.slice(from, from + 2)),
      epsilonMix: { plus: cut(plus), minus: cut(minus) },
    };
  };
  const batch = { size: 2, rows: Uint32Array.of(0, 1), chosen: side(0), rejected: side(2) };
  const outcome = run(epsilonDpo, { beta: 0.1, epsilon }, batch);
  const betas = epsilon_steps.map((step) => 0.1 / (1 + epsilon * step));
  assertAllClose(outcome.beta as Float64Array, betas, 1e-15, "beta");
});

/** Both answers of each pair as rows of their own, the chosen ones first. */
function unpaired(batch: ScoreBatch): ScoreBatch {
  const join = (a: ArrayLike<number>, b: ArrayLike<number>) => [...Array.from(a), ...Array.from(b)];
  const { chosen, rejected, size } = batch;
  return {
    size: 2 * size,
    rows: Uint32Array.from({ length: 2 * size }, (_, i) => i),
    chosen: {
      policy: Float64Array.from(join(chosen.policy, rejected!.policy)),
      reference: Float64Array.from(join(chosen.reference!, rejected!.reference!)),
      length: Uint32Array.from(join(chosen.length, rejected!.length)),
    },
    label: Uint8Array.from({ length: 2 * size }, (_, i) => i < size ? 1 : 0),
  };
}

Deno.test("kto reproduces the golden case on four good and four bad answers", () => {
  const { beta, kl, desirable_weight, undesirable_weight } = cases.kto.options;
  const rows = unpaired(pairs);
  // Log-ratios whose mean is the golden KL.
  const moved = [kl - 1, kl + 1, kl, kl - 2, kl + 2, kl, kl - 3, kl + 3];
  const mismatched = {
    ...rows.chosen,
    policy: rows.chosen.reference!.map((r, i) => r + moved[i]),
  };
  const options = { beta, desirable_weight, undesirable_weight };
  const outcome = run(kto, options, { ...rows, mismatched });
  // The KL went through sums of tens of nats.
  assertClose(outcome.metrics["kto/kl"], kl, 1e-14, "kl");
  assertClose(outcome.loss, cases.kto.loss, TOLERANCE, "loss");
  const losses = [...cases.kto.loss_chosen, ...cases.kto.loss_rejected];
  assertAllClose(outcome.perPair, losses, TOLERANCE, "perPair");
  const seeds = [...cases.kto.grad_policy_chosen, ...cases.kto.grad_policy_rejected];
  assertAllClose(outcome.seeds.chosen, seeds, TOLERANCE, "seeds");
  assertEquals(outcome.seeds.rejected, undefined);
});

Deno.test("kto without a baseline, or with a negative one, is APO-zero on single answers", () => {
  const rows = unpaired(pairs);
  const c = rows.chosen.policy.map((p, i) => p - rows.chosen.reference![i]);
  const expected = c.map((x, i) => 1 / (1 + Math.exp(i < 4 ? 0.1 * x : -0.1 * x)));
  const apo = run(kto, { variant: "apo_zero_unpaired" }, rows);
  assertAllClose(apo.perPair, expected, TOLERANCE, "perPair");
  const below = { ...rows.chosen, policy: rows.chosen.reference!.map((r) => r - 1) };
  const clipped = run(kto, {}, { ...rows, mismatched: below });
  assertAllClose(clipped.perPair, expected, TOLERANCE, "perPair");
  assertEquals(clipped.metrics["kto/kl"], 0);
});

Deno.test("alpha_dpo reproduces the golden batches", () => {
  const { ...given } = cases.alpha_dpo.options;
  const options = validateOptions("alpha_dpo", alphaDpo.options, given);
  let state: Json = alphaDpo.init(options);
  cases.alpha_dpo.batches.forEach((expected, call) => {
    const scale = (scores: ScoreBatch["chosen"]) => ({
      ...scores,
      policy: scores.policy.map((p) => p * expected.policy_scale),
    });
    const batch = { ...pairs, chosen: scale(pairs.chosen), rejected: scale(pairs.rejected!) };
    const outcome = runMode(alphaDpo, batch, state, options, makeContext(true, call));
    const { gaps } = outcome.state as { gaps: { mean: number; std: number } };
    assertClose(gaps.mean, expected.mean, TOLERANCE, "mean", 1);
    assertClose(gaps.std, expected.std, TOLERANCE, "std");
    assertClose(outcome.loss, expected.loss, TOLERANCE, "loss");
    // The golden derivatives are with respect to token averages.
    const { length } = pairs.chosen;
    const seeds = expected.grad_avg_logp_chosen.map((seed, i) => seed / length[i]);
    assertAllClose(outcome.seeds.chosen, seeds, TOLERANCE, "chosen");
    const other = expected.grad_avg_logp_chosen.map((seed, i) => -seed / pairs.rejected!.length[i]);
    assertAllClose(outcome.seeds.rejected!, other, TOLERANCE, "rejected");
    state = outcome.state;
  });
});

Deno.test("bco on pairs is half of bco_pair's golden losses at the shift of all rewards", () => {
  // Pushed once, all rewards have the mean that the pair loss takes of the batch.
  const [first] = cases.bco_pair_running.batches;
  const outcome = run(bco, cases.bco_pair_running.options);
  assertClose(outcome.metrics["bco/shift"], first.delta, TOLERANCE, "shift");
  const half = first.loss_per_pair.map((loss) => loss / 2);
  assertAllClose(outcome.perPair, half, TOLERANCE, "perPair");
  // The same answers as rows of their own: the same loss and derivatives.
  const single = run(bco, { ...cases.bco_pair_running.options, rows: "unpaired" }, unpaired(pairs));
  assertClose(single.loss, outcome.loss, TOLERANCE, "loss");
  const seeds = [...outcome.seeds.chosen, ...outcome.seeds.rejected!];
  assertAllClose(single.seeds.chosen, seeds, TOLERANCE, "seeds");
});

Deno.test("margin is dpo with mean and deviation of the margins", () => {
  const outcome = run(margin, { beta: 0.1 });
  const margins = [2.25, -1, -0.625, 3.25];
  const center = margins.reduce((sum, x) => sum + x / 4, 0);
  const spread = Math.sqrt(margins.reduce((sum, x) => sum + (x - center) ** 2 / 4, 0));
  assertClose(outcome.metrics["margin_dpo/margin_mean"], center, TOLERANCE, "mean");
  assertClose(outcome.metrics["margin_dpo/margin_std"], spread, TOLERANCE, "deviation");
  assertClose(outcome.loss, 0.6500091621148071, TOLERANCE, "loss");
});
