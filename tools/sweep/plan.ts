/**
 * A sweep file as the list of its runs. A run is a base config, changed by one value of every axis; the
 * order is that of the file, the last axis running fastest, so that the same file gives the same list.
 */
import { createHash } from "node:crypto";
import { ConfigError } from "../../trainer/error.ts";
import type { SweepFile } from "./sweep_file.ts";
import { expandValues, labelOf } from "./values.ts";

/** Keys and values laid over the base config, `"dpo.beta": 0.1`. */
export type Settings = Readonly<Record<string, unknown>>;

/** One value of an axis: what it is called, and what it sets. */
export interface AxisValue {
  readonly label: string;
  readonly settings: Settings;
}

export interface Axis {
  readonly name: string;
  readonly values: readonly AxisValue[];
}

export interface SweepRun {
  /** Name of the run and of its folder: `mode=dpo,seed=3`. */
  readonly name: string;
  /** Label of each axis. */
  readonly axes: Readonly<Record<string, string>>;
  /** Keys of the config. */
  readonly settings: Settings;
  /** Keys of the world's training pairs, without `example.`; absent where the base config has its own data. */
  readonly example?: Settings;
  /** Changes with anything that the run's result depends on, the program's code apart. */
  readonly id: string;
}

export interface SweepPlan {
  readonly axes: readonly Axis[];
  readonly runs: readonly SweepRun[];
}

/** The axis over which means are taken. */
export const SEED_AXIS = "seed";
const EXAMPLE = "example.";
/** Runs beyond this are a mistake in a range. */
const MOST_RUNS = 10_000;

/** Settings that another sweep has found best, by the label of an axis. */
export type Tuned = (axes: Readonly<Record<string, string>>) => Settings;

/**
 * The runs of a sweep.
 *
 * @param file the checked file
 * @param baseText text of the base config: a part of every run's id
 * @throws ConfigError when an axis is empty, names collide, an exclusion names no axis, nothing is left
 */
export function planSweep(file: SweepFile, baseText: string, tuned: Tuned = () => ({})): SweepPlan {
  const axes = Object.entries(file.axes).map(([name, values]): Axis => ({
    name,
    values: axisValues(name, values, file),
  }));
  checkExclusions(file, axes);
  const count = axes.reduce((product, { values }) => product * values.length, 1);
  if (count > MOST_RUNS) {
    throw new ConfigError(
      `${file.head}: ${count} runs are more than ${MOST_RUNS}; check the ranges`,
    );
  }
  const runs: SweepRun[] = [];
  for (let i = 0; i < count; i++) {
    const chosen = pickValues(axes, i);
    const labels = Object.fromEntries(chosen.map(([name, { label }]) => [name, label]));
    if (file.exclude.some((rule) => matches(rule, labels))) continue;
    const given = Object.assign({}, ...chosen.map(([, { settings }]) => settings));
    runs.push(makeRun(file, labels, { ...file.set, ...tuned(labels), ...given }, baseText));
  }
  if (runs.length === 0) throw new ConfigError(`${file.head}: every run is excluded`);
  checkNames(file, runs);
  return { axes, runs };
}

function pickValues(axes: readonly Axis[], index: number): [string, AxisValue][] {
  let left = index;
  const chosen = axes.toReversed().map(({ name, values }): [string, AxisValue] => {
    const value = values[left % values.length];
    left = Math.floor(left / values.length);
    return [name, value];
  });
  return chosen.reverse();
}

/**
 * The values of an axis. A mapping gives each value a label and several settings; anything else is a
 * list or range of values for the key that the axis is named after.
 */
function axisValues(name: string, values: unknown, file: SweepFile): AxisValue[] {
  if (typeof values === "object" && values !== null && !Array.isArray(values)) {
    const entries = Object.entries(values as Record<string, Settings | null>);
    if (!("from" in values)) {
      return entries.map(([label, settings]) => ({ label, settings: settings ?? {} }));
    }
  }
  const where = `${file.head}: axis "${name}"`;
  const list = expandValues(values, where);
  if (list.length === 0) throw new ConfigError(`${where} has no values`);
  return list.map((value) => ({
    label: labelOf(value),
    settings: name === SEED_AXIS ? seedSettings(value, file) : { [name]: value },
  }));
}

/** One seed for everything random in a run: the mode's numbers, the order of the rows, the pairs. */
function seedSettings(value: unknown, file: SweepFile): Settings {
  const keys = ["seed", "dataset.seed", ...file.example === undefined ? [] : [`${EXAMPLE}seed`]];
  return Object.fromEntries(keys.map((key) => [key, value]));
}

function checkExclusions(file: SweepFile, axes: readonly Axis[]): void {
  // A quick version has fewer values, and the exclusions of all of them.
  if (file.isQuick) return;
  for (const rule of file.exclude) {
    for (const [name, values] of Object.entries(rule)) {
      const axis = axes.find((known) => known.name === name);
      const where = `${file.head}: an exclusion names`;
      if (!axis) throw new ConfigError(`${where} "${name}", which is no axis of the sweep`);
      for (const label of expandValues(values, where).map(labelOf)) {
        if (axis.values.some((value) => value.label === label)) continue;
        const known = axis.values.map((value) => value.label).join(", ");
        throw new ConfigError(`${where} ${name} "${label}"; the axis has ${known}`);
      }
    }
  }
}

function matches(rule: Settings, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(rule).every(([name, values]) =>
    expandValues(values, name).map(labelOf).includes(labels[name])
  );
}

function makeRun(
  file: SweepFile,
  axes: Readonly<Record<string, string>>,
  all: Settings,
  baseText: string,
): SweepRun {
  const entries = Object.entries(all);
  const drawn = entries.filter(([key]) => key.startsWith(EXAMPLE));
  if (drawn.length > 0 && file.example === undefined) {
    throw new ConfigError(
      `${file.head}: "${
        drawn[0][0]
      }" is about the world's pairs; say "example: {}" in the sweep to ` +
        `train on them`,
    );
  }
  const settings = Object.fromEntries(entries.filter(([key]) => !key.startsWith(EXAMPLE)));
  const example = file.example === undefined ? undefined : {
    ...file.example,
    ...Object.fromEntries(drawn.map(([key, value]) => [key.slice(EXAMPLE.length), value])),
  };
  const id = createHash("sha256")
    .update(JSON.stringify([baseText, sorted(settings), example && sorted(example), file.measure]))
    .digest("hex").slice(0, 16);
  return { name: nameOf(axes), axes, settings, example, id };
}

function sorted(settings: Settings): [string, unknown][] {
  return Object.entries(settings).sort(([a], [b]) => a < b ? -1 : 1);
}

/** `mode=dpo,flipped=0.1,seed=3`: the last part of each key, which is what people call it. */
function nameOf(axes: Readonly<Record<string, string>>): string {
  const parts = Object.entries(axes).map(([name, label]) => `${name.split(".").at(-1)}=${label}`);
  return parts.join(",").replaceAll(/[^\w=,.+-]/g, "_") || "run";
}

function checkNames(file: SweepFile, runs: readonly SweepRun[]): void {
  const seen = new Set<string>();
  for (const { name } of runs) {
    // Some file systems do not tell upper from lower case.
    const folder = name.toLowerCase();
    if (seen.has(folder)) {
      throw new ConfigError(
        `${file.head}: two runs would both be called "${name}"; give the axes values, or labels, ` +
          `that differ`,
      );
    }
    seen.add(folder);
  }
}
