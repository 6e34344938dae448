/** Rotary embedding against float64, and its inverse. */
import type { View } from "../../gpu/program.ts";
import { Operations } from "../../model/operations.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { fill, type Kind, KINDS, Random } from "../reference/random.ts";
import { rotate } from "../reference/rope.ts";
import { makeStore } from "./parameters.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const store = makeStore(rig.gpu, {});
/** tokens, heads, head size: one, primes, one pair below and above a workgroup, one token, odd heads. */
const SHAPES = [
  [1, 1, 2],
  [7, 3, 6],
  [13, 1, 14],
  [31, 2, 26],
  [63, 1, 2],
  [65, 1, 2],
  [1, 9, 64],
  [47, 4, 128],
  [13, 3, 24],
];
const POSITIONS = 61;

function makeCase(shape: readonly number[], kind: Kind, seed: number) {
  const [tokens, heads, headDim] = shape, random = new Random(seed);
  const angles = Array.from({ length: POSITIONS * headDim / 2 }, () => 100 * random.uniform());
  return {
    tokens,
    heads,
    headDim,
    positions: random.integers(tokens, POSITIONS),
    table: Float32Array.from(angles.flatMap((angle) => [Math.cos(angle), Math.sin(angle)])),
    x: fill(random, kind, tokens * heads, headDim),
  };
}

/** Queues a rotation in place for each of `signs`. */
function queue(c: ReturnType<typeof makeCase>, ...signs: (1 | -1)[]): { x: View } {
  const x = rig.upload(c.x), positions = rig.upload(c.positions), table = rig.upload(c.table);
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, x);
    for (const sign of signs) {
      o.rope({ positions, table, x, heads: c.heads, headDim: c.headDim, sign });
    }
  }, { tokens: c.tokens });
  return { x };
}

for (const sign of [1, -1] as const) {
  const name = `rope ${sign === 1 ? "forward" : "backward"}`;
  rig.test(`${name} equals float64 at 9 shapes, 5 seeds`, async () => {
    const cases = SHAPES.flatMap((shape, s) =>
      KINDS.map((kind, i) => makeCase(shape, kind, 10 * s + i))
    );
    const found = await rig.finish(cases.map((c) => queue(c, sign)));
    for (const [i, c] of cases.entries()) {
      const expected = rotate(c.x, c.positions, c.table, c.heads, c.headDim, sign);
      const place = `${c.tokens} tokens, ${c.heads} heads of ${c.headDim}`;
      assertClose(found[i].x, expected, sign === 1 ? FORWARD : BACKWARD, name, place);
    }
  });
}

for (const headDim of [26, 24]) {
  rig.sameBits(`rope of heads of ${headDim}`, async () => {
    const [found] = await rig.finish([queue(makeCase([31, 2, headDim], "normal", 78), 1)]);
    return found;
  });
}

Deno.test("rope backward undoes rope forward, and repeats its bytes", async () => {
  const c = makeCase([31, 2, 26], "normal", 77);
  const [back, once, again] = await rig.finish([queue(c, 1, -1), queue(c, -1), queue(c, -1)]);
  assertClose(back.x, c.x, FORWARD, "rope there and back");
  assertSameBits(again.x, once.x, "rope backward");
});

/** Heads of 16 of which `width` values turn, in rows of 3 heads' queries, keys and values. */
for (const width of [4, 8, 12, 16]) {
  for (const fused of ["blocks", "heads"] as const) {
    rig.test(`rope of ${width} values of heads in rows by ${fused} equals float64`, async () => {
      const tokens = 37, heads = 3, headDim = 16, rowStride = 3 * heads * headDim;
      const c = makeCase([tokens, heads, width], "normal", width), random = new Random(width);
      const rows = random.normals(tokens * rowStride), x = rig.upload(rows);
      const headStride = fused === "heads" ? 3 * headDim : headDim;
      const offset = fused === "heads" ? headDim : heads * headDim;
      const [positions, table] = [rig.upload(c.positions), rig.upload(c.table)];
      rig.run((program) => {
        const place = { width, rowStride, headStride, offset };
        const o = new Operations(rig.gpu, program, store, x);
        o.rope({ positions, table, x, heads, headDim, sign: 1, place });
      }, { tokens });
      const [found] = await rig.finish([{ x }]);
      const at = (i: number) => {
        const head = Math.floor(i / width), token = Math.floor(head / heads);
        return token * rowStride + offset + (head % heads) * headStride + i % width;
      };
      const turned = Float32Array.from({ length: tokens * heads * width }, (_, i) => rows[at(i)]);
      const expected = Float64Array.from(rows);
      rotate(turned, c.positions, c.table, heads, width, 1).forEach((value, i) => {
        expected[at(i)] = value;
      });
      assertClose(found.x, expected, FORWARD, "rope in rows", `${width} ${fused}`);
      const still = (values: ArrayLike<number>) => {
        const rest = Array.from(values);
        for (let i = 0; i < turned.length; i++) rest[at(i)] = 0;
        return Float32Array.from(rest);
      };
      assertSameBits(still(found.x), still(rows), "what does not turn");
    });
  }
}
