import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../trainer/error.ts";
import type { SweepPlan } from "../../tools/sweep/plan.ts";
import { planSweep } from "../../tools/sweep/plan.ts";
import {
  estimate,
  groupEstimate,
  groupResults,
  pairedDifference,
  resultFiles,
  type RunResult,
} from "../../tools/sweep/results.ts";
import { readSweep } from "../../tools/sweep/sweep_file.ts";
import { alignCells, formatEstimate, tableCells } from "../../tools/sweep/table.ts";
import { chooseBest } from "../../tools/sweep/tuned.ts";

const plan: SweepPlan = planSweep(
  readSweep("config: c\naxes: { mode: [a, b], beta: [1, 2], seed: [0..2] }", "s.yaml"),
  "",
);

/** value = 10 (mode b) + beta + seed squared. */
function resultsOf(missing: readonly string[] = []): RunResult[] {
  return plan.runs.filter(({ name }) => !missing.includes(name)).map(({ name, id, axes }) => ({
    name,
    id,
    axes,
    metrics: {
      value: (axes.mode === "b" ? 10 : 0) + Number(axes.beta) + Number(axes.seed) ** 2,
    },
  }));
}

Deno.test("mean and standard error: 0, 1, 4 give 5/3 and the root of 13/9", () => {
  const { mean, error, n } = estimate([0, 1, 4])!;
  assertAlmostEquals(mean, 5 / 3, 1e-15);
  // Squared deviations 25/9 + 4/9 + 49/9 = 26/3; over n - 1 = 2 and n = 3 that is 13/9.
  assertAlmostEquals(error!, Math.sqrt(13) / 3, 1e-15);
  assertEquals(n, 3);
  assertEquals(estimate([2]), { mean: 2, n: 1 });
  assertEquals(estimate([undefined, NaN]), undefined);
});

Deno.test("runs that differ in the seed are one group; what seeds share leaves a paired difference", () => {
  const groups = groupResults(plan, resultsOf());
  assertEquals(groups.map(({ axes }) => `${axes.mode}${axes.beta}`), ["a1", "a2", "b1", "b2"]);
  assertAlmostEquals(groupEstimate(groups[3], "value")!.mean, 12 + 5 / 3, 1e-12);
  // Seeds spread the groups, but not their difference.
  assertEquals(pairedDifference(groups[2], groups[0], "value"), { mean: 10, error: 0, n: 3 });
  const partly = groupResults(plan, resultsOf(["mode=b,beta=1,seed=2"]));
  assertEquals(pairedDifference(partly[2], partly[0], "value")!.n, 2);
});

Deno.test("an error is written with two digits, and the mean as far", () => {
  assertEquals(formatEstimate({ mean: 0.73149, error: 0.01234, n: 5 }), "0.731 ± 0.012");
  assertEquals(formatEstimate({ mean: 12.3456, error: 1.55, n: 5 }), "12.3 ± 1.6");
  assertEquals(formatEstimate({ mean: 1234.6, error: 55, n: 5 }), "1235 ± 55");
  assertEquals(formatEstimate({ mean: 0.123456, n: 1 }), "0.1235");
  assertEquals(formatEstimate(undefined), "-");
});

Deno.test("the table has one line a group, whatever order runs ended in", () => {
  const cells = tableCells(plan, resultsOf().toReversed(), ["value"]);
  assertEquals(cells, tableCells(plan, resultsOf(), ["value"]));
  assertEquals(alignCells(cells)[0], "mode  beta  runs  value");
  assertEquals(alignCells(cells)[1], "a     1     3     2.7 ± 1.2");
  assertEquals(alignCells(tableCells(plan, [], ["value"]))[1], "a     1     0     -");
});

Deno.test("result files are in the order of the plan, and CSV fields are quoted", () => {
  const files = resultFiles(plan, resultsOf().toReversed());
  const lines = files["results.csv"].split("\n");
  assertEquals(lines.length, 14);
  assertEquals(lines[0], "run,mode,beta,seed,value");
  assertEquals(lines[1], '"mode=a,beta=1,seed=0",a,1,0,1');
  assertEquals(JSON.parse(files["results.jsonl"].split("\n")[11]).metrics.value, 16);
});

Deno.test("tuning takes the best mean of each label, and refuses a sweep with holes", () => {
  const choices = chooseBest(plan, resultsOf(), { axis: "mode", by: "value", head: "h" });
  assertEquals(
    choices.map(({ label, settings, candidates }) => [label, settings, candidates]),
    [["a", { beta: 2 }, 2], ["b", { beta: 2 }, 2]],
  );
  const holes = [0, 1, 2].map((seed) => `mode=b,beta=2,seed=${seed}`);
  assertThrows(
    () => chooseBest(plan, resultsOf(holes), { axis: "mode", by: "value", head: "h" }),
    ConfigError,
    'the runs "mode=b,beta=2" have no "value"',
  );
});
