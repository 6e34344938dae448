/** Figures of several runs beside each other. */
import type { RunReader, TableName } from "./run_reader.ts";

/** A table of texts; the first column names the run. */
export interface FigureTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Heading, table, column, digits after the point. */
const FIGURES: readonly (readonly [string, TableName, string, number])[] = [
  ["loss", "metrics", "loss", 4],
  ["eval loss", "evaluations", "eval_loss", 4],
  ["at configured beta", "evaluations", "eval_loss_beta0", 4],
  ["accuracy", "metrics", "rewards/accuracies", 3],
  ["eval accuracy", "evaluations", "eval_rewards/accuracies", 3],
  ["margin", "margins", "mean", 3],
  ["beta", "metrics", "dpo/beta", 4],
  ["logps chosen", "metrics", "logps/chosen", 2],
  ["logps rejected", "metrics", "logps/rejected", 2],
  ["tokens/s", "timings", "time/tokens_per_second", 0],
];

/** The last figures of each run; a column that no run has is left out. */
export function compareTable(
  runs: readonly { readonly name: string; readonly reader: RunReader }[],
): FigureTable {
  const figures = FIGURES.filter(([, table, column]) =>
    runs.some(({ reader }) => reader.last(table, column) !== undefined)
  );
  const rows = runs.map(({ name, reader }) => {
    const { facts, lastStep } = reader;
    const steps = facts ? `${lastStep}/${facts.totalSteps}` : String(lastStep);
    const values = figures.map(([, table, column, digits]) =>
      reader.last(table, column)?.toFixed(digits) ?? "–"
    );
    return [name, facts?.mode ?? "–", steps, ...values];
  });
  return { columns: ["run", "mode", "steps", ...figures.map(([heading]) => heading)], rows };
}

/** The table as lines of text, columns under each other; numbers to the right. */
export function textTable({ columns, rows }: FigureTable): string {
  const all = [columns, ...rows];
  const widths = columns.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  return all.map((row) =>
    row.map((text, i) => i < 2 ? text.padEnd(widths[i]) : text.padStart(widths[i])).join("  ")
      .trimEnd()
  ).join("\n");
}
