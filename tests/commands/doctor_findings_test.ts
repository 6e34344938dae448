import { assertEquals } from "@std/assert";
import { examine, type Findings } from "../../commands/doctor_findings.ts";
import { pageLines } from "../../commands/doctor_page.ts";
import { rowLines, sampleRows } from "../../commands/doctor_tokens.ts";
import { doctorWarnings } from "../../commands/doctor_warnings.ts";
import { loadDataset } from "../../data/load.ts";
import type { TokenLimits } from "../../data/tokenize.ts";
import { BOS, EOS, tinyTokenizer } from "../data/tiny_tokenizer.ts";

const tokenizer = tinyTokenizer({ merges: [["?", "b"]] });

async function examineRows(rows: readonly Record<string, unknown>[], limits?: TokenLimits) {
  const text = rows.map((row) => JSON.stringify(row)).join("\n");
  const source = { name: "rows.jsonl", text };
  const loaded = await loadDataset({ source, use: "pairs", seed: 1, tokenizer, limits });
  return { ...loaded, findings: examine(loaded.train, tokenizer) };
}

const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected });

Deno.test("examine() counts repeated rows and prompts, reversed pairs and identical answers", async () => {
  const { findings } = await examineRows([
    pair("a", "b", "c"),
    pair("a", "b", "c"),
    pair("a", "c", "b"),
    pair("a", "d", "d"),
    pair("a", "d", "d"),
    pair("e", "b", "c"),
  ]);
  assertEquals(findings.duplicates, { rows: 2, prompts: 4, reversed: 1 });
  assertEquals(findings.identical, 2);
});

Deno.test("examine() measures how often the longer answer is chosen", async () => {
  const { findings } = await examineRows([
    pair("a", "bcd", "e"),
    pair("b", "bcd", "e"),
    pair("c", "b", "cde"),
    pair("d", "bc", "de"),
  ]);
  // Each answer has its letters and the end-of-text token.
  assertEquals(findings.lengths, {
    pairs: 4,
    chosenLonger: 2,
    sameLength: 1,
    meanChosen: (4 + 4 + 2 + 3) / 4,
    meanRejected: (2 + 2 + 4 + 3) / 4,
  });
});

Deno.test("examine() finds tokens across the border, doubled BOS and EOS inside answers", async () => {
  const { findings, train } = await examineRows([
    pair("a", "b", "c"),
    pair("a?", "bc", "cc"),
    pair("<s><s>a", "b", "c"),
    pair("z", "b</s>c", "b</s>"),
  ]);
  assertEquals(train.length, 4);
  assertEquals(findings.mergedBorders, 1);
  assertEquals(findings.firstMergedRow, 1);
  assertEquals([findings.bosTwice, findings.bosMissing, findings.eosInside], [1, 0, 1]);
  const bare = examine(train, { eosId: EOS, bosId: 9, encode: (text) => tokenizer.encode(text) });
  assertEquals(bare.bosMissing, 4);
});

Deno.test("examine() tells what truncation took", async () => {
  const { findings } = await examineRows([
    pair("abc", "defgh", "i"),
    pair("a", "b", "c"),
  ], { maxPromptLength: 2, maxCompletionLength: 3 });
  // Of <s>abc two tokens go for both answers, of defgh</s> three.
  assertEquals(findings.truncation, { rows: 1, sequences: 2, tokens: 7, most: 5, endsLost: 1 });
});

Deno.test("sampleRows() marks the tokens that are scored", async () => {
  const rows = Array.from({ length: 7 }, (_, i) => pair(`p${i}`, "yes", "no"));
  const { train } = await examineRows(rows);
  const shown = sampleRows(train, tokenizer);
  assertEquals(shown.map(({ row }) => row), [0, 3, 6]);
  const [{ answers: [chosen] }] = shown;
  assertEquals(chosen.tokens.map(({ text }) => text).join(""), "<s>p0yes</s>");
  assertEquals(chosen.tokens.map(({ scored }) => Number(scored)), [0, 0, 0, 1, 1, 1, 1]);
  assertEquals(chosen.tokens[0].id, BOS);
  const lines = rowLines(shown[0], false);
  assertEquals(lines[4].trim(), "<s>|p|0|[y][e][s][</s>]");
  assertEquals(lines.some((line) => line.includes("\x1b")), false);
  assertEquals(rowLines(shown[0], true)[4].includes("\x1b[32m[y]\x1b[0m"), true);
});

Deno.test("doctorWarnings() says what is unusual and nothing else; the page says all", async () => {
  const good = await examineRows([pair("a", "bb", "c"), pair("b", "c", "dd")]);
  const eos = { tokenizer, eosIds: [EOS], prompt: "a" };
  const exam = (findings: Findings) => ({ train: { report: good.report.train, findings } });
  assertEquals(doctorWarnings(exam(good.findings), eos), []);
  assertEquals(doctorWarnings(exam(good.findings), { ...eos, eosIds: [7] }).length, 1);
  assertEquals(doctorWarnings(exam(good.findings), { ...eos, prompt: "<|user|> a <|user|>" }), [
    '"<|user|>" in the prompts is no token of this model but 8: choose the chat template it was ' +
    "trained with",
  ]);
  const bad: Findings = {
    ...good.findings,
    duplicates: { rows: 1, prompts: 1, reversed: 1 },
    identical: 1,
    lengths: { pairs: 4, chosenLonger: 3, sameLength: 0, meanChosen: 3, meanRejected: 2 },
    mergedBorders: 1,
    bosTwice: 1,
    eosInside: 1,
    truncation: { rows: 1, sequences: 1, tokens: 1, most: 1, endsLost: 1 },
  };
  const warnings = doctorWarnings(exam(bad), eos);
  assertEquals(warnings.length, 8);
  const page = pageLines({
    config: "c",
    mode: "dpo",
    trainable: false,
    problems: ["the problem"],
    warnings,
    ...exam(bad),
  }, false).join("\n");
  for (const text of ["chosen is longer    3 of 4 (75.0 %)", "the problem", "Not ready to train"]) {
    assertEquals(page.includes(text), true, text);
  }
});
