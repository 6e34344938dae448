import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { answer, type Manner, poorManners } from "../../tools/example/answers.ts";
import { freshPrompt, jsonLines, makeExample } from "../../tools/example/datasets.ts";
import { drawPrompt, makers } from "../../tools/example/prompts.ts";
import { Draws } from "../../tools/example/random.ts";

const mark = "\n\nAssistant:";
const options = { seed: 1, pairs: 2400, heldout: 240, sft: 5000, flipped: 0 };
const data = makeExample(options);

/** Prompt up to the last assistant mark, and the two answers. */
function split(row: { readonly chosen: string; readonly rejected: string }) {
  const end = row.chosen.lastIndexOf(mark) + mark.length;
  return {
    prompt: row.chosen.slice(0, end),
    chosen: row.chosen.slice(end),
    rejected: row.rejected.slice(end),
    shared: row.rejected.startsWith(row.chosen.slice(0, end)),
  };
}

async function sha256(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

Deno.test("example data: two runs of one seed have equal bytes, another seed has others", async () => {
  const again = makeExample(options);
  const other = makeExample({ ...options, seed: 2 });
  for (const set of ["pairs", "heldout", "sft"] as const) {
    const hash = await sha256(jsonLines(data[set]));
    assertEquals(await sha256(jsonLines(again[set])), hash);
    assertNotEquals(await sha256(jsonLines(other[set])), hash);
  }
});

Deno.test("example data: the sizes are those asked for and a larger set begins with a smaller", () => {
  const small = makeExample({ ...options, pairs: 50, sft: 70 });
  assertEquals([data.pairs.length, data.heldout.length, data.sft.length], [2400, 240, 5000]);
  assertEquals(small.pairs, data.pairs.slice(0, 50));
  assertEquals(small.heldout, data.heldout);
  assertEquals(small.sft, data.sft.slice(0, 70));
});

Deno.test("example data: every pair is two HH transcripts with one prompt and non-empty answers", () => {
  const turns = /^(\n\nHuman: [^\n]+\n\nAssistant: [^\n]+)?\n\nHuman: [^\n]+\n\nAssistant:$/;
  for (const row of [...data.pairs, ...data.heldout]) {
    const { prompt, chosen, rejected, shared } = split(row);
    assert(shared, row.rejected);
    assert(turns.test(prompt), prompt);
    for (const text of [chosen, rejected]) assert(/^ \S([^\n]*\S)?$/.test(text), text);
    assertNotEquals(chosen, rejected);
  }
  for (const { prompt, completion } of data.sft) {
    assert(turns.test(prompt), prompt);
    assert(/^ \S([^\n]*\S)?$/.test(completion), completion);
  }
});

Deno.test("example data: no text says `a` before a vowel or repeats a word", () => {
  const slips = /\b(a [aeio]\w*|an [^aeioh]\w*|(\w+) \2)\b/i;
  for (const row of data.pairs) {
    for (const text of [row.chosen, row.rejected]) assertEquals(text.match(slips)?.[0], undefined);
  }
});

Deno.test("example data: about a fifth of the prompts has two turns", () => {
  const two = data.pairs.filter((row) => split(row).prompt.split("\n\nHuman:").length === 3).length;
  // 2,400 draws at 0.2: four standard deviations are 78.
  assertLess(Math.abs(two - 480), 78);
});

Deno.test("example data: no held-out prompt is trained on, no prompt comes twice in a set", () => {
  const heldout = new Set(data.heldout.map((row) => split(row).prompt));
  const pairs = new Set(data.pairs.map((row) => split(row).prompt));
  const sft = new Set(data.sft.map((row) => row.prompt));
  assertEquals([heldout.size, pairs.size, sft.size], [240, 2400, 5000]);
  assertEquals(heldout.intersection(pairs).size, 0);
  assertEquals(heldout.intersection(sft).size, 0);
});

Deno.test("example data: flipping changes labels only, and a larger share flips the same rows and more", () => {
  const flippedRows = (flipped: number) => {
    const noisy = makeExample({ ...options, flipped });
    assertEquals(noisy.heldout, data.heldout);
    assertEquals(noisy.sft, data.sft);
    return new Set(noisy.pairs.flatMap((row, i) => {
      const clean = data.pairs[i];
      const swapped = row.chosen === clean.rejected && row.rejected === clean.chosen;
      assert(swapped || (row.chosen === clean.chosen && row.rejected === clean.rejected));
      return swapped ? [i] : [];
    }));
  };
  const fifth = flippedRows(0.2);
  const half = flippedRows(0.5);
  // Four standard deviations of 2,400 draws: 78 at 0.2, 98 at 0.5.
  assertLess(Math.abs(fifth.size - 480), 78);
  assertLess(Math.abs(half.size - 1200), 98);
  assert(fifth.isSubsetOf(half));
  assertEquals(flippedRows(1).size, 2400);
});

Deno.test("example data: answers vary, chosen ones more than 85 % and rejected ones more than 60 %", () => {
  const rows = data.pairs.map(split);
  const share = (texts: string[]) => new Set(texts).size / texts.length;
  assertGreater(share(rows.map((row) => row.chosen)), 0.85);
  assertGreater(share(rows.map((row) => row.rejected)), 0.6);
  assertGreater(share(data.sft.map((row) => row.completion)), 0.65);
});

Deno.test("example data: half of the first stage's rows are answered well", () => {
  // A row is drawn with its manner hidden, but only a good or a false answer has two sentences after
  // a polite opening; curt, rude, vague and rambling ones never open so.
  const polite =
    /^ (Good question|I am glad to help|Thank you for asking|Let me help you|Gladly|Of course|Certainly|With pleasure|Hello|Good morning|Good evening)\. /;
  const share = data.sft.filter((row) => polite.test(row.completion)).length / data.sft.length;
  // Good (0.5) and false (about 0.075) answers, of which 0.8 to 0.9 begin with an opening.
  assertGreater(share, 0.44);
  assertLess(share, 0.52);
});

Deno.test("example data: every kind of scene has every manner, and wrong differs from right", () => {
  for (const [index, maker] of makers.entries()) {
    for (let i = 0; i < 40; i++) {
      const scene = maker(new Draws(7, `kinds/${index}/${i}`));
      const prompt = { scene, text: "", greeting: "" };
      const manners: readonly Manner[] = ["good", ...poorManners];
      for (const manner of manners) {
        const text = answer(prompt, manner, new Draws(7, `manners/${index}/${i}`));
        assert(!/undefined|NaN|\s\s|\bno coin/.test(text), text);
        assert(/^[A-Z].*[.?]$/.test(text), text);
      }
      for (const right of scene.right) assert(!scene.wrong.includes(right), right);
    }
  }
});

Deno.test("example data: a sum in a good answer is right", () => {
  const words =
    "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen " +
    "fifteen sixteen seventeen eighteen nineteen twenty";
  const value = (word: string) => words.split(" ").indexOf(word.toLowerCase());
  let sums = 0;
  for (const { chosen } of data.pairs.map(split)) {
    const found = chosen.match(/(\w+) (and|less|times) (\w+) (?:make|is) (\w+)\./);
    if (found === null) continue;
    const [, a, word, b, c] = found;
    const result = word === "and"
      ? value(a) + value(b)
      : word === "less"
      ? value(a) - value(b)
      : value(a) * value(b);
    assertEquals(value(c), result, chosen);
    // The number the answer states is the result as well, not only the reason's.
    assertGreater(chosen.toLowerCase().split(/\W+/).filter((w) => w === c).length, 1, chosen);
    sums++;
  }
  assertGreater(sums, 150);
});

Deno.test("example data: a prompt is the same however its stream was reached", () => {
  const first = drawPrompt(new Draws(3, "prompt/pairs/17"));
  new Draws(3, "prompt/pairs/16").uniform();
  assertEquals(drawPrompt(new Draws(3, "prompt/pairs/17")), first);
  assertNotEquals(drawPrompt(new Draws(3, "prompt/sft/17")).text, first.text);
});

Deno.test("example data: a world without new prompts is an error that names the row", () => {
  class Everything extends Set<string> {
    override has() {
      return true;
    }
  }
  const draw = () => freshPrompt("pairs", 12, 1, new Everything());
  assertThrows(draw, RangeError, 'Making row 12 of "pairs"');
});
