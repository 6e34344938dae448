// Runs beside each other.
import { assertEquals } from "@std/assert";
import { runNames } from "../../commands/compare.ts";
import { compareTable, textTable } from "../../report/compare.ts";
import { RunReader } from "../../report/run_reader.ts";
import { FILES_ALLOWED, withFolder, writeRun } from "./a_run.ts";

Deno.test("runs are named by their folder, by their path where that is not enough", () => {
  assertEquals(runNames(["runs/a", "runs/b/"]), ["a", "b"]);
  assertEquals(runNames(["x/a", "y/a", "b"]), ["x/a", "y/a", "b"]);
});

Deno.test({
  name: "the table has the last figures of each run, and columns that some run has (needs files)",
  ignore: !FILES_ALLOWED,
  fn: () =>
    withFolder((folder) => {
      writeRun(`${folder}/whole`);
      Deno.mkdirSync(`${folder}/bare`);
      Deno.writeTextFileSync(`${folder}/bare/metrics.jsonl`, '{"step":3,"loss":0.5}\n');
      const runs = ["whole", "bare"].map((name) => {
        const reader = new RunReader(`${folder}/${name}`);
        reader.update();
        return { name, reader };
      });
      const table = compareTable(runs);
      assertEquals(table.columns.includes("at configured beta"), false);
      const [whole, bare] = table.rows.map((row) =>
        Object.fromEntries(row.map((text, i) => [table.columns[i], text]))
      );
      // ln 2 / 1.5 and ln 2 / 1.6
      assertEquals([whole.loss, whole["eval loss"]], ["0.4621", "0.4332"]);
      assertEquals([whole.mode, whole.steps, whole["tokens/s"]], ["beta_dpo", "6/6", "1006"]);
      assertEquals([bare.loss, bare["eval loss"], bare.steps], ["0.5000", "–", "3"]);
      const widths = textTable(table).split("\n").map((line) => line.length);
      assertEquals(new Set(widths).size, 1);
    }),
});
