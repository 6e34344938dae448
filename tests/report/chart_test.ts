import { assert, assertEquals } from "@std/assert";
import { chartLines, Course } from "../../report/chart.ts";
import { consoleSink } from "../../report/console.ts";
import type { RunEvent } from "../../report/events.ts";
import { jsonSink, quietSink } from "../../report/plain_outputs.ts";

/** Dots of a chart as rows of booleans, read back from the characters. */
function dotsOf(lines: readonly string[]): boolean[][] {
  const bits = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
  return lines.flatMap((line) => {
    const characters = [...line.slice(line.indexOf("│") + 1)];
    return bits.map((row) =>
      characters.flatMap((c) => row.map((bit) => (c.codePointAt(0)! & bit) !== 0))
    );
  });
}

const options = { title: "loss", width: 31 };

Deno.test("a line from the largest to the smallest value goes from corner to corner", () => {
  const course = new Course(40);
  for (let step = 1; step <= 40; step++) course.add(step, 40 - step);
  const lines = chartLines(course, options);
  const dots = dotsOf(lines);
  assertEquals([dots.length, dots[0].length], [16, 40]);
  assertEquals(lines.map((line) => line.length), [31, 31, 31, 31]);
  assertEquals(lines.map((line) => line.split("│")[0].trim()), ["39.00", "loss", "", "0.000"]);
  const levels = dots[0].map((_, x) => dots.findIndex((row) => row[x]));
  assertEquals([levels[0], levels[39]], [0, 15]);
  levels.forEach((level, x) => assert(Math.abs(level - x * 15 / 39) <= 1, `${x}: ${level}`));
});

Deno.test("a run that has just begun fills the left; few steps are joined; NaN has no place", () => {
  const begun = new Course(400);
  for (let step = 1; step <= 100; step++) begun.add(step, step);
  const columns = dotsOf(chartLines(begun, options));
  const drawn = columns[0].map((_, x) => columns.some((row) => row[x]));
  assertEquals(drawn.indexOf(false), 10);
  assertEquals(drawn.filter(Boolean).length, 10);
  const few = new Course(3);
  few.add(1, 1);
  few.add(2, NaN);
  few.add(3, 1);
  const flat = dotsOf(chartLines(few, options));
  const row = flat.findIndex((dots) => dots[0]);
  assertEquals(flat[row].map((dot, x) => dot === x <= 26).indexOf(false), -1);
  assertEquals(flat.flat().filter(Boolean).length, flat[row].filter(Boolean).length);
  assertEquals(dotsOf(chartLines(new Course(5), options)).flat().some(Boolean), false);
});

Deno.test("a steep course has no holes, and its means are means", () => {
  const course = new Course(4);
  [0, 8, 0, 8].forEach((value, i) => course.add(i + 1, value));
  assertEquals(course.means(4), [0, 8, 0, 8]);
  assertEquals(course.means(2), [4, 4]);
  const dots = dotsOf(chartLines(course, options));
  for (const row of dots) assert(row.some(Boolean));
});

function step(number: number): RunEvent {
  return {
    type: "step",
    step: number,
    totalSteps: 6,
    pairs: 1,
    tokens: 100,
    margin: number,
    metrics: { loss: 1 / number },
    distributions: { margins: Float64Array.of(number) },
  };
}

const run: RunEvent[] = [
  { type: "start", step: 0, totalSteps: 6 },
  ...[1, 2, 3].map(step),
  { type: "notice", text: "hm" },
  ...[4, 5, 6].map(step),
  { type: "end", lines: ["done"] },
];

function textOf(how: { terminal: boolean; colour: boolean }): string {
  let text = "";
  const write = (part: string) => void (text += part);
  const sink = consoleSink({
    ...how,
    chart: true,
    logSteps: 4,
    columns: 80,
    write,
    clock: () => 0,
  });
  run.forEach((event) => sink.accept(event));
  sink.close?.();
  return text;
}

/** What a terminal of endless length shows in the end: the escapes used here, obeyed. */
function screenOf(text: string): string[] {
  const lines = [""];
  let row = 0;
  // deno-lint-ignore no-control-regex
  for (const part of text.match(/\x1b\[\d*[A-Za-z]|[\r\n]|[^\x1b\r\n]+/g) ?? []) {
    if (part === "\n") lines[++row] ??= "";
    else if (part.endsWith("A") && part.startsWith("\x1b")) row -= Number(part.slice(2, -1));
    else if (part === "\x1b[2K") lines[row] = "";
    else if (part === "\x1b[J") {
      lines.length = row + 1;
      lines[row] = "";
    } else if (part !== "\r") lines[row] += part;
  }
  return lines;
}

Deno.test("on a terminal the charts are drawn over, and stay once, at the end", () => {
  const text = textOf({ terminal: true, colour: false });
  const screen = screenOf(text);
  const charts = screen.filter((line) => line.includes("│"));
  assertEquals(charts.length, 4);
  assert(text.split("│").length - 1 > 8, "drawn while training");
  assertEquals(screen.filter((line) => line.startsWith("step ")).length, 2);
  assertEquals([screen.at(-2), screen.at(-1)], ["done", ""]);
  assertEquals([screen[0].slice(0, 5), screen.indexOf("hm")], ["about", 1]);
  assertEquals(screen.at(-6), charts[0]);
  assert(screen.every((line) => line.length < 80));
});

Deno.test("elsewhere the charts come once, and nothing is an escape; colour only where wanted", () => {
  const plain = textOf({ terminal: false, colour: false });
  assertEquals(plain.split("\n").filter((line) => line.includes("│")).length, 4);
  assert(!plain.includes("\x1b"));
  assert(!textOf({ terminal: true, colour: false }).includes("\x1b[3"));
  const coloured = textOf({ terminal: true, colour: true });
  assert(coloured.includes("\x1b[36m") && coloured.includes("\x1b[33m"));
});

Deno.test("--json is one event a line, --quiet only notices; both outlive their reader", () => {
  let json = "", quiet = "";
  const sinks = [
    jsonSink((text) => void (json += text)),
    quietSink((text) => void (quiet += text)),
  ];
  for (const sink of sinks) run.forEach((event) => sink.accept(event));
  const events = json.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(events.map(({ type }) => type), run.map(({ type }) => type));
  const { distributions: _, ...first } = run[1] as { distributions: unknown };
  assertEquals(events[1], first);
  assertEquals(quiet, "hm\n");
  let writes = 0;
  const gone = quietSink(() => {
    writes++;
    throw new Deno.errors.BrokenPipe("Broken pipe");
  });
  gone.accept({ type: "notice", text: "a" });
  gone.accept({ type: "notice", text: "b" });
  assertEquals(writes, 1);
});
