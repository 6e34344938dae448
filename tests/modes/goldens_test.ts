import { assertEquals } from "@std/assert";
import { betaDpoDataFilter, computeBetaDpoMargin } from "../../losses/beta_dpo.ts";
import type { Json, Options } from "../../losses/loss_mode.ts";
import { batchMargins } from "../../losses/margin.ts";
import { validateOptions } from "../../losses/options.ts";
import { rewardMetrics } from "../../losses/rewards.ts";
import { mean } from "../../losses/running_stats.ts";
import { type ModeOutcome, runMode } from "../../losses/run_mode.ts";
import { makeContext } from "../../losses/contract_batches.ts";
import betaDpo from "../../modes/beta_dpo.ts";
import risk from "../../modes/risk.ts";
import sft from "../../modes/sft.ts";
import golden from "../goldens/modes.json" with { type: "json" };
import { assertAllClose, assertClose } from "../losses/assert_close.ts";
import { contextWithDraws, pairsOf } from "../losses/make_pairs.ts";

const TOLERANCE = 1e-12;

/** Loss, seeds and rewards, which both modes' golden cases have. */
interface ExpectedOutcome {
  readonly loss: number;
  readonly loss_per_pair: readonly number[];
  readonly grad_policy_chosen: readonly number[];
  readonly chosen_rewards: readonly number[];
  readonly rejected_rewards: readonly number[];
  readonly metrics: Readonly<Record<string, number | undefined>>;
}

function assertOutcome(outcome: ModeOutcome, expected: ExpectedOutcome, accumulation: number) {
  assertClose(outcome.loss, expected.loss, TOLERANCE, "loss");
  assertAllClose(outcome.perPair, expected.loss_per_pair, TOLERANCE, "perPair");
  // The golden gradients are divided by the accumulation, seeds are not.
  const seeds = expected.grad_policy_chosen.map((g) => g * accumulation);
  assertAllClose(outcome.seeds.chosen, seeds, TOLERANCE, "chosen");
  assertAllClose(outcome.seeds.rejected!, seeds.map((g) => -g), TOLERANCE, "rejected");
  for (const [name, value] of Object.entries(expected.metrics)) {
    if (value !== undefined) assertClose(outcome.metrics[name], value, TOLERANCE, name, 1e-3);
  }
}

function assertRewards(
  batch: ReturnType<typeof pairsOf>,
  beta: number,
  expected: ExpectedOutcome,
) {
  const rewards = rewardMetrics(batch, beta);
  const scale = 1e-3;
  assertClose(rewards["rewards/chosen"], mean(expected.chosen_rewards), TOLERANCE, "chosen", scale);
  const rejected = mean(expected.rejected_rewards);
  assertClose(rewards["rewards/rejected"], rejected, TOLERANCE, "rejected", scale);
}

for (const one of golden.risk) {
  Deno.test(`risk reproduces the golden case "${one.name}"`, () => {
    const { momentum, warmup_steps, ...rest } = one.config;
    const given = {
      ...rest,
      lambda: momentum,
      beta_warmup: warmup_steps,
      compat: one.name.endsWith("_v1") ? "v1" : "",
    };
    const options: Options = validateOptions("risk", risk.options, given);
    let state: Json = risk.init(options);
    one.calls.forEach(({ input, expect }, call) => {
      const batch = pairsOf(input);
      assertAllClose(batchMargins(batch), expect.margin, TOLERANCE, "margin");
      const outcome = runMode(risk, batch, state, options, makeContext(true, call));
      assertOutcome(outcome, expect, one.gradient_accumulation);
      assertEquals(outcome.metrics["risk/beta_used"], outcome.beta);
      assertClose(outcome.beta as number, expect.beta_used, TOLERANCE, "beta used");
      assertRewards(batch, outcome.beta as number, expect);
      // Before the warm-up's end only beta and margin are logged; without a warm-up v1 never gets
      // there, while this program logs every test it makes.
      const logged = "risk/p_hat" in expect.metrics || warmup_steps === 0;
      assertEquals("risk/p_hat" in outcome.metrics, logged);
      const { beta, tau, warmupCount, warmupDone, warmupBuffer } = outcome.state as Record<
        string,
        never
      >;
      const after = expect.state_after;
      assertClose(beta, after.beta, TOLERANCE, "beta after");
      assertClose(tau, after.tau, TOLERANCE, "tau after");
      assertEquals([warmupCount, warmupDone], [after.warmup_count, after.warmup_done]);
      assertAllClose(warmupBuffer, after.warmup_buffer, TOLERANCE, "buffer");
      state = outcome.state;
    });
  });
}

for (const one of golden.beta_dpo) {
  Deno.test(`beta_dpo reproduces the golden case "${one.name}"`, () => {
    const given = { ...one.config, variant: one.variant };
    const options: Options = validateOptions("beta_dpo", betaDpo.options, given);
    let state: Json = betaDpo.init(options);
    one.calls.forEach(({ input, uniform_draws, expect }, call) => {
      const batch = pairsOf(input);
      const context = contextWithDraws(uniform_draws, call);
      const outcome = runMode(betaDpo, batch, state, options, context);
      assertOutcome(outcome, expect, one.gradient_accumulation);
      assertClose(outcome.beta as number, expect.beta_used, TOLERANCE, "beta used");
      const raw = outcome.metrics["beta_dpo/beta_used_raw"];
      assertClose(raw, expect.beta_used_raw, TOLERANCE, "raw beta");
      const kept = [...outcome.weights.keys()].filter((i) => outcome.weights[i] > 0);
      assertEquals(kept, expect.selected);
      assertEquals(kept.map((i) => outcome.weights[i]), kept.map(() => 1 / expect.k));
      const { threshold } = outcome.state as { threshold: { M0: number; sigma: number } };
      assertClose(threshold.M0, expect.M0, TOLERANCE, "M0");
      assertClose(threshold.sigma, expect.sigma, TOLERANCE, "sigma");
      // The official code logs rewards at beta_0, this program always at the beta used.
      if (one.variant !== "official") assertRewards(batch, outcome.beta as number, expect);
      const clamped = expect.beta_used === expect.beta_used_raw ? 0 : 1;
      assertEquals(outcome.metrics["beta_dpo/n_clamped"], clamped);
      assertEquals(
        computeBetaDpoMargin(
          batch.chosen.policy,
          batch.rejected!.policy,
          batch.chosen.reference!,
          batch.rejected!.reference!,
        ),
        batchMargins(batch),
      );
      const { rho, eps, variant } = options as Record<string, never>;
      const filter = { rho, eps, variant };
      const gaps = batchMargins(batch);
      const { logWeights } = betaDpoDataFilter(gaps, threshold, filter, context.uniform);
      assertAllClose(logWeights.map(Math.exp), expect.weights, TOLERANCE, "weights");
      state = outcome.state;
    });
  });
}

Deno.test("sft reproduces the golden case: the mean over the tokens of the batch", () => {
  const { chosen, rows, size } = pairsOf(golden.pair_losses.input);
  const batch = { size, rows, chosen: { policy: chosen.policy, length: chosen.length } };
  const outcome = runMode(sft, batch, null, {}, makeContext(true, 0));
  assertClose(outcome.loss, golden.sft.loss, TOLERANCE, "loss");
  // The golden gradient is that of the mean of n equal numbers, so it is the same.
  assertAllClose(outcome.seeds.chosen, golden.sft.grad_policy_chosen, TOLERANCE, "seeds");
  assertEquals(outcome.seeds.rejected, undefined);
});
