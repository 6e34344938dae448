/** Attention over packed sequences: against float64, and bit by bit wherever a sequence lies. */
import { assertEquals } from "@std/assert";
import type { Pack } from "../../model/pack.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { attention, attentionBackward, sees } from "../reference/attention.ts";
import { fill, type Kind, KINDS, Random } from "../reference/random.ts";
import {
  attend,
  type AttentionInputs,
  type AttentionResult,
  type Heads,
  packOf,
  shapeOf,
  variantOf,
} from "./attend.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
/**
 * Key/value heads equal to the heads, fewer, one; head sizes of each block size. Not 64 and more: the
 * generated text only grows, and software Vulkan compiles it for 8 seconds.
 */
const HEADS: readonly Heads[] = [
  { heads: 1, keyValueHeads: 1, headDim: 4 },
  { heads: 4, keyValueHeads: 2, headDim: 8 },
  { heads: 3, keyValueHeads: 3, headDim: 12 },
  { heads: 3, keyValueHeads: 1, headDim: 32 },
];
/** [prompt, answers...] of each example: one token, primes, over a workgroup, shared and ragged. */
const PACKS: readonly { name: string; pack: Pack }[] = [
  { name: "one token", pack: packOf([[0, 1]]) },
  { name: "7 tokens", pack: packOf([[0, 7]]) },
  { name: "47 tokens", pack: packOf([[0, 47]]) },
  { name: "67 tokens", pack: packOf([[0, 67]]) },
  { name: "three sequences", pack: packOf([[0, 13], [0, 1], [0, 31]]) },
  { name: "a shared prompt", pack: packOf([[5, 3, 7]]) },
  { name: "shared prompts, ragged", pack: packOf([[13, 1, 7], [1, 2, 3, 4], [0, 5], [31, 2]]) },
  { name: "prompts not shared", pack: packOf([[13, 1, 7], [1, 2, 3]], false) },
];

function makeInputs(tokens: number, h: Heads, kind: Kind, seed: number): AttentionInputs {
  const random = new Random(seed), { heads, keyValueHeads, headDim } = h;
  // Scores of 1e6 would make o depend on the last bit of q; large q and k give scores of about 30.
  const scores = (rows: number) =>
    kind === "large" ? random.normals(rows * headDim, 4) : fill(random, kind, rows, headDim);
  return {
    q: scores(tokens * heads),
    k: scores(tokens * keyValueHeads),
    v: fill(random, kind, tokens * keyValueHeads, headDim),
    dO: fill(random, kind, tokens * heads, headDim),
  };
}

const name = (h: Heads) => `${h.heads} heads of ${h.headDim} on ${h.keyValueHeads}`;
const RESULTS: readonly AttentionResult[] = ["o", "stats", "dq", "dk", "dv"];

/** The log-sum-exp of stats. */
const lseOf = (stats: Float32Array) => stats.filter((_, i) => i % 2 === 0);

/** Against float64, at every pack and kind of values. */
async function assertAccurate(h: Heads): Promise<void> {
  const cases = PACKS.flatMap(({ name, pack }, p) =>
    KINDS.map((kind, i) => ({
      place: `${name}, ${kind}`,
      pack,
      x: makeInputs(pack.tokens, h, kind, 10 * p + i),
    }))
  );
  const found = await rig.finish(cases.map(({ pack, x }) => attend(rig, pack, variantOf(h), x)));
  for (const [i, { place, pack, x }] of cases.entries()) {
    const shape = shapeOf(pack, h), { o, lse } = attention(x.q, x.k, x.v, shape);
    assertClose(found[i].o, o, FORWARD, "attention o", place);
    // log-sum-exps of single keys cancel to zero; scores are of size 1.
    assertClose(lseOf(found[i].stats), lse, { ...FORWARD, scale: 1 }, "attention lse", place);
    const expected = attentionBackward(x.q, x.k, x.v, x.dO, shape);
    // Where a query sees one key, dq and dk cancel exactly; `scale` is the size of their terms.
    const size = Math.max(...[x.q, x.k].map(rms)) * rms(x.v) * rms(x.dO);
    for (const result of ["dq", "dk", "dv"] as const) {
      const bounds = result === "dv" ? BACKWARD : { ...BACKWARD, scale: size };
      assertClose(found[i][result], expected[result], bounds, `attention ${result}`, place);
    }
  }
}

for (const h of HEADS) {
  const title = `attention equals float64 at 8 packs, 5 seeds, ${name(h)}`;
  // Inputs in textures compile even longer, and differ in nothing but how they are read.
  if (h.headDim <= 8) rig.test(title, () => assertAccurate(h));
  else Deno.test(title, () => assertAccurate(h));
}

function rms(x: Float32Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length);
}

const GROUPED = HEADS[1];

/** The rows of `tokens` in every array; the width of a row is that of q or of k. */
function pick(x: AttentionInputs, tokens: readonly number[], h: Heads): AttentionInputs {
  const rows = (data: Float32Array, heads: number) => {
    const width = heads * h.headDim;
    return Float32Array.from(tokens.flatMap((t) => [...data.subarray(t * width, (t + 1) * width)]));
  };
  return {
    q: rows(x.q, h.heads),
    k: rows(x.k, h.keyValueHeads),
    v: rows(x.v, h.keyValueHeads),
    dO: rows(x.dO, h.heads),
  };
}

const WIDTHS: Readonly<Record<AttentionResult, (h: Heads) => number>> = {
  o: (h) => h.heads * h.headDim,
  stats: (h) => h.heads * 2,
  dq: (h) => h.heads * h.headDim,
  dk: (h) => h.keyValueHeads * h.headDim,
  dv: (h) => h.keyValueHeads * h.headDim,
};

Deno.test("every block size gives the same bits, and so does a second run", async () => {
  // No kernel depends on both: these three pairs are all kernels there are.
  const blocks = [[1, 1], [2, 2], [4, 4]];
  for (const { name, pack } of [PACKS[6], PACKS[3]]) {
    const x = makeInputs(pack.tokens, GROUPED, "normal", 1);
    const variants = [...blocks, blocks[0]].map(([q, k]) => variantOf(GROUPED, q, k));
    const found = await rig.finish(variants.map((v) => attend(rig, pack, v, x)));
    for (const [i, v] of variants.entries()) {
      for (const result of RESULTS) {
        const place = `${result}, ${name}, blocks ${v.queryBlock} and ${v.keyBlock}`;
        assertSameBits(found[i][result], found[0][result], place);
      }
    }
  }
});

for (const [query, key] of [[4, 2], [2, 1]]) {
  rig.sameBits(`attention, blocks ${query} and ${key},`, async () => {
    const { pack } = PACKS[6], x = makeInputs(pack.tokens, GROUPED, "normal", 6);
    const [found] = await rig.finish([attend(rig, pack, variantOf(GROUPED, query, key), x)]);
    return found;
  });
}

Deno.test("a sequence has the same bits alone, packed, and at other offsets", async () => {
  // The same example [9, 6, 11] alone, behind others, and before others.
  const example = [9, 6, 11], length = 26, v = variantOf(GROUPED);
  const alone = packOf([example]), x = makeInputs(length, GROUPED, "normal", 2);
  const packs = [[], [[0, 1]], [[0, 2]], [[0, 3]], [[3, 5, 1], [0, 61]]].map((before) => ({
    at: before.flat().reduce((a, b) => a + b, 0),
    pack: packOf([...before, example, [2, 7, 1]]),
  }));
  const filled = packs.map(({ at, pack }) => {
    const all = makeInputs(pack.tokens, GROUPED, "large", 100 + at);
    for (const part of ["q", "k", "v", "dO"] as const) {
      all[part].set(x[part], at * x[part].length / length);
    }
    return attend(rig, pack, v, all);
  });
  const [first, ...found] = await rig.finish([attend(rig, alone, v, x), ...filled]);
  for (const [i, { at }] of packs.entries()) {
    for (const result of RESULTS) {
      const width = WIDTHS[result](GROUPED);
      const part = found[i][result].slice(at * width, (at + length) * width);
      assertSameBits(part, first[result], `${result} at offset ${at}`);
    }
  }
});

Deno.test("an answer behind a shared prompt equals the whole sequence", async () => {
  const shared = packOf([[9, 6, 11]]), v = variantOf(GROUPED);
  const x = makeInputs(26, GROUPED, "normal", 3);
  const second = [...Array(9).keys(), ...Array.from({ length: 11 }, (_, i) => 15 + i)];
  const whole = packOf([[0, 20]]);
  const [both, one] = await rig.finish([
    attend(rig, shared, v, x),
    attend(rig, whole, v, pick(x, second, GROUPED)),
  ]);
  for (const result of ["o", "dq"] as const) {
    const width = WIDTHS[result](GROUPED);
    const answer = both[result].slice(15 * width), expected = one[result].slice(9 * width);
    assertClose(answer, expected, { relativeL2: 1e-6 }, `attention ${result}, shared and whole`);
  }
});

Deno.test("masked positions contribute exactly nothing", async () => {
  for (const { name, pack } of [PACKS[4], PACKS[6], PACKS[7]]) {
    const x = makeInputs(pack.tokens, GROUPED, "normal", 4), v = variantOf(GROUPED);
    for (const t of [0, pack.tokens >> 1, pack.tokens - 1]) {
      // What query t cannot see becomes huge; its output and gradient must not notice.
      const seen = (j: number) => sees(pack.mask, t, j);
      const width = GROUPED.keyValueHeads * GROUPED.headDim;
      const hide = (data: Float32Array) =>
        data.map((value, i) => seen(i / width | 0) ? value : 1e15 * (value + 1));
      const changed = { ...x, k: hide(x.k), v: hide(x.v) };
      // Only query t has a gradient: keys and values it does not see get none at all.
      const wide = GROUPED.heads * GROUPED.headDim;
      const only = { ...x, dO: x.dO.map((value, i) => (i / wide | 0) === t ? value : 0) };
      const [plain, hidden, single] = await rig.finish(
        [x, changed, only].map((inputs) => attend(rig, pack, v, inputs)),
      );
      const place = `token ${t} of ${name}`;
      for (const result of ["o", "dq"] as const) {
        const row = (data: Float32Array) => data.slice(t * wide, (t + 1) * wide);
        assertSameBits(row(hidden[result]), row(plain[result]), `${result} of ${place}`);
      }
      for (const result of ["dk", "dv"] as const) {
        const outside = single[result].filter((_, i) => !seen(i / width | 0));
        assertEquals(outside.every((value) => value === 0), true, `${result} for ${place}`);
      }
    }
  }
});

Deno.test("equal tokens attend evenly, and their gradients cancel", async () => {
  const h = GROUPED, pack = packOf([[5, 3, 7]]), random = new Random(5);
  const row = (heads: number) => random.normals(heads * h.headDim);
  const repeat = (one: Float32Array) =>
    Float32Array.from({ length: pack.tokens * one.length }, (_, i) => one[i % one.length]);
  const x = {
    q: repeat(row(h.heads)),
    k: repeat(row(h.keyValueHeads)),
    v: repeat(row(h.keyValueHeads)),
    dO: repeat(row(h.heads)),
  };
  const [found] = await rig.finish([attend(rig, pack, variantOf(h), x)]);
  const shape = shapeOf(pack, h), { o, lse } = attention(x.q, x.k, x.v, shape);
  assertClose(found.o, o, FORWARD, "attention o, equal tokens");
  assertClose(lseOf(found.stats), lse, { ...FORWARD, scale: 1 }, "attention lse, equal tokens");
  const expected = attentionBackward(x.q, x.k, x.v, x.dO, shape);
  assertClose(found.dv, expected.dv, BACKWARD, "attention dv, equal tokens");
  for (const result of ["dq", "dk"] as const) {
    assertClose(
      found[result],
      expected[result],
      { relativeL2: 2e-5, scale: 1 },
      `${result}, equal`,
    );
  }
});
