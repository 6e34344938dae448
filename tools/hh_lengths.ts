/**
 * Writes `bench/hh_lengths.ts`: the lengths in tokens of 64 rows of Anthropic's HH data, so that the bench
 * runs on real lengths without the texts. By hand, from a file of `{chosen, rejected}` transcripts:
 *
 *     deno run --no-lock --allow-read --allow-write=bench tools/hh_lengths.ts FILE.jsonl.gz
 *
 * The tokenizer is GPT-2's, out of an npm package that nothing else here needs.
 *
 * @module
 */

const TOKENIZER = "npm:gpt-3-encoder@1.1.4";
const ROWS = 64;
/** Tokens of the longest sequence that is taken. */
const LONGEST = 256;
const ANSWER = "\n\nAssistant:";

/** Tokens of prompt, chosen and rejected answer; the end of an answer is one token more. */
export type Lengths = readonly [prompt: number, chosen: number, rejected: number];

/** The lengths of a pair of transcripts; undefined where the prompts differ or an answer is empty. */
export function pairLengths(
  { chosen, rejected }: { readonly chosen: string; readonly rejected: string },
  count: (text: string) => number,
): Lengths | undefined {
  const ends = [chosen, rejected].map((text) => text.lastIndexOf(ANSWER) + ANSWER.length);
  const prompt = chosen.slice(0, ends[0]);
  const answers = [chosen.slice(ends[0]), rejected.slice(ends[1])];
  if (rejected.slice(0, ends[1]) !== prompt || answers.some((a) => a.trim() === "")) {
    return undefined;
  }
  return [count(prompt), count(answers[0]) + 1, count(answers[1]) + 1];
}

/** The first `ROWS` usable rows that are not too long. */
export function chooseRows(rows: Iterable<Lengths | undefined>): Lengths[] {
  const chosen: Lengths[] = [];
  for (const lengths of rows) {
    if (!lengths || lengths[0] + Math.max(lengths[1], lengths[2]) > LONGEST) continue;
    chosen.push(lengths);
    if (chosen.length === ROWS) break;
  }
  return chosen;
}

function source(rows: readonly Lengths[]): string {
  return `/**
 * Tokens of prompt, chosen and rejected answer of the first ${ROWS} usable rows of Anthropic's HH data
 * (harmless-base, test) with at most ${LONGEST} tokens a sequence, counted by GPT-2's tokenizer, the end of
 * an answer included. Written by tools/hh_lengths.ts.
 */
export const HH_LENGTHS: readonly (readonly [prompt: number, chosen: number, rejected: number])[] = [
${rows.map((row) => `  [${row.join(", ")}],`).join("\n")}
];
`;
}

async function main(): Promise<void> {
  const { encode } = (await import(TOKENIZER)).default as { encode(text: string): number[] };
  const file = (await Deno.open(Deno.args[0])).readable;
  const text = await new Response(file.pipeThrough(new DecompressionStream("gzip"))).text();
  const rows = text.trim().split("\n").map((line) => JSON.parse(line));
  const chosen = chooseRows(rows.values().map((row) => pairLengths(row, (t) => encode(t).length)));
  await Deno.writeTextFile("bench/hh_lengths.ts", source(chosen));
}

if (import.meta.main) await main();
