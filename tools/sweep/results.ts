/** Results of runs: files, and means with standard errors over seeds. */
import { atomicWriteFile, diskOperations } from "../../trainer/atomic_write.ts";
import { ConfigError } from "../../trainer/error.ts";
import { SEED_AXIS, type SweepPlan, type SweepRun } from "./plan.ts";

/** A finished run. There is no time in it: the same sweep writes the same bytes. */
export interface RunResult {
  readonly name: string;
  readonly id: string;
  readonly axes: Readonly<Record<string, string>>;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Runs that differ in nothing but the seed. */
export interface Group {
  /** Labels of all axes but the seed. */
  readonly axes: Readonly<Record<string, string>>;
  readonly results: readonly RunResult[];
}

/** A mean over seeds. */
export interface Estimate {
  readonly mean: number;
  /** Standard error of the mean (sample deviation over sqrt n); absent for a single value. */
  readonly error?: number;
  readonly n: number;
}

/** The file whose presence says that a run is done. */
export const RESULT_FILE = "result.json";

/** Writes a text file that is whole or absent. */
export async function writeText(path: string, text: string): Promise<void> {
  await atomicWriteFile(diskOperations, path, [new TextEncoder().encode(text)]);
}

export async function writeResult(folder: string, result: RunResult): Promise<void> {
  await writeText(`${folder}/${RESULT_FILE}`, JSON.stringify(result, null, 2) + "\n");
}

/**
 * The result of a run, if it is done.
 *
 * @throws ConfigError when the folder holds the result of a run with other settings
 */
export function readResult(out: string, run: SweepRun): RunResult | undefined {
  const path = `${out}/${run.name}/${RESULT_FILE}`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const result = JSON.parse(text) as RunResult;
  if (result.id !== run.id) {
    throw new ConfigError(
      `"${path}" comes from other settings than the sweep has now: remove "${out}/${run.name}" to run ` +
        `it again, or give another --out`,
    );
  }
  return result;
}

/** Mean and standard error of finite values; undefined without any. */
export function estimate(values: readonly (number | undefined)[]): Estimate | undefined {
  const known = values.filter((value): value is number => Number.isFinite(value));
  const n = known.length;
  if (n === 0) return undefined;
  const mean = known.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { mean, n };
  const variance = known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return { mean, error: Math.sqrt(variance / n), n };
}

/** Results by everything but the seed, in the order of the plan. */
export function groupResults(plan: SweepPlan, results: readonly RunResult[]): Group[] {
  const byName = new Map(results.map((result) => [result.name, result]));
  const groups = new Map<string, { axes: Record<string, string>; results: RunResult[] }>();
  for (const run of plan.runs) {
    const { [SEED_AXIS]: _seed, ...axes } = run.axes;
    const key = JSON.stringify(axes);
    if (!groups.has(key)) groups.set(key, { axes, results: [] });
    const result = byName.get(run.name);
    if (result) groups.get(key)!.results.push(result);
  }
  return [...groups.values()];
}

/** One metric of a group. */
export function groupEstimate(group: Group, metric: string): Estimate | undefined {
  return estimate(group.results.map(({ metrics }) => metrics[metric]));
}

/**
 * Difference of a metric between two groups, seed by seed: what the seeds have in common, their training
 * pairs above all, goes out of the error. Undefined where they share no seed.
 */
export function pairedDifference(a: Group, b: Group, metric: string): Estimate | undefined {
  const bySeed = new Map(b.results.map((result) => [result.axes[SEED_AXIS], result]));
  return estimate(a.results.map((result) => {
    const other = bySeed.get(result.axes[SEED_AXIS]);
    return other && result.metrics[metric] - other.metrics[metric];
  }));
}

/** All results as JSON lines and as CSV, in the order of the plan; metrics that are not there are empty. */
export function resultFiles(plan: SweepPlan, results: readonly RunResult[]) {
  const byName = new Map(results.map((result) => [result.name, result]));
  const done = plan.runs.flatMap(({ name }) => byName.get(name) ?? []);
  const axes = plan.axes.map(({ name }) => name);
  const metrics = [...new Set(done.flatMap((result) => Object.keys(result.metrics)))].sort();
  const rows = done.map((result) => [
    result.name,
    ...axes.map((name) => result.axes[name]),
    ...metrics.map((name) => result.metrics[name] ?? ""),
  ]);
  const csv = [["run", ...axes, ...metrics], ...rows].map((row) => row.map(cell).join(",") + "\n");
  return {
    "results.jsonl": done.map((result) => JSON.stringify(result) + "\n").join(""),
    "results.csv": csv.join(""),
  };
}

/** A CSV field (RFC 4180). */
function cell(value: string | number): string {
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
