/** Attention with sliding windows, capped scores and fused rows: against float64, and against each other. */
import { assert } from "@std/assert";
import type { AttentionVariant } from "../../gpu/kernels/attention.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { attention, attentionBackward } from "../reference/attention.ts";
import { Random } from "../reference/random.ts";
import { attend, type AttentionInputs, fuse, packOf, shapeOf, variantOf } from "./attend.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const HEADS = { heads: 4, keyValueHeads: 2, headDim: 4 };
/** Shorter than a window, longer, prompts shared, ragged, and whole. */
const PACKS = [
  packOf([[0, 3]]),
  packOf([[0, 23]]),
  packOf([[13, 1, 7], [1, 2, 3, 4], [0, 5], [31, 12]]),
  packOf([[13, 1, 7], [1, 2, 3]], false),
];

function inputs(tokens: number, seed: number, h = HEADS): AttentionInputs {
  const random = new Random(seed), { heads, keyValueHeads, headDim } = h;
  return {
    q: random.normals(tokens * heads * headDim, 2),
    k: random.normals(tokens * keyValueHeads * headDim, 2),
    v: random.normals(tokens * keyValueHeads * headDim),
    dO: random.normals(tokens * heads * headDim),
  };
}

const OPTIONS: Readonly<Record<string, Partial<AttentionVariant>>> = {
  "a window of 1": { slidingWindow: 1 },
  "a window of 5": { slidingWindow: 5 },
  "capped scores": { softcap: 1.5 },
  "a window of 6 and capped scores": { slidingWindow: 6, softcap: 3 },
};

for (const [name, options] of Object.entries(OPTIONS)) {
  rig.test(`attention with ${name} equals float64`, async () => {
    const variant = { ...variantOf(HEADS), ...options };
    const cases = PACKS.map((pack, i) => ({ pack, x: inputs(pack.tokens, i) }));
    const found = await rig.finish(cases.map(({ pack, x }) => attend(rig, pack, variant, x)));
    for (const [i, { pack, x }] of cases.entries()) {
      const shape = { ...shapeOf(pack, HEADS), ...options }, place = `pack ${i}`;
      assertClose(found[i].o, attention(x.q, x.k, x.v, shape).o, FORWARD, `${name}, o`, place);
      const expected = attentionBackward(x.q, x.k, x.v, x.dO, shape);
      for (const result of ["dq", "dk", "dv"] as const) {
        const bounds = result === "dv" ? BACKWARD : { ...BACKWARD, scale: 1 };
        assertClose(found[i][result], expected[result], bounds, `${name}, ${result}`, place);
      }
    }
  });
}

Deno.test("a window that no sequence is longer than changes no bit, a shorter one does", async () => {
  const pack = PACKS[2], x = inputs(pack.tokens, 9), variant = variantOf(HEADS);
  const [plain, wide, narrow] = await rig.finish(
    [undefined, 43, 42].map((slidingWindow) => attend(rig, pack, { ...variant, slidingWindow }, x)),
  );
  for (const result of ["o", "stats", "dq", "dk", "dv"] as const) {
    assertSameBits(wide[result], plain[result], result);
    assert(narrow[result].some((value, i) => value !== plain[result][i]), result);
  }
});

Deno.test("with a window, too, every block size gives the same bits", async () => {
  const pack = PACKS[2], x = inputs(pack.tokens, 11), options = { slidingWindow: 7 };
  const [first, ...others] = await rig.finish(
    ([[1, 1], [2, 2], [4, 1]] as const).map((blocks) =>
      attend(rig, pack, { ...variantOf(HEADS, ...blocks), ...options }, x)
    ),
  );
  for (const found of others) {
    for (const result of ["o", "stats", "dq", "dk", "dv"] as const) {
      assertSameBits(found[result], first[result], result);
    }
  }
});

for (const fused of ["blocks", "heads"] as const) {
  rig.test(`queries, keys and values in one row, by ${fused}, give the same bits`, async () => {
    const h = fused === "heads" ? { ...HEADS, keyValueHeads: 4 } : HEADS;
    const pack = PACKS[2], x = inputs(pack.tokens, 10, h), variant = variantOf(h);
    const own = { ...variant, slidingWindow: 6, fused };
    const [plain, found] = await rig.finish([
      attend(rig, pack, { ...variant, slidingWindow: 6 }, x),
      attend(rig, pack, own, x),
    ]);
    assertSameBits(found.o, plain.o, "o");
    assertSameBits(found.stats, plain.stats, "stats");
    assertSameBits(found.dq, fuse(plain.dq, plain.dk, plain.dv, own), "gradients");
  });
}
