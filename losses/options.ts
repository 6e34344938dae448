/** Options of modes and pair losses: read from the config, checked against their table. */
import type { Options, OptionSpec, OptionTable } from "./loss_mode.ts";
import { ModeError } from "./mode_error.ts";
import { nearestName } from "./nearest_name.ts";

type Value = number | boolean | string;
type Section = Readonly<Record<string, unknown>>;

/** The default of every option. */
export function defaultOptions(table: OptionTable): Options {
  return Object.fromEntries(Object.entries(table).map(([name, spec]) => [name, spec.default]));
}

/**
 * Checks one value against its specification.
 *
 * @param path where the value was written, for the message
 * @throws ModeError with `path` for a wrong type or a value out of range
 */
export function checkOption(path: string, spec: OptionSpec, value: unknown): Value {
  const fail = (expected: string): never => {
    // JSON would turn NaN and infinities into null.
    const shown = typeof value === "object" ? JSON.stringify(value) : String(value);
    throw new ModeError(`Option "${path}" is "${shown}": expected ${expected}`, { path });
  };
  if (spec.type === "boolean") {
    return typeof value === "boolean" ? value : fail("true or false");
  }
  if (spec.type === "string") {
    if (typeof value !== "string") return fail("text");
    if (spec.choices && !spec.choices.includes(value)) {
      return fail(`one of ${spec.choices.map((choice) => `"${choice}"`).join(", ")}`);
    }
    return value;
  }
  if (typeof value !== "number" || !Number.isFinite(value)) return fail("a finite number");
  if (spec.type === "integer" && !Number.isSafeInteger(value)) return fail("a whole number");
  if (spec.min !== undefined && value < spec.min) return fail(`at least ${spec.min}`);
  if (spec.max !== undefined && value > spec.max) return fail(`at most ${spec.max}`);
  if (spec.above !== undefined && value <= spec.above) return fail(`more than ${spec.above}`);
  if (spec.below !== undefined && value >= spec.below) return fail(`less than ${spec.below}`);
  return value;
}

/**
 * All options of one owner from plain values, defaults filled in.
 *
 * @param section first part of the paths in messages, e.g. "risk"
 * @param otherKeys keys of the section that belong to someone else, e.g. "log_dir"
 * @throws ModeError for an unknown key (naming the nearest known one), a wrong type or range
 */
export function validateOptions(
  section: string,
  table: OptionTable,
  given: Section,
  otherKeys: readonly string[] = [],
): Options {
  return readOptions(section, table, { [section]: given }, otherKeys);
}

/** Finds `path` ("section.key") in the config; null counts as not written. */
function lookUp(config: Section, path: string): unknown {
  let place: unknown = config;
  for (const part of path.split(".")) {
    if (typeof place !== "object" || place === null || !Object.hasOwn(place, part)) {
      return undefined;
    }
    place = (place as Section)[part];
  }
  return place ?? undefined;
}

/** The written value of an option: its own place first, then those of `from` in their order. */
function writtenValue(config: Section, section: string, name: string, spec: OptionSpec) {
  let found: { path: string; value: unknown } | undefined;
  for (const path of [`${section}.${name}`, ...spec.from ?? []]) {
    const value = lookUp(config, path);
    if (value === undefined) continue;
    if (!found) found = { path, value };
    // Two spellings side by side cannot both be meant; the same option in two sections can.
    else if (value !== found.value && path.split(".")[0] === found.path.split(".")[0]) {
      throw new ModeError(
        `Options "${found.path}" and "${path}" are two spellings of one option but differ: remove one`,
        { path },
      );
    }
  }
  return found;
}

/**
 * All options of a mode or pair loss from a whole config, defaults filled in. An option is read at
 * `<section>.<option>`, else at the first of its `from` places that is written.
 *
 * @param otherKeys keys of the owner's section that belong to someone else, e.g. "log_dir"
 * @throws ModeError, with the path, for an unknown key of the section (naming the nearest known
 * one), a wrong type or range, or two spellings that differ
 */
export function readOptions(
  section: string,
  table: OptionTable,
  config: Section,
  otherKeys: readonly string[] = [],
): Options {
  const own = lookUp(config, section) ?? {};
  if (typeof own !== "object" || Array.isArray(own)) {
    throw new ModeError(`Section "${section}" must hold options, one a line`, { path: section });
  }
  const known = new Set([...Object.keys(table), ...otherKeys]);
  for (const spec of Object.values(table)) {
    for (const path of spec.from ?? []) {
      if (path.startsWith(`${section}.`)) known.add(path.slice(section.length + 1));
    }
  }
  for (const key of Object.keys(own)) {
    if (known.has(key)) continue;
    const nearest = nearestName(key, [...known]);
    throw new ModeError(
      `Unknown option "${section}.${key}"` +
        (nearest
          ? `: did you mean "${section}.${nearest}"?`
          : `: known are ${[...known].join(", ")}`),
      { path: `${section}.${key}` },
    );
  }
  return Object.fromEntries(
    Object.entries(table).map(([name, spec]) => {
      const written = writtenValue(config, section, name, spec);
      return [name, written ? checkOption(written.path, spec, written.value) : spec.default];
    }),
  );
}
