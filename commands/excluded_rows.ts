/** `--exclude-rows`: numbers of training rows that are left out, as the margin logs name them. */
import { UsageError } from "./exit_code.ts";

/**
 * Reads a file with a row number a line, or JSON lines with a `row` each. Blank lines, and those that
 * begin with #, are passed over.
 *
 * @throws UsageError when the file cannot be read or a line is something else, with its place
 */
export function readExcludedRows(path: string): number[] {
  const lines = readText(path).split("\n");
  const rows = new Set<number>();
  lines.forEach((line, i) => {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) return;
    const row = rowOf(text);
    if (row === undefined) {
      throw new UsageError(
        `Reading the rows to leave out, "${path}:${
          i + 1
        }": expected a row number or a JSON object ` +
          `with "row", found ${JSON.stringify(text.slice(0, 60))}`,
      );
    }
    rows.add(row);
  });
  if (rows.size === 0) {
    throw new UsageError(
      `Reading the rows to leave out, "${path}": there are none in it; leave --exclude-rows away ` +
        "to train on all rows",
    );
  }
  return [...rows].sort((a, b) => a - b);
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new UsageError(`Reading the rows to leave out, "${path}": ${error.message}`);
  }
}

function rowOf(text: string): number | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const row = typeof value === "object" && value !== null ? (value as { row: unknown }).row : value;
  return Number.isSafeInteger(row) && (row as number) >= 0 ? row as number : undefined;
}
