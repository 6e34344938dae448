import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkInWorker } from "../../commands/check_mode.ts";
import { checkLoaded } from "../../commands/check_mode_worker.ts";
import template from "../../commands/mode_template.ts";
import type { LossMode, LossResult } from "../../losses/loss_mode.ts";

const readGranted = (await Deno.permissions.query({ name: "read" })).state === "granted";

/** What is said about the template after a change of what its loss returns. */
function say(change: (result: LossResult, beta: number, size: number) => LossResult): string {
  const mode: LossMode<null> = {
    ...template,
    loss: (batch, decision, options) =>
      change(template.loss!(batch, decision, options), decision.beta as number, batch.size),
  };
  return checkLoaded(mode, "my_mode").text;
}

function scaled(factor: (beta: number, size: number) => number) {
  return (result: LossResult, beta: number, size: number): LossResult => ({
    ...result,
    seeds: {
      chosen: result.seeds!.chosen,
      rejected: result.seeds!.rejected!.map((x) => x * factor(beta, size)),
    },
  });
}

Deno.test("a good mode has no faults", () => {
  assertEquals(checkLoaded(template, "my_mode").faults, 0);
});

Deno.test("a wrong derivative is named with input, expected, found and its likely cause", () => {
  const text = say(scaled(() => -1));
  assertStringIncludes(text, "1. A derivative is wrong");
  assertStringIncludes(text, "seeds.rejected[0]");
  const value = (name: string) => Number(new RegExp(`${name} +(\\S+?):? `).exec(text)?.[1]);
  assertEquals(value("expected"), -value("found"));
  assertStringIncludes(text, "its sign is turned");
  assertStringIncludes(text, "rejected: policy -");
  assertStringIncludes(text, "beta 0.1, weight 0.142857143");
  assertStringIncludes(say(scaled((beta) => 1 / beta)), ": the factor beta is missing");
  assertStringIncludes(say(scaled((_, size) => size)), ": the pair's weight, 1/B, is missing");
  assertStringIncludes(say(scaled(() => 0)), ": it is left at 0");
});

Deno.test("a loss without derivatives keeps the contract", () => {
  const text = say(({ loss, perPair }) => ({ loss, perPair }));
  assertStringIncludes(text, "keeps the contract");
});

Deno.test("a mode that always throws is said once, with what it threw", () => {
  const mode: LossMode<null> = {
    ...template,
    decide() {
      throw new Error("no idea");
    },
  };
  const { text } = checkLoaded(mode, "my_mode");
  assertStringIncludes(text, '"decide" failed: no idea');
  assertEquals(text.split("no idea").length, 2);
});

Deno.test("a wrong name, option and state have their own parts, with advice", () => {
  const beta = { ...template.options.beta, default: -1 };
  const { text, faults } = checkLoaded({ ...template, options: { beta } }, "other");
  assertStringIncludes(text, '"my_mode" is not the file\'s name "other"');
  assertStringIncludes(text, 'Option "my_mode.beta" is "-1": expected more than 0');
  assertEquals(text.split("What to do:").length - 1 <= faults, true);
});

Deno.test({
  name:
    "check-mode answers from a Worker, and ends one that does not return (needs read permission)",
  ignore: !readGranted,
  async fn() {
    assertEquals((await checkInWorker("dpo")).faults, 0);
    assertStringIncludes((await checkInWorker("no_such_mode")).text, "Unknown mode");
    const url = new URL("./endless_worker.ts", import.meta.url);
    const { faults, text } = await checkInWorker("mine", { seconds: 0.5, url });
    assertEquals(faults, 1);
    assertStringIncludes(text, 'a function of "modes/mine.ts" does not return');
  },
});
