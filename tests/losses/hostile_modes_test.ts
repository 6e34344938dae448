/** Modes that break the contract: each is refused with its name, the place and the reason. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { makeContext, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { LossMode, Needs } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import { runMode } from "../../losses/run_mode.ts";

const needs: Needs = { reference: "logps", scope: "pair", rows: "pairs" };
const good: LossMode = {
  name: "hostile",
  help: "A mode",
  version: 1,
  options: {},
  needs: () => needs,
  init: () => null,
  decide: () => ({ beta: 0.1, state: null, metrics: {} }),
};

const cycle: Record<string, unknown> = {};
cycle.self = cycle;
// deno-lint-ignore no-explicit-any -- what a plug-in in plain JavaScript may return
type Anything = any;
const deciding = (decision: Anything): Partial<LossMode> => ({
  decide: () => ({ beta: 0.1, state: null, metrics: {}, ...decision }),
});
const losing = (result: Anything): Partial<LossMode> => ({
  loss: ({ size }) => ({
    loss: 1,
    perPair: new Float64Array(size),
    seeds: { chosen: new Float64Array(size), rejected: new Float64Array(size) },
    ...result,
  }),
});

const HOSTILE: readonly (readonly [string, Partial<LossMode>, string])[] = [
  ["throws", {
    decide: () => {
      throw new Error("out of luck");
    },
  }, "out of luck"],
  ["returns a Promise", { decide: (() => Promise.resolve({})) as Anything }, "Promise"],
  ["returns nothing", { decide: (() => undefined) as Anything }, '"undefined"'],
  ["returns text for beta", deciding({ beta: "0.1" }), '"beta"'],
  ["returns too few weights", deciding({ weights: new Float64Array(2) }), '"weights"'],
  ["has a function in its state", deciding({ state: { next: () => 1 } }), '"state.next"'],
  ["has a cycle in its state", deciding({ state: cycle }), "a part of itself"],
  ["has a state without end", deciding({ state: new Array(2 ** 25).fill(0) }), '"state"'],
  ["has NaN in its state", deciding({ state: { sum: NaN } }), '"state.sum"'],
  ["has NaN as its loss", losing({ loss: NaN }), "NaN"],
  ["has too few seeds", losing({ seeds: { chosen: new Float64Array(1) } }), '"seeds.chosen"'],
  ["writes into its input", {
    decide: (batch) => {
      batch.chosen.policy[1] = 0;
      return { beta: 0.1, state: null, metrics: {} };
    },
  }, '"chosen.policy" at dataset row'],
  ["writes into its options", {
    decide: (_batch, _state, options) => {
      (options as Record<string, number>).beta = 2;
      return { beta: 0.1, state: null, metrics: {} };
    },
  }, '"decide" failed'],
];

for (const [what, changes, reason] of HOSTILE) {
  Deno.test(`a mode that ${what} is refused by name and place`, () => {
    const batch = ordinaryBatch(needs, 3, 1);
    const before = structuredClone(batch);
    const mode = { ...good, ...changes } as LossMode;
    const error = assertThrows(
      () => runMode(mode, batch, null, {}, makeContext(true, 5)),
      ModeError,
    );
    assertStringIncludes(error.message, 'Mode "hostile"');
    assertStringIncludes(error.message, "decision 5");
    assertStringIncludes(error.message, reason);
    assertEquals(batch, before);
  });
}
