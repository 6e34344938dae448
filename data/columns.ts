/** Columns of a dataset under the names that this program reads: a table in the config says which is which. */
import { DataError } from "./error.ts";
import type { Row } from "./row_dataset.ts";

/** Names that rows are read by. */
export const ROW_KEYS = [
  "prompt",
  "prompt_messages",
  "conversations",
  "chosen",
  "rejected",
  "completion",
  "label",
  "messages",
  "text",
  "tools",
] as const;

/** Names that a column may be given; `system` becomes a turn before the prompt. */
export const COLUMN_KEYS = [
  "system",
  "prompt",
  "chosen",
  "rejected",
  "completion",
  "label",
  "messages",
  "text",
  "tools",
] as const;

/** For each name the column it stands in, or a path with dots into nested ones: `answers.0.text`. */
export type Columns = { readonly [key in typeof COLUMN_KEYS[number]]?: string };

/**
 * A row under the names that are read. Columns that are not mentioned keep theirs; nothing is read before
 * it is looked at.
 */
export function renameColumns(row: Row, columns: Columns): Row {
  const renamed = {};
  for (const key of ROW_KEYS) {
    const path = (columns as Record<string, string | undefined>)[key];
    if (path === undefined && !Object.hasOwn(row, key)) continue;
    const read = () => path === undefined ? row[key] : valueAt(row, path);
    const get = key === "prompt" && columns.system !== undefined
      ? () => withSystem(valueAt(row, columns.system!), read())
      : read;
    Object.defineProperty(renamed, key, { enumerable: true, get });
  }
  return renamed;
}

/**
 * Whether every column that is asked for is there; checked with the first row.
 *
 * @throws DataError which names the missing one and those that are there.
 */
export function checkColumns(row: Row, columns: Columns, place: string): void {
  for (const [key, path] of Object.entries(columns)) {
    if (path === undefined || valueAt(row, path) !== undefined) continue;
    throw new DataError(
      `Reading dataset "${place}": there is no column "${path}" for "${key}" ` +
        `(dataset.columns); the row has the keys "${Object.keys(row).join(", ")}"`,
    );
  }
}

/** The value of a column, or at a path; a column whose name holds the dots comes first. */
export function valueAt(row: Row, path: string): unknown {
  if (Object.hasOwn(row, path)) return row[path];
  let value: unknown = row;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) {
      return undefined;
    }
    value = (value as Row)[part];
  }
  return value;
}

/** A prompt as turns: the system's, where it says something, and the user's. */
export function withSystem(system: unknown, prompt: unknown): unknown {
  const said = typeof system === "string" && system.trim() !== "";
  const opening = said ? [{ role: "system", content: system }] : [];
  if (typeof prompt === "string") return [...opening, { role: "user", content: prompt }];
  return said && Array.isArray(prompt) ? [...opening, ...prompt] : prompt;
}

/**
 * A label that a table of texts holds, as a truth value: `true`, `False`, `1`, `0`, also `1.0` and `0.0`.
 * Anything else stays what it is.
 */
export function labelOfText(value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (/^\s*(true|1|1\.0)\s*$/i.test(value)) return true;
  if (/^\s*(false|0|0\.0)\s*$/i.test(value)) return false;
  return value;
}
