/**
 * Fails when a source file is longer than one thing needs to be. Tests are exempt: their length is
 * mostly tables.
 *
 *     deno run --allow-read tools/check_size.ts [folder]
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { readFiles } from "./source_files.ts";

/** Lines a file may have. */
export const LINE_LIMIT = 400;

/** True for the files the limit is meant for. */
export function isLimited(path: string): boolean {
  return /\.(ts|wgsl)$/.test(path) && !path.startsWith("tests/");
}

/** Files over the limit with their number of lines, longest first. */
export function findLongFiles(files: ReadonlyMap<string, string>): [path: string, lines: number][] {
  const long: [string, number][] = [];
  for (const [path, text] of files) {
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    if (isLimited(path) && lines > LINE_LIMIT) long.push([path, lines]);
  }
  return long.sort((a, b) => b[1] - a[1]);
}

if (import.meta.main) {
  const root = Deno.args[0] ?? fileURLToPath(new URL("..", import.meta.url));
  const long = findLongFiles(readFiles(root, isLimited));
  for (const [path, lines] of long) console.error(`${path} has ${lines} lines`);
  if (long.length > 0) {
    console.error(`${long.length} files have more than ${LINE_LIMIT} lines; split them`);
    Deno.exit(1);
  }
}
