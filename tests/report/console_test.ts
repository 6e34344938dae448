import { assertEquals, assertThrows } from "@std/assert";
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

/** Text of a run whose every step takes 2 seconds, each other event `beside` milliseconds. */
function textOf(
  events: readonly RunEvent[],
  terminal: boolean,
  logSteps = 2,
  beside = 0,
): string {
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
    time += event.type === "step" ? 2000 : beside;
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
      "about 20 s for 10 steps\n" +
      "step 4/10  loss 6.0000  accuracy 1.000  margin 3.500  beta 0.1000  50 tokens/s  12 s left\n",
  );
});

Deno.test("on a terminal one line is rewritten and kept every log_steps", () => {
  const text = textOf([start, step(1, 1, 1, 1), step(2, 3, 2, 0), step(3, 2, 5, 1)], true);
  const [kept, estimate, end] = text.split("\n");
  const parts = kept.split("\r\x1b[2K").filter((part) => part !== "");
  assertEquals(parts.map((part) => part.slice(0, 24)), [
    "step 1/10  loss 1.0000  ",
    "step 2/10  loss 1.7500  ",
  ]);
  assertEquals(estimate.slice(0, 27), "\r\x1b[2Kstep 3/10  loss 5.0000");
  assertEquals(estimate.split("\r\x1b[2K").at(-1), "about 20 s for 10 steps");
  assertEquals(end, "");
});

Deno.test("the last step is shown even between log_steps; notices do not tear the line", () => {
  const events: RunEvent[] = [start, step(9, 1, 1, 1), { type: "notice", text: "hm" }];
  events.push(step(10, 1, 3, 1));
  const lines = textOf(events, true, 100).replaceAll("\r\x1b[2K", "<").split("\n");
  assertEquals(lines.map((line) => line.slice(0, 10)), ["<step 9/10", "step 10/10", ""]);
  assertEquals(lines[0].split("<")[2], "hm");
  assertEquals(lines[1].slice(12, 23), "loss 2.0000");
});

Deno.test("the time of all steps is told once, after the third step of the process", () => {
  const steps = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => step(from + i + 1, 1, 1, 1));
  const told = (events: readonly RunEvent[], terminal: boolean) =>
    textOf(events, terminal, 100).split("\n")
      .flatMap((line) => /about .*$/.exec(line)?.[0] ?? []);
  for (const terminal of [true, false]) {
    assertEquals(told([start, ...steps(0, 10)], terminal), ["about 20 s for 10 steps"]);
    const resumed: RunEvent = { type: "start", step: 4, totalSteps: 10 };
    assertEquals(told([resumed, ...steps(4, 10)], terminal), ["about 12 s for 6 steps"]);
    // At the end there is nothing left to estimate.
    assertEquals(told([{ ...resumed, step: 7 }, ...steps(7, 10)], terminal), []);
  }
});

Deno.test("the time of evaluations and checkpoints is no part of the speed", () => {
  const beside: RunEvent[] = [
    { type: "evaluation", step: 3, pairs: 5, metrics: {} },
    { type: "checkpoint", step: 3, path: "x" },
  ];
  const speed = (events: readonly RunEvent[]) => {
    const lines = textOf([start, ...events], false, 2, 8000).split("\n");
    return lines.flatMap((line) => /(\d+) tokens/.exec(line)?.[1] ?? []);
  };
  const [one, two, three, four] = [1, 2, 3, 4].map((n) => step(n, 1, 1, 1));
  assertEquals(speed([one, two, three, ...beside, four]), ["50", "50"]);
  for (const pause of beside) assertEquals(speed([one, two, three, pause, four]), ["50", "50"]);
});

Deno.test("a phase ends with a line of its own, whatever comes next", () => {
  const progress = (what: string, done: number): RunEvent => ({
    type: "progress",
    what,
    done,
    total: 4,
  });
  const notice: RunEvent = { type: "notice", text: "hm" };
  const events = [
    progress("Reading rows", 1),
    progress("Reading rows", 3),
    progress("Evaluation", 2),
    progress("Evaluation", 4),
    progress("Evaluation", 1),
    notice,
    progress("Evaluation", 2),
  ];
  const ends = ["Reading rows: 3/4", "Evaluation: 4/4", "Evaluation: 1/4", "hm", "Evaluation: 2/4"];
  assertEquals(textOf(events, false), ends.map((text) => text + "\n").join(""));
  const kept = textOf(events, true).split("\n").map((line) => line.split("\r\x1b[2K").at(-1));
  assertEquals(kept, [...ends, ""]);
  assertEquals(textOf(events, true).includes("\r\x1b[2KReading rows: 1/4\r"), true);
});

Deno.test("a console that nobody reads any more does not end the run", () => {
  let writes = 0;
  const sinkThatThrows = (error: Error) =>
    consoleSink({
      terminal: false,
      logSteps: 1,
      write: () => {
        writes++;
        throw error;
      },
      clock: () => 0,
    });
  const disk = Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
  for (const error of [new Deno.errors.BrokenPipe("Broken pipe"), disk]) {
    writes = 0;
    const sink = sinkThatThrows(error);
    for (let i = 0; i < 3; i++) sink.accept({ type: "notice", text: "hm" });
    sink.close?.();
    assertEquals(writes, 1);
  }
  const faulty = sinkThatThrows(new TypeError("a bug"));
  assertThrows(() => faulty.accept({ type: "notice", text: "hm" }), TypeError, "a bug");
});

Deno.test("durations", () => {
  assertEquals([0, 59.4, 200, 7500].map(durationText), ["0 s", "59 s", "3 min 20 s", "2 h 05 min"]);
});
