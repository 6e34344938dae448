// Arguments and files around the report: ports, rows to leave out, folders that are no runs.
import { assertEquals, assertThrows } from "@std/assert";
import { dashboardPlace } from "../../commands/dashboard.ts";
import { readExcludedRows } from "../../commands/excluded_rows.ts";
import { UsageError } from "../../commands/exit_code.ts";
import { openRun, reportSink, writeReport } from "../../commands/run_page.ts";
import { SampleLog } from "../../commands/sample_log.ts";
import { FILES_ALLOWED, withFolder, writeRun } from "../report/a_run.ts";

function test(name: string, fn: (folder: string) => void): void {
  Deno.test({ name: `${name} (needs files)`, ignore: !FILES_ALLOWED, fn: () => withFolder(fn) });
}

Deno.test("the page stays on this machine unless a host is given", () => {
  assertEquals(dashboardPlace(undefined, undefined), undefined);
  assertEquals(dashboardPlace("", undefined), { host: "127.0.0.1" });
  assertEquals(dashboardPlace("80", undefined), { host: "127.0.0.1", port: 80 });
  assertEquals(dashboardPlace(undefined, "0.0.0.0"), { host: "0.0.0.0" });
  for (const port of ["65536", "8o", "-1", "1.5"]) {
    assertThrows(() => dashboardPlace(port, undefined), UsageError, `"${port}" is no port`);
  }
  assertThrows(() => dashboardPlace("", ""), UsageError, "--dashboard-host needs an address");
});

test("rows to leave out are numbers or records with one, each once", (folder) => {
  const path = `${folder}/rows`;
  Deno.writeTextFileSync(path, '# found by hand\n7\n\n{"row":3,"mean_margin":-1}\r\n7\n0\n');
  assertEquals(readExcludedRows(path), [0, 3, 7]);
  for (const [line, found] of [["1.5", "1.5"], ["-1", "-1"], ["x", "x"], ['{"a":1}', '{\\"a']]) {
    Deno.writeTextFileSync(path, `1\n${line}\n`);
    const error = assertThrows(() => readExcludedRows(path), UsageError, `"${path}:2"`);
    assertEquals(error.message.includes(found), true, error.message);
  }
  Deno.writeTextFileSync(path, "# none\n");
  assertThrows(() => readExcludedRows(path), UsageError, "there are none in it");
  assertThrows(() => readExcludedRows(`${folder}/absent`), UsageError, "absent");
});

test("a folder that is no run is refused, and a crashed run has a report", (folder) => {
  assertThrows(() => openRun(folder), UsageError, "there is no config.yaml");
  assertThrows(() => openRun(`${folder}/absent`), UsageError, "there is no config.yaml");
  writeRun(folder);
  for (const name of ["run.json", "samples.jsonl", "timings.jsonl"]) {
    Deno.removeSync(`${folder}/${name}`);
  }
  const metrics = Deno.readTextFileSync(`${folder}/metrics.jsonl`);
  Deno.writeTextFileSync(`${folder}/metrics.jsonl`, metrics.slice(0, -30));
  const html = Deno.readTextFileSync(writeReport(folder));
  const page = JSON.parse(/id="data">(.*?)<\/script>/.exec(html)![1]);
  assertEquals(page.runs[0].data.tables.metrics.step, [1, 2, 3, 4, 5]);
  assertEquals(page.subtitle, "5 steps");
});

test("a report that cannot be written is told once and stops nothing", (folder) => {
  const told: string[] = [];
  const sink = reportSink(`${folder}/gone`, (text) => told.push(text));
  sink.accept({ type: "checkpoint", step: 1, path: "" });
  assertEquals(told, []);
  sink.accept({ type: "start", step: 0, totalSteps: 2 });
  sink.accept({ type: "checkpoint", step: 1, path: "" });
  sink.accept({ type: "end", lines: [] });
  sink.close?.();
  assertEquals(told.length, 1);
  assertEquals(told[0].startsWith("The report is not written: "), true);
});

test("sample answers of a resumed run go on after its checkpoint", (folder) => {
  const log = new SampleLog(folder, { accept: () => {} });
  const answer = (policy: string) => [{ prompt: "p", reference: "r", policy }];
  log.begin(0);
  for (const step of [0, 2, 4]) log.write(step, answer(`after ${step}`));
  const steps = () =>
    Deno.readTextFileSync(`${folder}/samples.jsonl`).trim().split("\n").map((line) =>
      JSON.parse(line).step
    );
  assertEquals(steps(), [0, 2, 4]);
  log.begin(2);
  log.write(3, answer("again"));
  assertEquals(steps(), [0, 2, 3]);
  log.begin(0);
  log.write(0, answer("anew"));
  assertEquals(steps(), [0]);
});
