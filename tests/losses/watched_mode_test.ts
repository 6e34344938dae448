import { assert, assertEquals, assertThrows } from "@std/assert";
import { makeContext, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { LossMode } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import { firstState, runMode, runOptimizerStep } from "../../losses/run_mode.ts";
import { type ModeCall, watchMode } from "../../losses/watched_mode.ts";
import dpo from "../../modes/dpo.ts";
import risk from "../../modes/risk.ts";
import { defaultOptions } from "../../losses/options.ts";

/** A watch that keeps what it is told; calls that nest, or are not left, throw. */
function recorder() {
  const calls: ModeCall[] = [];
  let inside = false;
  return {
    calls,
    enter(call: ModeCall) {
      assert(!inside);
      inside = true;
      calls.push(call);
    },
    leave() {
      assert(inside);
      inside = false;
    },
  };
}

const needs = { reference: "logps", scope: "pair", rows: "pairs" } as const;
const batch = ordinaryBatch(needs, 3, 1);
const context = makeContext(true, 5);

Deno.test("watchMode() changes no number and tells where each call is", () => {
  const options = defaultOptions(risk.options);
  const watch = recorder();
  const watched = watchMode(risk as unknown as LossMode, watch);
  const bare = risk as unknown as LossMode;
  const state = firstState(watched, options);
  assertEquals(state, firstState(bare, options));
  assertEquals(
    runMode(watched, batch, state, options, context),
    runMode(bare, batch, state, options, context),
  );
  const place = { training: true, optimizerStep: 2, microStep: 5, rows: [...batch.rows] };
  assertEquals(watch.calls.map((call) => [call.mode, call.part]), [
    ["risk", "init"],
    ["risk", "needs"],
    ["risk", "decide"],
  ]);
  assertEquals(watch.calls[2], { mode: "risk", part: "decide", ...place });
  // Absent functions stay absent: they say what kind of mode it is.
  assertEquals(Object.keys(watched).filter((key) => watched[key as keyof LossMode]).sort(), [
    ...Object.keys(risk).sort(),
  ]);
});

Deno.test("watchMode() tells a loss the place of its decision, each of many calls, and what throws", () => {
  const watch = recorder();
  const mode: LossMode = {
    ...dpo,
    loss: (b) => ({ loss: b.chosen.policy[0] ** 2, perPair: new Float64Array(b.size) }),
    onOptimizerStep: () => {
      throw new Error("too late");
    },
    baseBeta: () => {
      throw new Error("no beta");
    },
  };
  const watched = watchMode(mode, watch);
  runMode(watched, batch, null, defaultOptions(dpo.options), context);
  const losses = watch.calls.filter(({ part }) => part === "loss");
  // Without seeds: once, and six times for each of 3 pairs' two answers.
  assertEquals(losses.length, 1 + 6 * 6);
  assertEquals(losses[0].microStep, 5);
  assertEquals(losses[0].rows, [...batch.rows]);
  assertThrows(() => runOptimizerStep(watched, null, {}, context), ModeError, "too late");
  assertThrows(
    () => watched.baseBeta!({}),
    ModeError,
    'Mode "dpo": "baseBeta" failed: no beta',
  );
  // The recorder would not let in a call after one that was not left.
  watched.needs({});
});
