// Orders to a run: pausing, saving out of turn and stopping leave its bytes as they are.
import { assertEquals } from "@std/assert";
import dpo from "../../modes/dpo.ts";
import type { RunEvent, Sink } from "../../report/events.ts";
import { RunOrders } from "../../trainer/run_control.ts";
import { train } from "../../trainer/trainer.ts";
import { fakeRun, FILES_ALLOWED, folderDigest, withFolder } from "./fake_run.ts";

function test(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test({
    name: `${name} (needs files)`,
    ignore: !FILES_ALLOWED,
    fn: () => withFolder(fn),
  });
}

/** Gives orders when certain events come; keeps what came. */
function ordering(
  when: (event: RunEvent, orders: RunOrders) => void,
): { events: Sink; control: RunOrders; seen: string[] } {
  const control = new RunOrders();
  const seen: string[] = [];
  const events: Sink = {
    accept(event) {
      if ("step" in event && event.type !== "step") seen.push(`${event.type} ${event.step}`);
      when(event, control);
    },
  };
  return { events, control, seen };
}

test("a run that was paused and saved on the way ends in the same bytes", async (folder) => {
  Deno.mkdirSync(`${folder}/plain`);
  Deno.mkdirSync(`${folder}/paused`);
  await train(fakeRun(dpo, `${folder}/plain`));
  const told = ordering((event, orders) => {
    if (event.type === "step" && event.step === 1) orders.pause();
    if (event.type === "paused") setTimeout(() => orders.save(), 5);
    if (event.type === "checkpoint" && event.step < 6) setTimeout(() => orders.resume(), 5);
  });
  await train(fakeRun(dpo, `${folder}/paused`, { events: told.events, control: told.control }));
  // The order comes while the second step is made.
  assertEquals(told.seen.filter((text) => !text.startsWith("eval")), [
    "start 0",
    "paused 2",
    "checkpoint 2",
    "resumed 2",
    "checkpoint 6",
  ]);
  const [plain, paused] = [
    await folderDigest(`${folder}/plain`),
    await folderDigest(`${folder}/paused`),
  ];
  const early = (name: string) => name.startsWith("checkpoints/step-000002");
  const same = Object.fromEntries(Object.entries(paused).filter(([name]) => !early(name)));
  assertEquals(same, plain);
});

test("a step is saved once, however often that is asked for", async (folder) => {
  const told = ordering((event, orders) => {
    if (event.type === "step") orders.save();
    if (event.type === "checkpoint") orders.save();
  });
  const settings = { ...fakeRun(dpo, folder).settings, saveSteps: 2 };
  await train(fakeRun(dpo, folder, { ...told, settings }));
  const saved = told.seen.filter((text) => text.startsWith("checkpoint"));
  assertEquals(saved, [2, 3, 4, 5, 6].map((step) => `checkpoint ${step}`));
});

test("a paused run can be stopped, and leaves a checkpoint", async (folder) => {
  const stop = new AbortController();
  const told = ordering((event, orders) => {
    if (event.type === "start") orders.pause();
    if (event.type === "paused") setTimeout(() => stop.abort(), 5);
  });
  const { summary } = await train(fakeRun(dpo, folder, { ...told, signal: stop.signal }));
  assertEquals([summary.stopped, summary.steps], [true, 1]);
  assertEquals(told.seen.slice(-2), ["paused 1", "checkpoint 1"]);
});

test("after each evaluation the model may be looked at", async (folder) => {
  const evaluated: number[] = [];
  const onEvaluated = (step: number) => Promise.resolve(void evaluated.push(step));
  await train(fakeRun(dpo, folder, { onEvaluated }));
  assertEquals(evaluated, [0, 3, 6]);
});
