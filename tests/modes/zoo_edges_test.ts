// Edge cases, needs and remarks of the modes beside risk and beta_dpo.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { makeContext, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { Json, Options } from "../../losses/loss_mode.ts";
import { ModeNumbersError } from "../../losses/mode_error.ts";
import { defaultOptions } from "../../losses/options.ts";
import { runMode } from "../../losses/run_mode.ts";
import { loadMode } from "../../modes/mod.ts";
import { assertClose } from "../losses/assert_close.ts";
import { randomPairs } from "../losses/random_pairs.ts";

Deno.test("alpha_dpo leaves a pair without a gap out in training, and ends an evaluation", async () => {
  const mode = await loadMode("alpha_dpo");
  const options = defaultOptions(mode.options);
  const batch = randomPairs(34);
  batch.rejected!.policy[3] = NaN;
  const outcome = runMode(mode, batch, mode.init(options), options, makeContext(true, 0));
  assertEquals([outcome.weights[3], outcome.seeds.chosen[3]], [0, 0]);
  assertClose(outcome.weights[0], 1 / (batch.size - 1), 1e-15, "weight");
  assertEquals(outcome.metrics["alpha_dpo/skipped_nonfinite"], 1);
  const evaluate = () => runMode(mode, batch, outcome.state, options, makeContext(false, 1));
  assertThrows(evaluate, ModeNumbersError, "dataset row 3");
});

Deno.test("alpha_dpo has no target but the ratio before a deviation is known", async () => {
  const mode = await loadMode("alpha_dpo");
  const options = defaultOptions(mode.options);
  let state: Json = mode.init(options);
  for (let call = 0; call < 3; call++) {
    const batch = ordinaryBatch(mode.needs(options), 1, call);
    const outcome = runMode(mode, batch, state, options, makeContext(true, call));
    assertEquals(outcome.metrics["alpha_dpo/target_mean"], 0.6);
    state = outcome.state;
  }
  const { gaps } = state as { gaps: { std: number } };
  assertEquals(gaps.std, 0);
  // A pair by itself says nothing of a deviation that is known either.
  const known = { gaps: { mean: 0.5, std: 2 } };
  const one = ordinaryBatch(mode.needs(options), 1, 3);
  const after = runMode(mode, one, known, options, makeContext(true, 3)).state;
  assertEquals((after as typeof known).gaps.std, 2);
  assert((after as typeof known).gaps.mean !== 0.5);
  assertEquals(mode.remarks!(options, { decisionSize: 1, decisions: 9 }).length, 1);
  assertEquals(mode.remarks!(options, { decisionSize: 2, decisions: 9 }), []);
});

Deno.test("modes say what they need by their options", async () => {
  const needs = async (name: string, given: Options = {}) => {
    const mode = await loadMode(name);
    return mode.needs({ ...defaultOptions(mode.options), ...given });
  };
  assertEquals((await needs("orpo")).tokens, undefined);
  assertEquals((await needs("orpo", { nll: "sequence" })).tokens, ["promptLogp"]);
  assertEquals((await needs("kto")).extra, "mismatched");
  assertEquals((await needs("kto", { variant: "apo_zero_unpaired" })).extra, undefined);
  assertEquals((await needs("bco")).rows, "pairs");
  assertEquals((await needs("bco", { rows: "unpaired" })).rows, "unpaired");
  const epsilon = await needs("epsilon_dpo", { epsilon: 0.02 });
  assertEquals([epsilon.reference, epsilon.tokens, epsilon.epsilon], [
    "live",
    ["epsilonMix"],
    0.02,
  ]);
  for (const name of ["cpo", "orpo", "simpo", "slic_hf", "sft"]) {
    assertEquals((await needs(name)).reference, "none", name);
  }
});

Deno.test("cpo, slic_hf and kto remark on what cannot go well", async () => {
  const remarks = async (name: string, given: Options, decisionSize = 8) => {
    const mode = await loadMode(name);
    const options = { ...defaultOptions(mode.options), ...given };
    return mode.remarks!(options, { decisionSize, decisions: 9 }).length;
  };
  assertEquals(await remarks("cpo", {}), 0);
  assertEquals(await remarks("cpo", { alpha: 0.2 }), 1);
  assertEquals(await remarks("cpo", { alpha: 0.2, variant: "simpo" }), 0);
  assertEquals([await remarks("slic_hf", {}), await remarks("slic_hf", { lambda: 0 })], [0, 1]);
  assertEquals([await remarks("kto", {}), await remarks("kto", {}, 1)], [0, 1]);
});
