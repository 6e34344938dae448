// The blocks of docs/write_your_own_loss.md are the files beside this test, which are checked here.
import { assertEquals, assertStringIncludes } from "@std/assert";
import page from "../../docs/write_your_own_loss.md" with { type: "text" };
import { checkLoaded } from "../../commands/check_mode_worker.ts";
import { makeContext, ordinaryBatch } from "../../losses/contract_batches.ts";
import type { LossMode } from "../../losses/loss_mode.ts";
import { runMode } from "../../losses/run_mode.ts";
import { loadMode } from "../../modes/mod.ts";
import { parseConfig } from "../../trainer/config.ts";
import { assertAllClose } from "../losses/assert_close.ts";
import dpoShift from "./dpo_shift.ts";
import source from "./dpo_shift.ts" with { type: "text" };
import withSeeds from "./dpo_shift_seeds.ts";
import sourceWithSeeds from "./dpo_shift_seeds.ts" with { type: "text" };

function blocks(language: string): string[] {
  const pattern = new RegExp("```" + language + "\\n(.*?)```", "gs");
  return [...page.matchAll(pattern)].map(([, text]) => text);
}

Deno.test("the page's mode is the one tested here, without and with derivatives", () => {
  const [mode, , seeds] = blocks("ts");
  assertEquals(mode.replaceAll('"../losses/', '"../../losses/'), source);
  const added = seeds.trimEnd().replace(/^/gm, "    ");
  const changed = source.replace("{ logSigmoid }", "{ logSigmoid, sigmoid }")
    .replace("    return { loss, perPair };", `${added}\n    return { loss, perPair, seeds };`);
  assertEquals(changed, sourceWithSeeds);
});

Deno.test("the page's mode keeps the contract, and is DPO at f = 1", async () => {
  const dpo = await loadMode("dpo");
  const batch = ordinaryBatch(dpo.needs({}), 16, 3);
  const wanted = runMode(dpo, batch, null, { beta: 0.1 }, makeContext(true, 0));
  for (const mode of [dpoShift, withSeeds] as LossMode[]) {
    assertEquals(checkLoaded(mode, "dpo_shift").faults, 0);
    const run = (f: number) => runMode(mode, batch, null, { beta: 0.1, f }, makeContext(true, 0));
    assertAllClose(run(1).perPair, wanted.perPair, 1e-12, "loss");
    assertAllClose(run(1).seeds.rejected!, wanted.seeds.rejected!, 1e-8, "rejected");
    assertEquals(run(0.5).loss === wanted.loss, false);
  }
});

Deno.test("the page's config is valid and selects its mode", () => {
  const { mode } = parseConfig(blocks("yaml")[0], { file: "dpo_shift.yaml", overrides: [] });
  assertEquals(mode, "dpo_shift");
});

Deno.test("the message that the page shows is what check-mode says", () => {
  const wrong: LossMode = {
    ...withSeeds,
    loss(batch, decision, options) {
      const result = withSeeds.loss!(batch, { ...decision, state: null }, options);
      const { chosen, rejected } = result.seeds!;
      const turned = rejected!.map((x) => -x / (decision.beta as number));
      return { ...result, seeds: { chosen, rejected: turned } };
    },
  } as LossMode;
  for (const line of checkLoaded(wrong, "dpo_shift").text.split("\n")) {
    assertStringIncludes(page, line.trimEnd());
  }
});
