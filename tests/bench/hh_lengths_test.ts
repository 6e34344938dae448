/** The committed lengths of real rows, how they are chosen, and how they pack. */
import { assert, assertEquals } from "@std/assert";
import { randomExamples, STEPS } from "../../bench/cases.ts";
import { HH_LENGTHS } from "../../bench/hh_lengths.ts";
import { sizesOf } from "../../bench/work.ts";
import { packExamples } from "../../model/pack.ts";
import { chooseRows, type Lengths, pairLengths } from "../../tools/hh_lengths.ts";

const words = (text: string) => text.split(/\s+/).filter((word) => word !== "").length;

Deno.test("a transcript is cut after its last 'Assistant:', and an answer's end is a token", () => {
  const prompt = "\n\nHuman: a b\n\nAssistant: c\n\nHuman: d\n\nAssistant:";
  const chosen = `${prompt} e f g`, rejected = `${prompt} h`;
  assertEquals(pairLengths({ chosen, rejected }, words), [8, 4, 2]);
});

Deno.test("rows with two prompts, or an empty answer, are not taken", () => {
  const chosen = "\n\nHuman: a\n\nAssistant: b";
  assertEquals(pairLengths({ chosen, rejected: "\n\nHuman: x\n\nAssistant: b" }, words), undefined);
  assertEquals(pairLengths({ chosen, rejected: "\n\nHuman: a\n\nAssistant: " }, words), undefined);
});

Deno.test("the first 64 rows are taken that fit 256 tokens with either answer", () => {
  const fits = (i: number): Lengths => [200, 56, 1 + i % 56];
  const rows = Array.from({ length: 70 }, (_, i) => fits(i));
  assertEquals(chooseRows([undefined, [200, 1, 57], [200, 57, 1], ...rows]), rows.slice(0, 64));
});

Deno.test("the committed rows are such rows", () => {
  assertEquals(chooseRows(HH_LENGTHS), [...HH_LENGTHS]);
  assertEquals(HH_LENGTHS.length, 64);
  assert(HH_LENGTHS.flat().every((tokens) => Number.isInteger(tokens) && tokens > 1));
});

Deno.test("the eight pairs of the DPO steps have the tokens that the bench says", () => {
  for (const { rows } of STEPS.filter(({ kind }) => kind === "dpo")) {
    const examples = randomExamples(rows, 1000), { tokens, run, scored } = sizesOf(examples, true);
    assertEquals(tokens, 2176, "272 a pair, the prompt with each answer");
    const pack = packExamples(examples, true);
    assertEquals([pack.tokens, pack.scored], [run, scored]);
    assertEquals(run, rows.flat().reduce((a, b) => a + b, 0));
  }
});

Deno.test("random ids are the same in every run and use the whole vocabulary", () => {
  const [first, second] = [0, 1].map(() => randomExamples([[400, 300, 300]], 16));
  assertEquals(first, second);
  assertEquals(new Set(first[0].prompt).size, 16);
  assert(first[0].answers[0].ids.every((id) => id < 16));
});
