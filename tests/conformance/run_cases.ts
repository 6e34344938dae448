/**
 * Runs damaged inputs of one kind through the program's reader. Each must be read, or refused with one of
 * the program's own errors that names the file; anything else is kept in `found/`, which is read again
 * by every run.
 */
import { assertEquals } from "@std/assert";
import { DataError } from "../../data/error.ts";
import { ModelError } from "../../model/error.ts";

export interface Kind {
  /** The file's name in messages; files in `found/` are called by it. */
  readonly name: string;
  /** Cases of the long test. */
  readonly count: number;
  make(index: number): Uint8Array;
  /** Reads everything; throws one of the program's errors, or any other for what must not happen. */
  read(bytes: Uint8Array, file: string): void;
}

const FOUND = new URL("./found/", import.meta.url);

/** How an input was taken: "read", "refused", or what is wrong with it. */
export function verdict(kind: Kind, bytes: Uint8Array): string {
  try {
    kind.read(bytes, kind.name);
    return "read";
  } catch (error) {
    if (!(error instanceof ModelError || error instanceof DataError)) {
      return error instanceof Error ? error.stack ?? error.message : String(error);
    }
    return error.message.includes(kind.name) ? "refused" : `no file named: ${error.message}`;
  }
}

/** Runs `count` cases, spread over all; at least `leastRefused` of them (a share) must be refused. */
export function runCases(kind: Kind, count: number, leastRefused: number): void {
  const wrong: string[] = [];
  let refused = 0;
  for (let n = 0; n < count && wrong.length < 5; n++) {
    const index = Math.floor(n * kind.count / count);
    const bytes = kind.make(index);
    const text = verdict(kind, bytes);
    if (text === "refused") refused++;
    else if (text !== "read") {
      wrong.push(`case ${index}: ${text.slice(0, 1500)}`);
      keep(kind, index, bytes);
    }
  }
  assertEquals(wrong, []);
  // A generator that damages nothing, or only what nobody looks at, tests nothing; so does a reader
  // that refuses everything.
  const share = refused / count;
  assertEquals(share >= leastRefused && share < 0.99, true, `${refused} of ${count} refused`);
}

function keep(kind: Kind, index: number, bytes: Uint8Array): void {
  if (Deno.permissions.querySync({ name: "write" }).state !== "granted") return;
  Deno.mkdirSync(FOUND, { recursive: true });
  Deno.writeFileSync(new URL(`${index}-${kind.name}.bin`, FOUND), bytes);
}

/** Files that once were taken wrongly. */
export function foundFiles(kind: Kind): { readonly name: string; readonly bytes: Uint8Array }[] {
  return [...Deno.readDirSync(FOUND)].filter(({ name }) => name.endsWith(`-${kind.name}.bin`))
    .map(({ name }) => ({ name, bytes: Deno.readFileSync(new URL(name, FOUND)) }));
}
