import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError } from "../../trainer/error.ts";
import { claimed, CLAIMS, compareSigns, isSignificant } from "../../tools/evidence/claims.ts";
import { differencesBlock, fillBlocks, tableBlock } from "../../tools/evidence/document.ts";
import { type OpenedSweep, openSweep } from "../../tools/sweep/open_sweep.ts";
import { planSweep } from "../../tools/sweep/plan.ts";
import type { RunResult } from "../../tools/sweep/results.ts";
import { readSweep } from "../../tools/sweep/sweep_file.ts";
import { barChart, lineChart, ticksOf } from "../../tools/sweep/plot.ts";

const file = readSweep(
  "config: c\naxes: { method: [dpo, ipo], example.flipped: [0, 0.4], seed: [0..2] }\n" +
    "example: {}\nshow: [win_rate]",
  "s.yaml",
);
const sweep: OpenedSweep = { file, plan: planSweep(file, ""), path: "s", config: "c", out: "o" };
/** ipo is better by 0.1 without noise, by seed/10 - 0.1 with noise: -0.1, 0, 0.1. */
const results: RunResult[] = sweep.plan.runs.map(({ name, id, axes }) => {
  const seed = Number(axes.seed);
  const gain = axes["example.flipped"] === "0" ? 0.1 + seed / 1000 : seed / 10 - 0.1;
  return { name, id, axes, metrics: { win_rate: seed + (axes.method === "ipo" ? gain : 0) } };
});

Deno.test("significance is Student's: with three seeds the mean must be 4.303 errors from 0", () => {
  assertEquals(isSignificant({ mean: 4.31, error: 1, n: 3 }), true);
  assertEquals(isSignificant({ mean: -4.29, error: 1, n: 3 }), false);
  assertEquals(isSignificant({ mean: 2.78, error: 1, n: 5 }), true);
  assertEquals(isSignificant({ mean: 100, n: 1 }), false);
});

Deno.test("differences are taken seed by seed, and stars are where they are significant", () => {
  const what = { axis: "method", base: "dpo", by: "example.flipped", metric: "win_rate" };
  const lines = differencesBlock(sweep, results, what).split("\n");
  assertEquals(lines.length, 3);
  assertStringIncludes(lines[2], "0.10100 ± 0.00058 *");
  assertStringIncludes(lines[2], "0.000 ± 0.058 ");
  assertEquals(lines[2].match(/\*/g)!.length, 1);
});

Deno.test("a quick result is held against a full one only where that is significant", () => {
  const full = { mean: 1, error: 0.1, n: 5 };
  assertEquals(compareSigns(full, { mean: 0.2, n: 1 }), "same sign");
  assertEquals(compareSigns(full, { mean: -0.2, n: 1 }), "other sign");
  assertEquals(compareSigns({ ...full, error: 1 }, { mean: -1, n: 1 }), "not significant in full");
  assertEquals(compareSigns(undefined, { mean: 1, n: 1 }), "not known in full");
});

Deno.test("blocks of the document are replaced whole, and a block without a place is an error", () => {
  const text = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\n<!-- end -->\n";
  const filled = fillBlocks(text, new Map([["one", "new"]]), "d.md");
  assertEquals(filled, text.replace("old\n", "\nnew\n\n"));
  assertEquals(fillBlocks(filled, new Map([["one", "new"]]), "d.md"), filled);
  assertThrows(() => fillBlocks(text, new Map([["three", ""]]), "d.md"), ConfigError, "three");
});

Deno.test("a table says how much of its sweep it rests on, and leaves empty lines out", () => {
  const some = results.filter(({ axes }) => axes.method === "dpo" && axes.seed !== "1");
  const lines = tableBlock(sweep, some).split("\n");
  assertEquals(lines[0], "4 of 12 runs, seeds 0, 2.");
  assertEquals(lines.length, 6);
});

const MAY_READ = (await Deno.permissions.query({ name: "read" })).state === "granted";

Deno.test({
  name: "every claim is about runs that its sweep has, in full and in the quick version " +
    "(needs --allow-read)",
  ignore: !MAY_READ,
  fn: async () => {
    for (const quick of [false, true]) {
      for (const claim of CLAIMS) {
        const { plan } = await openSweep(`sweeps/${claim.sweep}.yaml`, { quick, untuned: true });
        const made = plan.runs.map(({ name, id, axes }): RunResult => ({
          name,
          id,
          axes,
          metrics: {
            [claim.metric]: Object.entries(claim.more).every(([k, v]) => axes[k] === v) ? 3 : 1,
          },
        }));
        assertEquals(claimed(claim, plan, made)?.mean, 2, JSON.stringify(claim));
      }
    }
  },
});

Deno.test("ticks are round and inside; bars and error bars have the heights of their numbers", () => {
  assertEquals(ticksOf(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assertEquals(ticksOf(-30, 70), [-20, 0, 20, 40, 60]);
  const labels = { title: "t", x: "x", y: "y" };
  const svg = barChart(labels, ["g"], [
    { name: "a", points: [{ x: 0, y: 1, yError: 0.25 }] },
    { name: "b<", points: [{ x: 0, y: 2 }] },
  ]);
  const heights = [...svg.matchAll(/height="([\d.]+)" fill="#\w+"><title>/g)].map((m) =>
    Number(m[1])
  );
  assertEquals(Math.abs(heights[1] / heights[0] - 2) < 0.01, true, `${heights}`);
  // Bars stand on the line of 0, which is inside the frame.
  const feet = [
    ...svg.matchAll(/y="([\d.]+)" width="[\d.]+" height="([\d.]+)" fill="#\w+"><title>/g),
  ]
    .map((m) => Number(m[1]) + Number(m[2]));
  assertEquals(feet.every((foot) => foot > 300 && foot < 332), true, `${feet}`);
  // The stem of the error bar is half a unit long, a bar of 1 one unit.
  const stem =
    /<line x1="([\d.]+)" y1="([\d.]+)" x2="\1" y2="([\d.]+)" stroke="black" stroke-width/;
  const [, , low, high] = stem.exec(svg)!.map(Number);
  assertEquals(Math.abs((low - high) / heights[0] - 0.5) < 0.01, true, `${low} ${high}`);
  assertStringIncludes(svg, "b&lt;");
  const log = lineChart(labels, [{ name: "a", points: [1, 10, 100].map((y, x) => ({ x, y })) }], {
    log: true,
  });
  const ys = /points="([^"]+)"/.exec(log)![1].split(" ").map((p) => Number(p.split(",")[1]));
  assertEquals(Math.abs(ys[0] - ys[1] - (ys[1] - ys[2])) < 0.21, true, `${ys}`);
});
