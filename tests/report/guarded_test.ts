import { assertEquals, assertStringIncludes } from "@std/assert";
import { fanOut, type RunEvent, type Sink } from "../../report/events.ts";
import { guardedSink } from "../../report/guarded.ts";

const start: RunEvent = { type: "start", step: 3, totalSteps: 9 };
const notice = (text: string): RunEvent => ({ type: "notice", text });

/** What guarded sinks around `open` were told and said. */
function guarded(open: () => Sink) {
  const told: string[] = [];
  let opened = 0;
  const sink = guardedSink({
    what: "reports",
    open: () => {
      opened++;
      return open();
    },
    warn: (text) => told.push(text),
  });
  return { sink, told, opened: () => opened };
}

Deno.test("a sink is opened when training starts, and sees the start", () => {
  const seen: string[] = [];
  const { sink, opened } = guarded(() => ({ accept: ({ type }) => void seen.push(type) }));
  sink.accept(notice("before"));
  assertEquals([opened(), seen.length], [0, 0]);
  sink.accept(start);
  sink.accept(notice("after"));
  assertEquals([opened(), seen], [1, ["start", "notice"]]);
});

Deno.test("a sink that fails is told once, left out and closed; the others go on", async () => {
  let accepted = 0, closedWith: number | undefined, others = 0;
  const { sink, told } = guarded(() => ({
    accept: () => {
      if (++accepted === 2) throw new Error("disk is full");
    },
    close: (code) => void (closedWith = code),
  }));
  const all = fanOut([sink, { accept: () => void others++ }]);
  all.accept(start);
  for (let i = 0; i < 5; i++) all.accept(notice("x"));
  await all.close?.(4);
  assertEquals([accepted, others, closedWith], [2, 6, 4]);
  assertEquals(told.length, 1);
  assertStringIncludes(told[0], "no reports from here on: disk is full");
});

Deno.test("a sink that cannot be opened, or closed, is told once as well", async () => {
  const unopened = guarded(() => {
    throw new Error("no such folder");
  });
  unopened.sink.accept(start);
  unopened.sink.accept(notice("x"));
  await unopened.sink.close?.(0);
  assertEquals([unopened.opened(), unopened.told.length], [1, 1]);
  const unclosed = guarded(() => ({
    accept: () => {},
    close: () => Promise.reject(new Error("torn")),
  }));
  unclosed.sink.accept(start);
  await unclosed.sink.close?.(0);
  assertEquals(unclosed.told.length, 1);
  assertStringIncludes(unclosed.told[0], "torn");
  const broken = guarded(() => ({
    accept: () => {
      throw new Error("first");
    },
    close: () => {
      throw new Error("second");
    },
  }));
  broken.sink.accept(start);
  await broken.sink.close?.(0);
  assertEquals(broken.told.map((text) => text.includes("first")), [true]);
});
