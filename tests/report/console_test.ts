import { assertEquals } from "@std/assert";
import { consoleSink, durationText } from "../../report/console.ts";
import type { RunEvent } from "../../report/events.ts";

function step(number: number, pairs: number, loss: number, accuracy: number): RunEvent {
  return {
    type: "step",
    step: number,
    totalSteps: 10,
    pairs,
    tokens: 100,
    margin: number,
    beta: 0.1,
    metrics: { loss, "rewards/accuracies": accuracy },
  };
}

/** Text of a run whose every step takes 2 seconds. */
function textOf(events: readonly RunEvent[], terminal: boolean, logSteps = 2): string {
  let text = "";
  let time = 0;
  const sink = consoleSink({
    terminal,
    columns: 100,
    logSteps,
    write: (part) => text += part,
    clock: () => time,
  });
  for (const event of events) {
    if (event.type === "step") time += 2000;
    sink.accept(event);
  }
  sink.close?.();
  return text;
}

const start: RunEvent = { type: "start", step: 0, totalSteps: 10 };

Deno.test("plain lines come every log_steps and average over all pairs since the last", () => {
  const events = [start, step(1, 1, 1, 1), step(2, 3, 2, 0), step(3, 2, 5, 1), step(4, 2, 7, 1)];
  assertEquals(
    textOf(events, false),
    "step 2/10  loss 1.7500  accuracy 0.250  margin 1.750  beta 0.1000  50 tokens/s  16 s left\n" +
      "step 4/10  loss 6.0000  accuracy 1.000  margin 3.500  beta 0.1000  50 tokens/s  12 s left\n",
  );
});

Deno.test("on a terminal one line is rewritten and kept every log_steps", () => {
  const text = textOf([start, step(1, 1, 1, 1), step(2, 3, 2, 0), step(3, 2, 5, 1)], true);
  const [kept, last] = text.split("\n");
  const parts = kept.split("\r\x1b[2K").filter((part) => part !== "");
  assertEquals(parts.map((part) => part.slice(0, 24)), [
    "step 1/10  loss 1.0000  ",
    "step 2/10  loss 1.7500  ",
  ]);
  assertEquals(last.slice(0, 27), "\r\x1b[2Kstep 3/10  loss 5.0000");
  assertEquals(text.endsWith("left\n"), true);
});

Deno.test("the last step is shown even between log_steps; notices do not tear the line", () => {
  const events: RunEvent[] = [start, step(9, 1, 1, 1), { type: "notice", text: "hm" }];
  events.push(step(10, 1, 3, 1));
  const lines = textOf(events, true, 100).replaceAll("\r\x1b[2K", "<").split("\n");
  assertEquals(lines.map((line) => line.slice(0, 10)), ["<step 9/10", "step 10/10", ""]);
  assertEquals(lines[0].split("<")[2], "hm");
  assertEquals(lines[1].slice(12, 23), "loss 2.0000");
});

Deno.test("durations", () => {
  assertEquals([0, 59.4, 200, 7500].map(durationText), ["0 s", "59 s", "3 min 20 s", "2 h 05 min"]);
});
