/** Rows picked by index: the forward pass copies bits, the backward pass sums in a fixed order. */
import { assertEquals } from "@std/assert";
import type { View } from "../../gpu/program.ts";
import { Operations } from "../../model/operations.ts";
import { groupByValue } from "../../model/pack.ts";
import { assertClose, assertSameBits, BACKWARD } from "../assert_close.ts";
import { gatherRows, gatherRowsBackward } from "../reference/gather_rows.ts";
import { fill, type Kind, KINDS, Random } from "../reference/random.ts";
import { makeStore } from "./parameters.ts";
import { Rig, zeroValues } from "./rig.ts";

const rig = await Rig.open();
const none = makeStore(rig.gpu, {});
/** picked rows, table rows, width: one, primes, below and above a workgroup, one row often, wide. */
const SHAPES = [
  [1, 1, 4],
  [7, 13, 28],
  [13, 7, 12],
  [63, 31, 4],
  [65, 31, 4],
  [123, 2, 44],
  [47, 123, 64],
  [1, 31, 508],
];

function makeCase([count, rows, width]: readonly number[], kind: Kind, seed: number) {
  const random = new Random(seed);
  return {
    rows,
    width,
    index: random.integers(count, rows),
    table: fill(random, kind, rows, width),
    dOut: fill(random, kind, count, width),
    dTable: zeroValues(rows * width),
  };
}
type Case = ReturnType<typeof makeCase>;

/** Queues the gathering of hidden states, forward and `times` times backward. */
function queue(c: Case, times = 1): Record<"out" | "dTable", View> {
  const { index, width } = c, lists = groupByValue(index);
  const out = rig.zeros(index.length * width), dTable = rig.upload(c.dTable);
  const views = [lists.lists, lists.positions, c.dOut].map((data) => rig.upload(data));
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, none, out);
    o.gather(rig.upload(index), rig.upload(c.table), out, "scored", width);
    for (let i = 0; i < times; i++) {
      o.gatherBackward(views[0], views[1], views[2], dTable, width);
    }
  }, { scored: index.length, sources: lists.count });
  return { out, dTable };
}

/** Queues an embedding, forward and backward, whose table may be split by `limit` bytes. */
async function embed(c: Case, limit: number): Promise<{ out: Float32Array; dTable: Float32Array }> {
  const name = "embed", lists = groupByValue(c.index);
  const shape = [c.rows, c.width];
  const store = makeStore(
    rig.gpu,
    { embed: { shape, weight: c.table, gradient: c.dTable } },
    limit,
  );
  const out = rig.zeros(c.index.length * c.width);
  const views = [lists.lists, lists.positions, c.dOut].map((data) => rig.upload(data));
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, out);
    o.embed(name, rig.upload(c.index), out, "tokens");
    o.embedBackward(name, views[0], views[1], views[2]);
  }, { tokens: c.index.length, ids: lists.count });
  const [found] = await rig.finish([{ out }]);
  const dTable = await store.gradients.read(name);
  store.destroy();
  return { out: found.out, dTable };
}

/** The sums of the backward pass in float32: positions ascending, on top of what is there. */
function ascending(c: Case): Float32Array {
  const sums = c.dTable.slice();
  for (const [i, row] of c.index.entries()) {
    for (let j = 0; j < c.width; j++) sums[row * c.width + j] += c.dOut[i * c.width + j];
  }
  return sums;
}

Deno.test("gather_rows equals float64 at 8 shapes, 5 seeds", async () => {
  const cases = SHAPES.flatMap((shape, s) =>
    KINDS.map((kind, i) => makeCase(shape, kind, 10 * s + i))
  );
  const found = await rig.finish(cases.map((c) => queue(c)));
  for (const [i, c] of cases.entries()) {
    const place = `${c.index.length} of ${c.rows} rows of ${c.width}, ${KINDS[i % 5]}`;
    const out = Float32Array.from(gatherRows(c.table, c.index, c.width));
    assertSameBits(found[i].out, out, `gather_rows out, ${place}`);
    const dTable = gatherRowsBackward(c.dOut, c.index, c.rows, c.width);
    assertClose(found[i].dTable, dTable, BACKWARD, "gather_rows dtable", place);
    assertSameBits(found[i].dTable, ascending(c), `gather_rows dtable, ${place}`);
  }
});

Deno.test("gather_rows backward adds to what is there, in the same order", async () => {
  const random = new Random(4);
  const c = { ...makeCase([123, 7, 12], "normal", 1), dTable: random.normals(7 * 12) };
  const [first, again, twice] = await rig.finish([queue(c), queue(c), queue(c, 2)]);
  assertSameBits(first.dTable, ascending(c), "dtable on top of other values");
  assertSameBits(again.dTable, first.dTable, "dtable again");
  assertSameBits(twice.dTable, ascending({ ...c, dTable: ascending(c) }), "dtable twice");
});

rig.sameBits("gather_rows, which reads no textures,", async () => {
  const [found] = await rig.finish([queue(makeCase([65, 31, 4], "normal", 6))]);
  return found;
});

Deno.test("an embedding split over three bindings has the bytes of a whole one", async () => {
  const c = { ...makeCase([200, 600, 8], "normal", 2), dTable: new Random(3).normals(600 * 8) };
  const whole = await embed(c, 2 ** 20), split = await embed(c, 256 * 8 * 4);
  assertSameBits(whole.out, Float32Array.from(gatherRows(c.table, c.index, 8)), "embedding");
  assertSameBits(split.out, whole.out, "split embedding");
  assertSameBits(whole.dTable, ascending(c), "gradient of the embedding");
  assertSameBits(split.dTable, whole.dTable, "gradient of the split embedding");
  assertEquals(new Set(c.index.map((id) => id / 256 | 0)).size, 3);
});
