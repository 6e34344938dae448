// Training data without some rows.
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { DataError } from "../../data/error.ts";
import { loadDataset } from "../../data/load.ts";
import { withoutRows } from "../../data/without_rows.ts";
import { openRowTexts } from "../../data/row_texts.ts";
import type { TextTokenizer } from "../../data/tokenizer.ts";

/** A token a character. */
const tokenizer = {
  name: "characters",
  eosId: 0,
  eosToken: "",
  encode: (text: string) => Uint32Array.from(text, (c) => c.charCodeAt(0)),
} as unknown as TextTokenizer;

const rows = Array.from({ length: 10 }, (_, i) => ({
  prompt: `prompt ${i}`,
  chosen: "y".repeat(i + 1),
  rejected: "n",
}));
const source = { name: "rows", text: rows.map((row) => JSON.stringify(row)).join("\n") };

function load(kept = rows) {
  const text = kept.map((row) => JSON.stringify(row)).join("\n");
  return loadDataset({ source: { name: "rows", text }, use: "pairs", seed: 1, tokenizer });
}

Deno.test("the rows are gone, the others keep their numbers, and the report says so", async () => {
  const all = await load();
  const some = withoutRows(all, [7, 2]);
  const numbers = Array.from({ length: some.train.length }, (_, i) => some.train.get(i).row);
  assertEquals(numbers, [0, 1, 3, 4, 5, 6, 8, 9]);
  assertEquals(some.train.text(2).row, 3);
  const { kept, dropped, tokens, scoredTokens, sharedTokens } = some.report.train;
  const alone = (await load(rows.filter((_, i) => i !== 2 && i !== 7))).report.train;
  assertEquals([kept, tokens, scoredTokens, sharedTokens], [
    alone.kept,
    alone.tokens,
    alone.scoredTokens,
    alone.sharedTokens,
  ]);
  assertEquals(Object.values(dropped), [2]);
  assert(withoutRows(all, []) === all);
});

Deno.test("other rows left out are other data, in whatever order they are named", async () => {
  const all = await load();
  const key = (...out: number[]) => withoutRows(all, out).train.fingerprint;
  assertEquals(key(2, 7), key(7, 2));
  assertNotEquals(key(2), key(7));
  assertNotEquals(key(2), all.train.fingerprint);
});

Deno.test("rows that do not exist are refused, and so is leaving out all", async () => {
  const all = await load();
  assertThrows(() => withoutRows(all, [3, 10, 11]), DataError, "2 of them are no training rows");
  assertThrows(() => withoutRows(all, [3, 10, 11]), DataError, "(10, 11)");
  const every = rows.map((_, i) => i);
  assertThrows(() => withoutRows(all, every), DataError, "every training row is left out");
});

Deno.test("texts of single rows are read for people; what is no pair has none", async () => {
  const texts = await openRowTexts([{ source }], "explicit");
  assertEquals(texts.pair(1), { prompt: "prompt 1", chosen: "yy", rejected: "n" });
  assertEquals([texts.pair(10), texts.pair(-1)], [undefined, undefined]);
  texts.close();
  const one = { name: "odd", text: '{"prompt":"p","chosen":"c"}' };
  const odd = await openRowTexts([{ source: one }, { source }], "explicit");
  assertEquals(odd.pair(0), undefined);
  // Rows of a second dataset go on after the first.
  assertEquals(odd.pair(2)?.prompt, "prompt 1");
});
