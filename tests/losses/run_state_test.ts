import { assertEquals, assertThrows } from "@std/assert";
import type { Json } from "../../losses/loss_mode.ts";
import { ModeError } from "../../losses/mode_error.ts";
import { joinStates, splitStates } from "../../losses/run_state.ts";

Deno.test("joinStates() keeps the mode's state as it is without pair losses, and splits again", () => {
  const states: Json[] = [null, 3, [1], { mode: 1 }, { mode: 1, pair_losses: {}, more: 2 }];
  for (const own of states) {
    assertEquals(joinStates(own, {}), own);
    assertEquals(splitStates(own), { own, pairLosses: {} });
    const joined = joinStates(own, { bco_pair: { mean: 1 } });
    assertEquals(splitStates(joined), { own, pairLosses: { bco_pair: { mean: 1 } } });
  }
});

Deno.test("joinStates() refuses a mode's state that looks like a joined one", () => {
  const own = { pair_losses: {}, mode: 1 };
  assertThrows(() => joinStates(own, {}), ModeError, '"mode" and "pair_losses"');
});
