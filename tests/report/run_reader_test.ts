// Reading a run from its files: all at once, while it grows, after a crash and after a resume.
import { assertEquals } from "@std/assert";
import { LineTail } from "../../report/line_tail.ts";
import { RunReader } from "../../report/run_reader.ts";
import { StepTable } from "../../report/step_table.ts";
import { FILES_ALLOWED, lossOf, marginsOf, STEPS, withFolder, writeRun } from "./a_run.ts";

function test(name: string, fn: (folder: string) => Promise<void> | void): void {
  Deno.test({ name: `${name} (needs files)`, ignore: !FILES_ALLOWED, fn: () => withFolder(fn) });
}

function append(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { append: true });
}

Deno.test("a table has gaps where a column begins late, ends early or is no number", () => {
  const table = new StepTable();
  table.add(1, { a: 1 });
  table.add(2, { a: NaN, b: 1 / 3 });
  table.add(3, { b: "text" });
  assertEquals(table.data(10), {
    step: [1, 2, 3],
    columns: { a: [1, null, null], b: [null, 0.3333333, null] },
  });
  assertEquals([table.last("a"), table.last("b"), table.last("c")], [1, 1 / 3, undefined]);
});

Deno.test("of many rows each k-th is taken, and always the last", () => {
  const table = new StepTable();
  for (let step = 1; step <= 10; step++) table.add(step, { a: step });
  assertEquals(table.data(4).step, [1, 4, 7, 10]);
  assertEquals(table.data(4).columns.a, [1, 4, 7, 10]);
  assertEquals(table.data(2, 7).step, [8, 10]);
});

test("a line without its end is left for the next look, a broken one counted", (folder) => {
  const path = `${folder}/lines.jsonl`;
  const tail = new LineTail(path);
  assertEquals(tail.read(), { records: [], broken: 0, cut: false });
  append(path, '{"a":1}\n{"a":');
  assertEquals(tail.read().records, [{ a: 1 }]);
  append(path, '2}\n{"a"\n[3]\n\n');
  assertEquals(tail.read(), { records: [{ a: 2 }], broken: 2, cut: false });
  Deno.writeTextFileSync(path, '{"b":1}\n');
  assertEquals(tail.read(), { records: [{ b: 1 }], broken: 0, cut: true });
});

test("a run is read whole, evaluations apart from steps", (folder) => {
  writeRun(folder);
  const reader = new RunReader(folder);
  reader.update();
  const { tables, samples, dots, broken } = reader.all();
  assertEquals(tables.metrics.step, [1, 2, 3, 4, 5, 6]);
  assertEquals(tables.evaluations.step, [0, STEPS]);
  assertEquals(tables.metrics.columns.loss.at(-1), Number(lossOf(STEPS).toPrecision(7)));
  assertEquals("eval_loss" in tables.metrics.columns, false);
  assertEquals(tables.margins.columns.max, [9, 9, 9, 9, 9, 9]);
  assertEquals(samples.map(({ step }) => step), [0, STEPS]);
  assertEquals(broken, 0);
  // The line names three margins of four; the dropped row is not among them.
  assertEquals(dots[1], { step: 2, kept: marginsOf(2).slice(0, 3), dropped: [] });
  assertEquals(reader.facts?.totalSteps, STEPS);
});

test("what is appended comes once, and what a resumed run cuts is gone", (folder) => {
  writeRun(folder);
  const metrics = `${folder}/metrics.jsonl`;
  const whole = Deno.readTextFileSync(metrics);
  const kept = whole.split("\n").slice(0, 4).join("\n") + "\n";
  Deno.writeTextFileSync(metrics, kept);
  const reader = new RunReader(folder);
  assertEquals(reader.update()?.tables.metrics.step, [1, 2, 3]);
  append(metrics, whole.slice(kept.length, kept.length + 40));
  assertEquals(reader.update()?.tables.metrics.step, []);
  append(metrics, whole.slice(kept.length + 40));
  const more = reader.update()!;
  assertEquals(more.tables.metrics.step, [4, 5, 6]);
  assertEquals(more.samples, []);
  assertEquals(more.dots, []);
  Deno.writeTextFileSync(metrics, kept);
  assertEquals(reader.update(), undefined);
  assertEquals(reader.all().tables.metrics.step, [1, 2, 3]);
  assertEquals(reader.all().tables.timings.step.length, STEPS);
});
