import { assertEquals, assertStringIncludes } from "@std/assert";
import { explainEndless, modeWatch, watchCalls, watchMemory } from "../../commands/mode_watch.ts";
import type { ModeCall } from "../../losses/watched_mode.ts";

const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

Deno.test("a call that lasts longer than the limit is told once, with its place", async () => {
  const memory = watchMemory();
  const told: ModeCall[] = [];
  const watch = watchCalls(memory, 0.2, (call) => told.push(call));
  const notes = modeWatch(memory);
  const call = { mode: "m", part: "loss", training: true, optimizerStep: 3, microStep: 7 };
  notes.enter({ ...call, rows: Array.from({ length: 2000 }, (_, i) => i) });
  await wait(0.7);
  watch.close();
  assertEquals(told, [{ ...call, rows: [0, 1, 2, 3, 4, 5, 6, 7, 8] }]);
});

Deno.test("neither many short calls nor the time between calls is told", async () => {
  const memory = watchMemory();
  const told: ModeCall[] = [];
  const watch = watchCalls(memory, 0.2, (call) => told.push(call));
  const notes = modeWatch(memory);
  for (let i = 0; i < 20; i++) {
    notes.enter({ mode: "m", part: "loss" });
    await wait(0.03);
    notes.leave();
  }
  await wait(0.5);
  watch.close();
  assertEquals(told, []);
});

Deno.test("explainEndless() names mode, function, place, rows and what to do", () => {
  const rows = [4, 5, 6];
  const call = { mode: "m", part: "decide", optimizerStep: 3, microStep: 7, rows };
  const text = explainEndless({ ...call, training: true }, 60);
  assertEquals(
    text.slice(0, text.indexOf(": look")),
    'Mode "m" after optimizer step 3, decision 7, dataset rows 4, 5, 6: "decide" did not end within 60 seconds',
  );
  assertStringIncludes(text, '"mode_time_limit"');
  assertStringIncludes(text, "--resume");
  assertStringIncludes(explainEndless({ ...call, training: false }, 60), "in evaluation");
  assertStringIncludes(explainEndless({ mode: "m", part: "load" }, 1), 'loading "modes/m.ts"');
});
