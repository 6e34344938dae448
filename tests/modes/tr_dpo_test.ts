import { assertEquals, assertThrows } from "@std/assert";
import { makeContext } from "../../losses/contract_batches.ts";
import type { LossMode, Options } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import { defaultOptions } from "../../losses/options.ts";
import { runOptimizerStep } from "../../losses/run_mode.ts";
import dpo from "../../modes/dpo.ts";
import trDpo from "../../modes/tr_dpo.ts";

/** What a mode asks for after optimizer steps 1 to 6: 0 where it asks for nothing. */
function alphas(options: Options): number[] {
  return Array.from({ length: 6 }, (_, i) => {
    const context = { ...makeContext(true, 0), optimizerStep: i + 1 };
    const given = { ...defaultOptions(trDpo.options), ...options };
    return runOptimizerStep(trDpo as LossMode, null, given, context).reference?.alpha ?? 0;
  });
}

Deno.test("tr_dpo moves the reference after every sync_steps-th optimizer step", () => {
  assertEquals(alphas({ sync_steps: 2 }), [0, 0.6, 0, 0.6, 0, 0.6]);
  assertEquals(alphas({ sync_steps: 3, update: "hard", alpha: 0.1 }), [0, 0, 1, 0, 0, 1]);
  assertEquals(alphas({}), [0, 0, 0, 0, 0, 0]);
});

Deno.test("a move that was not announced, or that goes nowhere, is refused", () => {
  const asking = (alpha: number, needs = trDpo.needs): LossMode => ({
    ...(dpo as LossMode),
    needs,
    onOptimizerStep: () => ({ state: null, reference: { alpha } }),
  });
  const refused = (mode: LossMode, text: string) =>
    assertThrows(() => runOptimizerStep(mode, null, {}, makeContext(true, 0)), ModeError, text);
  refused(asking(0.5, dpo.needs), "referenceSync: true");
  for (const alpha of [0, -1, 1.5, NaN]) refused(asking(alpha), `"reference.alpha" is "${alpha}"`);
});
