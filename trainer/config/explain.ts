/** What is wrong with a config, in words: place, key, what was expected, what was found. */
import type { z } from "zod";
import { nearestName } from "../../losses/nearest_name.ts";
import { ConfigError } from "../error.ts";
import { NESTED_KEYS } from "./dataset_source.ts";
import { lineOf } from "./locate.ts";
import { isMapping, type Mapping, type Override } from "./read_yaml.ts";
import { KNOWN_KEYS } from "./schema.ts";

/** One thing that is wrong, at a key. */
export interface Problem {
  readonly path: readonly string[];
  readonly text: string;
}

const MOST_SHOWN = 20;
function unknownKey(section: string, key: string): string {
  const known = KNOWN_KEYS.get(section) ?? NESTED_KEYS.get(section) ?? [];
  // A name that is right elsewhere was put in the wrong place, not misspelt.
  const elsewhere = [...KNOWN_KEYS].filter(([, keys]) => keys.includes(key)).map(([name]) => name);
  if (elsewhere.length > 0) {
    const places = elsewhere.map((name) => name === "" ? "the top level" : `"${name}"`);
    return `unknown key here; it belongs to ${places.join(" or ")}`;
  }
  const near = nearestName(key, known);
  if (near) return `unknown key, did you mean "${near}"?`;
  return section === ""
    ? "unknown key; remove it, or see configs/ for the known ones"
    : `unknown key; "${section}" knows ${known.join(", ")}`;
}

/** What was found where something else was expected. */
export function describeValue(value: unknown, expected: string): string {
  if (value === undefined) return "but it is missing";
  if (value === null) return "got null";
  if (typeof value === "string") {
    const shown = JSON.stringify(value.length > 60 ? value.slice(0, 60) + "..." : value);
    const number = /number/.test(expected) && value.trim() !== "" && Number.isFinite(Number(value));
    const flag = /true or false/.test(expected) && /^(true|false)$/i.test(value);
    return `got the text ${shown}${number || flag ? "; write it without quotes" : ""}`;
  }
  const quote = /number|true or false|section/.test(expected)
    ? ""
    : "; to mean text, put it in quotes";
  if (value instanceof Date) return `got a date${quote}`;
  if (Array.isArray(value)) return "got a list";
  if (typeof value === "object") return "got a section";
  return `got ${value}${quote}`;
}

function valueAt(tree: Mapping, path: readonly string[]): unknown {
  let node: unknown = tree;
  for (const part of path) {
    if (Array.isArray(node)) node = node[Number(part)];
    else if (isMapping(node) && Object.hasOwn(node, part)) node = node[part];
    else return undefined;
  }
  return node;
}

/** Turns the schema's findings into problems; a key may have several. */
export function explainIssues(issues: readonly z.core.$ZodIssue[], tree: Mapping): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const path = issue.path.map(String);
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: [...path, key],
        // Sets in a list are known by the list's name.
        text: unknownKey(path.filter((part) => !/^\d+$/.test(part)).join("."), key),
      }));
    }
    // The schemas of sections carry no message of their own.
    const expected = issue.message.startsWith("expected") ? issue.message : "expected a section";
    return [{ path, text: `${expected}, ${describeValue(valueAt(tree, path), expected)}` }];
  });
}

/** Where problems are reported: the file's text and the overrides laid over it. */
export interface Source {
  readonly file: string;
  readonly text: string;
  readonly overrides: readonly Override[];
}

/** Opening of every message about a file. */
export function headOf(file: string): string {
  return `Cannot read config ${JSON.stringify(file)}`;
}

interface Place {
  readonly words: string;
  /** Overrides and keys that are nowhere in the file come last. */
  readonly line: number;
}

function placeOf(path: readonly string[], source: Source): Place {
  const key = `key ${JSON.stringify(path.join("."))}`;
  const by = source.overrides.findLast((override) =>
    override.path.every((part, i) => path[i] === part)
  );
  if (by) return { words: `--set ${JSON.stringify(by.text)}, ${key}`, line: Infinity };
  const line = lineOf(source.text, path);
  return line === undefined
    ? { words: key, line: Infinity }
    : { words: `line ${line}, ${key}`, line };
}

/** One error for all problems, in the order of the file. */
export function problemsError(problems: readonly Problem[], source: Source): ConfigError {
  const head = headOf(source.file);
  const shown = problems.slice(0, MOST_SHOWN)
    .map(({ path, text }) => ({ ...placeOf(path, source), text }))
    // Infinity - Infinity is NaN, which a comparator must not return.
    .sort((a, b) => a.line === b.line ? 0 : a.line - b.line)
    .map(({ words, text }) => `${words}: ${text}`);
  if (problems.length === 1) return new ConfigError(`${head}, ${shown[0]}`);
  const more = problems.length > MOST_SHOWN ? [`  and ${problems.length - MOST_SHOWN} more`] : [];
  const lines = [`${head}, ${problems.length} problems:`, ...shown.map((line) => `  ${line}`)];
  return new ConfigError([...lines, ...more].join("\n"));
}
