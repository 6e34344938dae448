/** Tests over many malformed files of each kind; how many is up to the file that runs them. */
import { assert, assertEquals } from "@std/assert";
import {
  assertSameRows,
  Choices,
  csv,
  damage,
  golden,
  jsonArray,
  jsonLines,
  loadRows,
  type Oracle,
  parquetFiles,
  readCsv,
  readJsonArray,
  readJsonLines,
  readRows,
} from "./malformed.ts";

/** Memory that may be in use beyond what it was before, in bytes; the collector is not asked to hurry. */
const MAX_GROWTH = 512 * 2 ** 20;

const TEXT_KINDS: [string, (choices: Choices) => Uint8Array, Oracle][] = [
  ["rows.jsonl", jsonLines, readJsonLines],
  ["rows.json", jsonArray, readJsonArray],
  ["rows.csv", csv, readCsv],
];

/** Registers one test a kind. */
export function checkFormats({ count, seed }: { count: number; seed: number }): void {
  for (const [name, make, oracle] of TEXT_KINDS) {
    Deno.test(`${count} files ${name}: refused in words, or read as a plainer reader does`, async () => {
      const watch = watchMemory();
      let read = 0;
      for (let i = 0; i < count; i++) {
        const choices = new Choices(seed, i);
        const bytes = make(choices);
        const rows = await readRows(bytes, name);
        try {
          assertSameRows(rows, oracle(bytes));
        } catch (error) {
          throw new Error(`input ${i}: ${JSON.stringify(new TextDecoder().decode(bytes))}`, {
            cause: error,
          });
        }
        if (rows) read++;
        await loadRows(bytes, choices, name);
        if (i % 64 === 0) watch();
      }
      // Neither all nor none: the test would say little.
      assert(read > count * 0.1 && read < count * 0.9, `${read} of ${count} were read`);
    });
  }
  Deno.test(`${count} damaged Parquet files: refused in words, or whole rows`, async () => {
    const watch = watchMemory();
    const files = parquetFiles();
    let read = 0;
    for (let i = 0; i < count; i++) {
      const choices = new Choices(seed, i);
      const { name, bytes: whole } = choices.of(files);
      const bytes = damage(whole, choices, 1);
      const rows = await readRows(bytes, "rows.parquet");
      if (rows) read++;
      for (const row of rows ?? []) JSON.stringify(row);
      if (name === "checksums") checkPages(whole, bytes, rows);
      await loadRows(bytes, choices, "rows.parquet");
      if (i % 16 === 0) watch();
    }
    assert(read > 0 && read < count * 0.9, `${read} of ${count} were read`);
  });
}

/** With checksums, no damage outside of the footer may become a value. */
function checkPages(whole: Uint8Array, bytes: Uint8Array, rows: unknown[] | undefined): void {
  if (rows === undefined) return;
  const length = new DataView(whole.buffer, whole.byteOffset).getUint32(whole.length - 8, true);
  const tail = length + 8;
  const sameFooter = bytes.length === whole.length &&
    bytes.subarray(-tail).every((byte, i) => byte === whole[whole.length - tail + i]);
  if (sameFooter) assertEquals(rows, golden.rows);
}

/** Of this isolate alone: other test files may run in the same process. */
function usedMemory(): number {
  const { heapTotal, external } = Deno.memoryUsage();
  return heapTotal + external;
}

function watchMemory(): () => void {
  const before = usedMemory();
  return () => {
    const grown = usedMemory() - before;
    assert(grown < MAX_GROWTH, `${grown} bytes more are in use than before`);
  };
}
