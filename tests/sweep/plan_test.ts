import { assertEquals, assertNotEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError } from "../../trainer/error.ts";
import { planSweep } from "../../tools/sweep/plan.ts";
import { readSweep } from "../../tools/sweep/sweep_file.ts";
import { expandValues } from "../../tools/sweep/values.ts";

const BASE = "policy_name: m\n";

function planOf(text: string, quick = false, base = BASE) {
  return planSweep(readSweep(`config: c.yaml\n${text}`, "s.yaml", quick), base);
}

function messageOf(text: string, quick = false): string {
  return assertThrows(() => planOf(text, quick), ConfigError).message;
}

Deno.test("values of an axis: lists, whole ranges, spaced ranges", () => {
  assertEquals(expandValues(["0..3", 7], "x"), [0, 1, 2, 3, 7]);
  assertEquals(expandValues("-1..1", "x"), [-1, 0, 1]);
  assertEquals(expandValues({ from: 0.01, to: 1, count: 3, scale: "log" }, "x"), [0.01, 0.1, 1]);
  assertEquals(expandValues({ from: 0, to: 1, count: 5 }, "x"), [0, 0.25, 0.5, 0.75, 1]);
  for (const range of [{ from: 0, to: 1, count: 3, scale: "log" }, { from: 0, to: 1 }, "4..1"]) {
    assertThrows(() => expandValues(range, "x"), ConfigError, "range");
  }
});

Deno.test("axes are multiplied, the last one fastest, less what is excluded", () => {
  const { runs } = planOf(`
axes:
  mode: [dpo, beta_dpo]
  dpo.beta: [0.1, 0.2]
  seed: [0..1]
exclude:
  - { mode: beta_dpo, dpo.beta: [0.2] }`);
  assertEquals(runs.map(({ name }) => name), [
    "mode=dpo,beta=0.1,seed=0",
    "mode=dpo,beta=0.1,seed=1",
    "mode=dpo,beta=0.2,seed=0",
    "mode=dpo,beta=0.2,seed=1",
    "mode=beta_dpo,beta=0.1,seed=0",
    "mode=beta_dpo,beta=0.1,seed=1",
  ]);
  assertEquals(runs[3].settings, { mode: "dpo", "dpo.beta": 0.2, seed: 1, "dataset.seed": 1 });
  assertEquals(runs[0].example, undefined);
});

Deno.test("labelled values set several keys; a later axis lies over an earlier one and over `set`", () => {
  const { runs } = planOf(`
set: { a.x: 1, a.y: 1 }
axes:
  method:
    plain: {}
    long name: { mode: ipo, a.x: 2 }
  a.y: [3]`);
  assertEquals(runs.map(({ name }) => name), ["method=plain,y=3", "method=long_name,y=3"]);
  assertEquals(runs.map(({ settings }) => settings), [
    { "a.x": 1, "a.y": 3 },
    { "a.x": 2, "a.y": 3, mode: "ipo" },
  ]);
});

Deno.test("the seed also draws the world's pairs, whose keys do not reach the config", () => {
  const { runs } = planOf(`
example: { pairs: 64 }
axes: { example.flipped: [0.2], seed: [5] }`);
  assertEquals(runs[0].settings, { seed: 5, "dataset.seed": 5 });
  assertEquals(runs[0].example, { pairs: 64, flipped: 0.2, seed: 5 });
  const without = messageOf("axes: { example.flipped: [0.2] }");
  assertStringIncludes(without, 'say "example: {}"');
});

Deno.test("--quick lays its section over the rest", () => {
  const text = `
example: { pairs: 1000 }
set: { max_steps: 90 }
axes: { mode: [a, b], seed: [0..4] }
exclude: [{ mode: b, seed: [3] }]
quick: { set: { max_steps: 9 }, example: { pairs: 10 }, axes: { seed: [0..1] } }`;
  assertEquals(planOf(text).runs.length, 9);
  const { runs } = planOf(text, true);
  assertEquals(runs.length, 4);
  assertEquals([runs[0].settings.max_steps, runs[0].example!.pairs], [9, 10]);
  assertStringIncludes(messageOf("axes: { mode: [a] }", true), 'no section "quick"');
  assertStringIncludes(
    messageOf("axes: { mode: [a] }\nquick: { axes: { sede: [1] } }", true),
    'names "sede"',
  );
});

Deno.test("a run's id follows everything its result depends on, and not the order of keys", () => {
  const id = (text: string, base = BASE) => planOf(text, false, base).runs[0].id;
  const first = id("set: { a: 1, b: 2 }\naxes: { mode: [x] }");
  assertEquals(id("set: { b: 2, a: 1 }\naxes: { mode: [x] }"), first);
  const others = [
    id("set: { a: 1, b: 3 }\naxes: { mode: [x] }"),
    id("set: { a: 1, b: 2 }\naxes: { mode: [y] }"),
    id("set: { a: 1, b: 2 }\naxes: { mode: [x] }\nexample: {}"),
    id("set: { a: 1, b: 2 }\naxes: { mode: [x] }\nmeasure: { prompts: 3 }"),
    id("set: { a: 1, b: 2 }\naxes: { mode: [x] }", "policy_name: n\n"),
  ];
  for (const other of others) assertNotEquals(other, first);
  assertEquals(new Set(others).size, others.length);
});

Deno.test("what is wrong with a sweep is said with its place", () => {
  assertStringIncludes(messageOf("axes: {}"), "at least one axis");
  assertStringIncludes(messageOf("axes: { mode: [] }"), 'axis "mode" has no values');
  assertStringIncludes(messageOf("axis: { mode: [a] }\naxes: { mode: [a] }"), "axis");
  assertStringIncludes(messageOf("axes: { seed: [0..9], a: [0..99], b: [0..99] }"), "100000 runs");
  const excluded = "axes: { mode: [a] }\nexclude: [{ mode: a }]";
  assertStringIncludes(messageOf(excluded), "every run is excluded");
  assertStringIncludes(messageOf(excluded.replace("mode: a }", "mode: z }")), 'mode "z"');
  assertStringIncludes(messageOf(excluded.replace("{ mode: a }", "{ mod: a }")), 'names "mod"');
  assertStringIncludes(messageOf('axes: { m: ["a b", a_b] }'), 'both be called "m=a_b"');
});
