/**
 * Hyperparameters that another sweep has chosen: for each label of an axis the settings whose mean over
 * the seeds is best, on the held-out requests that are not reported. Every label had the same number of
 * candidates.
 */
import { ConfigError } from "../../trainer/error.ts";
import { planSweep, SEED_AXIS, type Settings, type SweepPlan, type Tuned } from "./plan.ts";
import { groupEstimate, groupResults, readResult, type RunResult } from "./results.ts";
import { readSweep } from "./sweep_file.ts";
import { findConfig } from "../../commands/find_config.ts";
import { toPath } from "../../commands/model_source.ts";

/** Folders of runs lie beside each other: that of sweep `name` beside `out`. */
function besideFolder(out: string, name: string, quick: boolean): string {
  const parent = out.includes("/") ? out.slice(0, out.lastIndexOf("/") + 1) : "";
  return `${parent}${name.replace(/\.ya?ml$/, "")}${quick ? "-quick" : ""}`;
}

/** A choice among the candidates of a label. */
export interface Choice {
  readonly label: string;
  /** Labels of the axes that were tried. */
  readonly axes: Readonly<Record<string, string>>;
  readonly settings: Settings;
  readonly best: number;
  readonly candidates: number;
}

/**
 * The best candidates by the mean of `by`; equal ones by the order of the plan.
 *
 * @throws ConfigError when a run of the sweep has no result
 */
export function chooseBest(
  plan: SweepPlan,
  results: readonly RunResult[],
  { axis, by, head }: { readonly axis: string; readonly by: string; readonly head: string },
): Choice[] {
  if (!plan.axes.some(({ name }) => name === axis)) {
    throw new ConfigError(`${head}: the sweep that it takes settings from has no axis "${axis}"`);
  }
  const choices = new Map<string, Choice>();
  for (const group of groupResults(plan, results)) {
    const value = groupEstimate(group, by);
    if (!value) {
      const named = Object.entries(group.axes).map(([key, label]) => `${key}=${label}`).join(",");
      throw new ConfigError(
        `${head}: the runs "${named}" have no "${by}" to choose by; run them first`,
      );
    }
    const label = group.axes[axis];
    const known = choices.get(label);
    const candidates = (known?.candidates ?? 0) + 1;
    choices.set(
      label,
      known && known.best >= value.mean ? { ...known, candidates } : {
        label,
        axes: group.axes,
        settings: settingsOf(plan, group.axes, axis),
        best: value.mean,
        candidates,
      },
    );
  }
  return [...choices.values()];
}

/** What a group's labels set, without the seed's and those of the axis that is chosen for. */
function settingsOf(
  plan: SweepPlan,
  labels: Readonly<Record<string, string>>,
  axis: string,
): Settings {
  return Object.assign(
    {},
    ...plan.axes.filter(({ name }) => name !== SEED_AXIS && name !== axis)
      .map(({ name, values }) => values.find(({ label }) => label === labels[name])!.settings),
  );
}

/** All choices of the tuning sweep that a sweep names. */
export async function tunedChoices(
  path: string,
  tuned: { readonly sweep: string; readonly by: string; readonly axis: string },
  { quick, out }: { readonly quick: boolean; readonly out: string },
): Promise<Choice[]> {
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
  const from = `${folder}${tuned.sweep}`;
  const file = readSweep(await Deno.readTextFile(from), from, quick);
  const plan = planSweep(file, await Deno.readTextFile(toPath(await findConfig(file.config))));
  const runs = besideFolder(out, tuned.sweep, quick);
  const results = plan.runs.map((run) => readResult(runs, run));
  const missing = results.filter((result) => result === undefined).length;
  const head = `Cannot read sweep "${path}"`;
  if (missing > 0) {
    throw new ConfigError(
      `${head}: it takes its settings from "${from}", of which ${missing} of ${plan.runs.length} runs ` +
        `in "${runs}" are not done; run "deno task sweep ${from}${quick ? " --quick" : ""}" first`,
    );
  }
  return chooseBest(plan, results as RunResult[], { ...tuned, head });
}

/** Settings by label, for {@linkcode planSweep}. */
export async function tunedSettings(
  path: string,
  tuned: { readonly sweep: string; readonly by: string; readonly axis: string },
  place: { readonly quick: boolean; readonly out: string },
): Promise<Tuned> {
  const choices = await tunedChoices(path, tuned, place);
  return (axes) => choices.find(({ label }) => label === axes[tuned.axis])?.settings ?? {};
}
