/** What a run's `metrics.jsonl` says: values over the steps, and the last evaluation. */

type Line = Readonly<Record<string, unknown>>;

function linesOf(path: string): Line[] {
  return Deno.readTextFileSync(path).split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** Metrics of training that tell how beta moved. */
const BETA_METRIC = /^(dpo|beta_dpo|risk|kl)\//;

/**
 * Numbers of the last evaluation; and of each metric about beta its last value, with `:mean` and `:sd`
 * (population) over the steps.
 */
export function summarizeMetrics(path: string): Record<string, number> {
  const lines = linesOf(path);
  const summary: Record<string, number> = {};
  const evaluation = lines.findLast((line) => "eval_loss" in line) ?? {};
  for (const [key, value] of Object.entries(evaluation)) {
    if (key.startsWith("eval_") && typeof value === "number") summary[key] = value;
  }
  const keys = new Set(lines.flatMap(Object.keys).filter((key) => BETA_METRIC.test(key)));
  for (const key of keys) {
    const values = lines.map((line) => line[key]).filter((value) => typeof value === "number");
    if (values.length === 0) continue;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    summary[key] = values.at(-1)!;
    summary[`${key}:mean`] = mean;
    summary[`${key}:sd`] = Math.sqrt(squares / values.length);
  }
  return summary;
}

/** [step, value] of a key at every step that has it. */
export function seriesOf(path: string, key: string): [number, number][] {
  return linesOf(path).flatMap((line): [number, number][] =>
    typeof line[key] === "number" && typeof line.step === "number" ? [[line.step, line[key]]] : []
  );
}
