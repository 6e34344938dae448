/** The table of a sweep: one line for runs that differ in the seed only, mean ± standard error. */
import type { SweepPlan } from "./plan.ts";
import { SEED_AXIS } from "./plan.ts";
import { type Estimate, groupEstimate, groupResults, type RunResult } from "./results.ts";

/** `0.731 ± 0.012`, as many digits as the error has two of; a lone value has four. */
export function formatEstimate(estimate: Estimate | undefined): string {
  if (!estimate) return "-";
  const { mean, error } = estimate;
  if (error === undefined) return String(Number(mean.toPrecision(4)));
  if (error === 0) return `${Number(mean.toPrecision(4))} ± 0`;
  const digits = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(error))));
  return `${mean.toFixed(digits)} ± ${error.toFixed(digits)}`;
}

/** Rows of text: a heading, then the groups in the order of the plan. */
export function tableCells(
  plan: SweepPlan,
  results: readonly RunResult[],
  show: readonly string[],
): string[][] {
  const axes = plan.axes.map(({ name }) => name).filter((name) => name !== SEED_AXIS);
  const groups = groupResults(plan, results);
  const heading = [...axes, "runs", ...show];
  return [
    heading,
    ...groups.map((group) => [
      ...axes.map((name) => group.axes[name]),
      String(group.results.length),
      ...show.map((metric) => formatEstimate(groupEstimate(group, metric))),
    ]),
  ];
}

/** Cells as lines for a terminal. */
export function alignCells(cells: readonly (readonly string[])[]): string[] {
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells.map((row) =>
    row.map((text, column) => text.padEnd(widths[column])).join("  ").trimEnd()
  );
}

/** Cells as a table in Markdown, aligned as `deno fmt` does it. */
export function markdownCells(cells: readonly (readonly string[])[]): string[] {
  const widths = cells[0].map((_, column) =>
    Math.max(3, ...cells.map((row) => row[column].length))
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((text, column) => text.padEnd(widths[column])).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [line(cells[0]), line(rule), ...cells.slice(1).map(line)];
}
