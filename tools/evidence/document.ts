/**
 * Numbers into `docs/evidence.md`: between `<!-- name -->` and `<!-- end -->` stands what results give, so
 * that no number there was typed by anybody.
 */
import { ConfigError } from "../../trainer/error.ts";
import type { OpenedSweep } from "../sweep/open_sweep.ts";
import { SEED_AXIS } from "../sweep/plan.ts";
import { groupResults, pairedDifference, type RunResult } from "../sweep/results.ts";
import { formatEstimate, markdownCells, tableCells } from "../sweep/table.ts";
import type { Choice } from "../sweep/tuned.ts";
import { isSignificant } from "./claims.ts";

/** Blocks by name. */
export type Blocks = ReadonlyMap<string, string>;

/**
 * The text with its blocks filled; blocks that are not given stay as they are.
 *
 * @throws ConfigError when a given block has no place in the text
 */
export function fillBlocks(text: string, blocks: Blocks, path: string): string {
  let filled = text;
  for (const [name, content] of blocks) {
    const begin = `<!-- ${name} -->\n`;
    const from = filled.indexOf(begin);
    const to = filled.indexOf("<!-- end -->", from);
    if (from < 0 || to < 0) {
      throw new ConfigError(`Cannot write "${path}": it has no block "${begin.trim()}"`);
    }
    filled = `${filled.slice(0, from + begin.length)}\n${content}\n\n${filled.slice(to)}`;
  }
  return filled;
}

/** How much of a sweep the numbers come from. */
export function coverage({ plan, file }: OpenedSweep, results: readonly RunResult[]): string {
  const seeds = [...new Set(results.map(({ axes }) => axes[SEED_AXIS]))];
  const which = file.isQuick ? " of the quick version" : "";
  return `${results.length} of ${plan.runs.length} runs${which}, ` +
    (seeds.length === 1 ? `seed ${seeds[0]}` : `seeds ${seeds.join(", ")}`);
}

/** The table of a sweep, lines without a run left out. */
export function tableBlock(sweep: OpenedSweep, results: readonly RunResult[]): string {
  const [heading, ...rows] = tableCells(sweep.plan, results, sweep.file.show);
  const runs = heading.indexOf("runs");
  const lines = markdownCells([heading, ...rows.filter((row) => row[runs] !== "0")]);
  return [`${coverage(sweep, results)}.`, "", ...lines].join("\n");
}

/**
 * Each label of an axis less a base label, seed by seed: rows are labels, columns those of another axis;
 * a star where the difference is significant at the 5 % level (t test over the seeds).
 */
export function differencesBlock(
  { plan }: OpenedSweep,
  results: readonly RunResult[],
  { axis, base, by, metric }: Readonly<Record<"axis" | "base" | "by" | "metric", string>>,
): string {
  const groups = groupResults(plan, results);
  const labels = (name: string) =>
    plan.axes.find((its) => its.name === name)!.values
      .map(({ label }) => label);
  const at = (row: string, column: string) =>
    groups.find(({ axes }) => axes[axis] === row && axes[by] === column)!;
  const cells = labels(axis).filter((label) => label !== base).map((row) => [
    row,
    ...labels(by).map((column) => {
      const found = pairedDifference(at(row, column), at(base, column), metric);
      return formatEstimate(found) + (found && isSignificant(found) ? " *" : "");
    }),
  ]);
  const heading = [`${metric} less that of ${base}`, ...labels(by).map((its) => `${by} ${its}`)];
  return markdownCells([heading, ...cells]).join("\n");
}

/** What tuning chose. */
export function choicesBlock(choices: readonly Choice[]): string {
  const cells = choices.map(({ label, axes, best, candidates }) => [
    label,
    Object.entries(axes).filter(([, value]) => value !== label)
      .map(([key, value]) => `${key.split(".").at(-1)} ${value}`).join(", "),
    String(Number(best.toPrecision(3))),
    String(candidates),
  ]);
  return markdownCells([["method", "chosen", "win rate (validation)", "candidates"], ...cells])
    .join("\n");
}
