/** YAML text to a plain tree of mappings, lists and scalars, with `--set` laid over it. */
import { parse } from "@std/yaml";
import { ConfigError } from "../error.ts";
import { lineOf } from "./locate.ts";

/** A YAML mapping. */
export type Mapping = Record<string, unknown>;

/** A mapping, not a list, date or null. */
export function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

/** A section, where it is there and is a mapping. */
export function sectionOf(config: Mapping, name: string): Mapping | undefined {
  const value = Object.hasOwn(config, name) ? config[name] : undefined;
  return isMapping(value) ? value : undefined;
}

/** Where `__proto__` is a setter (Deno leaves that to a flag), assignment would set the prototype. */
export function put(target: Mapping, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

const LARGEST_TEXT = 1 << 20;
const MOST_VALUES = 20_000;

/**
 * Reads a config file's text.
 *
 * @param head opening of error messages, e.g. `Cannot read config "x.yaml"`
 * @throws {ConfigError} On text that is not one YAML mapping, that repeats a key, or whose aliases
 *   form a cycle or unfold into too many values
 */
export function readYaml(text: string, head: string): Mapping {
  if (text.length > LARGEST_TEXT) {
    throw new ConfigError(`${head}: it is longer than ${LARGEST_TEXT} characters, not a config`);
  }
  const parsed = parseYaml(text, head);
  if (parsed === null || parsed === undefined) throw new ConfigError(`${head}: the file is empty`);
  const tree = plainCopy(parsed, head, text);
  if (!isMapping(tree)) {
    throw new ConfigError(
      `${head}: expected keys and values such as "policy_name: examples/model"`,
    );
  }
  return tree;
}

function parseYaml(text: string, head: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    // Anything the parser throws is about the text; a stack overflow comes from deep nesting.
    if (error instanceof RangeError) throw new ConfigError(`${head}: it is nested too deeply`);
    const message = error instanceof Error ? error.message : String(error);
    const at = / at line (\d+), column \d+/.exec(message);
    const reason = (at ? message.slice(0, at.index) : message.split("\n")[0]).slice(0, 200);
    const line = at ? `, line ${at[1]}` : "";
    throw new ConfigError(`${head}${line}: not valid YAML: ${reason}`, { cause: error });
  }
}

/**
 * A copy without shared parts. Aliases make YAML a graph: this is where cycles and "alias bombs"
 * (small text, billions of values) end.
 */
function plainCopy(root: unknown, head: string, text: string): unknown {
  let count = 0;
  const open = new Set<unknown>();
  const refuse = (path: readonly string[], why: string): never => {
    const line = lineOf(text, path);
    throw new ConfigError(`${head}${line ? `, line ${line}` : ""}: ${why}`);
  };
  const copy = (value: unknown, path: readonly string[]): unknown => {
    if (++count > MOST_VALUES) refuse(path.slice(0, 1), `it holds more than ${MOST_VALUES} values`);
    if (typeof value !== "object" || value === null || value instanceof Date) return value;
    if (open.has(value)) refuse(path, "an alias refers to a value that contains it");
    open.add(value);
    let result: unknown;
    if (Array.isArray(value)) {
      result = value.map((item, i) => copy(item, [...path, String(i)]));
    } else {
      const prototype = Object.getPrototypeOf(value);
      if (prototype !== null && prototype !== Object.prototype) {
        refuse(path, "expected plain values; remove the YAML tag");
      }
      const mapping: Mapping = {};
      for (const key of Object.keys(value)) {
        put(mapping, key, copy((value as Mapping)[key], [...path, key]));
      }
      result = mapping;
    }
    open.delete(value);
    return result;
  };
  return copy(root, []);
}

/** One `--set a.b=c`. */
export interface Override {
  /** As it was written. */
  readonly text: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

/**
 * Reads `section.key=value`; the value is YAML, so that `5e-7`, `true`, `[a, b]` and an empty one
 * (null) mean what they mean in the file.
 *
 * @throws {ConfigError} When there is no `=`, the path has an empty part, or the value is not YAML
 */
export function readOverride(text: string): Override {
  const head = `Cannot read --set ${JSON.stringify(text)}`;
  const equals = text.indexOf("=");
  const path = text.slice(0, Math.max(equals, 0)).trim().split(".");
  if (equals < 0 || path.some((part) => part === "")) {
    throw new ConfigError(`${head}: expected "section.key=value"`);
  }
  const valueText = text.slice(equals + 1);
  return { text, path, value: plainCopy(parseYaml(valueText, head), head, valueText) ?? null };
}

/**
 * Lays an override over a tree, in place; sections that are missing are made.
 *
 * @throws {ConfigError} When the path leads through a value that is not a section
 */
export function applyOverride(tree: Mapping, override: Override): void {
  const { path, value, text } = override;
  let node = tree;
  for (const part of path.slice(0, -1)) {
    const child = Object.hasOwn(node, part) ? node[part] : undefined;
    if (child !== undefined && child !== null && !isMapping(child)) {
      throw new ConfigError(
        `Cannot apply --set ${JSON.stringify(text)}: "${part}" is not a section`,
      );
    }
    const next = child ?? {};
    put(node, part, next);
    node = next as Mapping;
  }
  put(node, path[path.length - 1], value);
}
