/** The figures that a sweep file asks for, from results and metrics of its runs. */
import { seriesOf } from "./metrics_file.ts";
import { barChart, lineChart, type Point, type Series } from "./plot.ts";
import { SEED_AXIS } from "./plan.ts";
import type { OpenedSweep } from "./open_sweep.ts";
import { estimate, type Group, groupEstimate, groupResults, type RunResult } from "./results.ts";
import type { Figure } from "./sweep_file.ts";

/** One figure as SVG. */
export function drawFigure(
  figure: Figure,
  sweep: Pick<OpenedSweep, "plan" | "out">,
  results: readonly RunResult[],
): string {
  const wanted = Object.entries(figure.where);
  const groups = groupResults(sweep.plan, results).filter((group) =>
    group.results.length > 0 && wanted.every(([name, label]) => group.axes[name] === String(label))
  );
  if (figure.kind === "bars") return bars(figure, groups);
  if (figure.kind === "frontier") return frontier(figure, groups);
  return curves(figure, sweep, groups);
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}

/** Groups that share a label, as one: axes that a figure does not name are averaged over. */
function merge(groups: readonly Group[], axes: readonly string[]): Map<string, Group> {
  const merged = new Map<string, Group>();
  for (const group of groups) {
    const labels = Object.fromEntries(axes.map((name) => [name, group.axes[name]]));
    const key = axes.map((name) => group.axes[name]).join(", ");
    const known = merged.get(key)?.results ?? [];
    merged.set(key, { axes: labels, results: [...known, ...group.results] });
  }
  return merged;
}

function bars(figure: Extract<Figure, { kind: "bars" }>, groups: readonly Group[]): string {
  const { group, bar, value } = figure;
  const places = distinct(groups.map(({ axes }) => axes[group]));
  const merged = [...merge(groups, [group, bar]).values()];
  const series = distinct(groups.map(({ axes }) => axes[bar])).map((name): Series => ({
    name,
    points: merged.filter(({ axes }) => axes[bar] === name).flatMap((its): Point[] => {
      const found = groupEstimate(its, value);
      return found
        ? [{ x: places.indexOf(its.axes[group]), y: found.mean, yError: found.error }]
        : [];
    }),
  }));
  const title = figure.title ?? `${value}, mean and standard error over seeds`;
  return barChart({ title, x: group, y: value }, places, series, figure.base);
}

function frontier(figure: Extract<Figure, { kind: "frontier" }>, groups: readonly Group[]): string {
  const { x, y, line } = figure;
  const series = distinct(groups.map(({ axes }) => axes[line])).map((name): Series => ({
    name,
    points: groups.filter(({ axes }) => axes[line] === name).flatMap((group): Point[] => {
      const [along, up] = [groupEstimate(group, x), groupEstimate(group, y)];
      if (!along || !up) return [];
      const label = Object.entries(group.axes).filter(([key]) => key !== line)
        .map(([, its]) => its).join(", ");
      return [{ x: along.mean, y: up.mean, xError: along.error, yError: up.error, label }];
    }).sort((a, b) => a.x - b.x),
  }));
  return lineChart({ title: figure.title ?? `${y} against ${x}`, x, y }, series);
}

/** Values over the steps, the mean over seeds at each. */
function curves(
  figure: Extract<Figure, { kind: "curves" }>,
  { out }: Pick<OpenedSweep, "out">,
  groups: readonly Group[],
): string {
  const axes = [figure.line].flat();
  const series = [...merge(groups, axes)].map(([name, group]): Series => {
    const steps = new Map<number, number[]>();
    for (const result of group.results) {
      for (const [step, value] of seriesOf(`${out}/${result.name}/metrics.jsonl`, figure.value)) {
        if (!steps.has(step)) steps.set(step, []);
        steps.get(step)!.push(value);
      }
    }
    const points = [...steps].sort(([a], [b]) => a - b)
      .map(([step, values]): Point => ({ x: step, y: estimate(values)!.mean }));
    return { name, points };
  });
  const title = figure.title ?? `${figure.value}, mean over ${SEED_AXIS}s`;
  const labels = { title, x: "optimizer step", y: figure.value };
  return lineChart(labels, series, { log: figure.log, marks: false });
}
