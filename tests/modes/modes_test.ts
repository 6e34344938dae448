import { assert, assertEquals, assertRejects } from "@std/assert";
import { checkContract } from "../../losses/contract.ts";
import { makeContext, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { Json, Options } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import { defaultOptions } from "../../losses/options.ts";
import { pairLosses } from "../../losses/pair_losses.ts";
import { runMode } from "../../losses/run_mode.ts";
import { builtInModes, loadMode } from "../../modes/mod.ts";
import { assertAllClose } from "../losses/assert_close.ts";

/** Every mode of the folder, with options that reach its branches within the suite's few calls. */
const optionSets: Record<string, readonly Options[]> = {
  alpha_dpo: [{}, { ln: false, start: "zero", label_smoothing: 0.1 }],
  bco: [{}, { rows: "unpaired", desirable_weight: 2 }],
  cpo: [{}, { variant: "hinge", beta: 1 }, { variant: "ipo", cpo_alpha: 0 }, {
    variant: "simpo",
    alpha: 0.25,
    label_smoothing: 0.1,
  }],
  dpop: [{}, { penalty: "inside", delta: 2 }],
  epsilon_dpo: [{}, { epsilon: 0.5 }],
  kto: [{}, { variant: "apo_zero_unpaired", undesirable_weight: 0 }],
  margin: [{}],
  orpo: [{}, { nll: "sequence", beta: 2 }],
  simpo: [{}, { sft_weight: 0.5, label_smoothing: 0.1 }],
  slic_hf: [{}, { margin: 5, lambda: 0 }],
  beta_dpo: [{}, { variant: "official" }, { variant: "v4_main", scope: "step" }, {
    variant: "v4_behavior_fix",
    max_beta: 0.2,
  }],
  dpo: [{}, { beta: 2 }],
  risk: [{}, { beta_warmup: 1 }, { beta_warmup: 0, compat: "v1", alpha: 0.5 }, {
    beta_warmup: 2,
    tau: "robbins_monro",
    scope: "step",
  }],
  sft: [{}],
  tr_dpo: [{}, { update: "hard", sync_steps: 1 }],
};

const readGranted = (await Deno.permissions.query({ name: "read" })).state === "granted";

Deno.test({
  name: "the modes of this test and the built-in ones equal the folder (needs read permission)",
  ignore: !readGranted,
  fn() {
    const names: string[] = [];
    for (const { name } of Deno.readDirSync(new URL("../../modes", import.meta.url))) {
      if (name !== "mod.ts") names.push(name.replace(/\.ts$/, ""));
    }
    assertEquals(Object.keys(optionSets).sort(), names.sort());
    assertEquals([...builtInModes].sort(), names);
  },
});

for (const [name, sets] of Object.entries(optionSets)) {
  Deno.test(`mode "${name}" keeps the contract`, async () => {
    const mode = await loadMode(name);
    for (const options of sets) {
      assertEquals(checkContract(mode, { fileName: name, options }), []);
    }
  });
}

Deno.test("every mode that decides a beta keeps the contract with every pair loss", async () => {
  const running = { type: "bco_pair", weight: 1, options: { running_mean: true } };
  for (const name of ["beta_dpo", "dpo", "epsilon_dpo", "margin", "risk"]) {
    const mode = await loadMode(name);
    assertEquals(mode.loss, undefined);
    const choices = pairLosses.map(({ name: type }) => ({ type, weight: 1, options: {} }));
    for (const choice of [...choices, running]) {
      const findings = checkContract(mode, { fileName: name, lossTypes: [choice] });
      assertEquals(findings, [], `${name} ${choice.type}`);
    }
  }
});

Deno.test("50 evaluations between two training calls change no byte of any mode", async () => {
  for (const name of builtInModes) {
    const mode = await loadMode(name);
    const options = defaultOptions(mode.options);
    const needs = mode.needs(options);
    const train = (evaluations: number) => {
      let state: Json = mode.init(options);
      for (let call = 0; call < 2; call++) {
        const batch = ordinaryBatch(needs, 8, call);
        state = runMode(mode, batch, state, options, makeContext(true, call)).state;
        for (let i = 0; i < evaluations; i++) {
          const held = ordinaryBatch(needs, 8, 100 + i);
          state = runMode(mode, held, state, options, makeContext(false, call)).state;
        }
      }
      return JSON.stringify(state);
    };
    assertEquals(train(50), train(0), name);
  }
});

Deno.test("dpo equals an independent formula on 10,000 random batches", async () => {
  const dpo = await loadMode("dpo");
  const needs = dpo.needs({});
  for (let seed = 0; seed < 10_000; seed++) {
    const beta = 0.02 + (seed % 50) / 25;
    const batch = ordinaryBatch(needs, 1 + seed % 64, seed);
    const { seeds, perPair } = runMode(dpo, batch, null, { beta }, makeContext(true, 0));
    const margin = (i: number) =>
      batch.chosen.policy[i] - batch.chosen.reference![i] -
      (batch.rejected!.policy[i] - batch.rejected!.reference![i]);
    const odds = perPair.map((_, i) => Math.exp(-beta * margin(i)));
    assertAllClose(perPair, odds.map((x) => Math.log1p(x)), 1e-12, "loss");
    const slopes = odds.map((x) => -beta * x / (1 + x) / batch.size);
    assertAllClose(seeds.chosen, slopes, 1e-12, "chosen");
    assertAllClose(seeds.rejected!, slopes.map((x) => -x), 1e-12, "rejected");
  }
});

Deno.test("loadMode() refuses names that are paths, packages, addresses or its own", async () => {
  for (const name of ["../evil", "mod", "", "Dpo", "npm:x", "https://x.y/z", "a-b", "1a", "a.b"]) {
    const error = await assertRejects(() => loadMode(name), ModeError, "cannot name a mode");
    assertEquals(error.path, "mode");
  }
});

Deno.test("loadMode() lists what is built in for an unknown name, nearest first", async () => {
  const error = await assertRejects(() => loadMode("beta_dop"), ModeError);
  assertEquals(
    error.message,
    'Unknown mode "beta_dop": there is no file "modes/beta_dop.ts"; did you mean "beta_dpo"? Built in are ' +
      builtInModes.map((name) => `"${name}"`).join(", "),
  );
  assert((await loadMode("risk")).name === "risk");
  await assertRejects(() => loadMode("constructor"), ModeError, "Unknown mode");
});
