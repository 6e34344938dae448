/** SwiGLU against float64, also with more workgroups than one dimension of a grid holds. */
import { assertEquals } from "@std/assert";
import type { View } from "../../gpu/program.ts";
import { Operations } from "../../model/operations.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { fill, type Kind, KINDS, Random } from "../reference/random.ts";
import { swiglu, swigluBackward } from "../reference/swiglu.ts";
import { makeStore } from "./parameters.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const store = makeStore(rig.gpu, {});
/** tokens, width: one, primes (times 4 in width), a vec4 below and above a workgroup, one token. */
const SHAPES = [[1, 4], [7, 12], [13, 28], [31, 52], [63, 4], [65, 4], [1, 1024], [123, 44]];

function makeCase([tokens, width]: readonly number[], kind: Kind, seed: number) {
  const random = new Random(seed);
  return {
    tokens,
    width,
    gate: fill(random, kind, tokens, width),
    up: fill(random, kind, tokens, width),
    dh: random.normals(tokens * width),
  };
}
type Case = ReturnType<typeof makeCase>;

/** Queues forward, then backward, which replaces gate and up by their gradients. */
function queue(c: Case): Record<"h" | "dGate" | "dUp", View> {
  const gate = rig.upload(c.gate), up = rig.upload(c.up), dh = rig.upload(c.dh);
  const h = rig.zeros(c.tokens * c.width);
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, h);
    o.swiglu(gate, up, h, c.width);
    o.swigluBackward(dh, gate, up, c.width);
  }, { tokens: c.tokens });
  return { h, dGate: gate, dUp: up };
}

rig.test("swiglu equals float64 at 8 shapes, 5 seeds", async () => {
  const cases = SHAPES.flatMap((shape, s) =>
    KINDS.map((kind, i) => makeCase(shape, kind, 10 * s + i))
  );
  const found = await rig.finish(cases.map(queue));
  for (const [i, c] of cases.entries()) {
    const place = `${c.tokens} x ${c.width}, ${KINDS[i % 5]}`;
    assertClose(found[i].h, swiglu(c.gate, c.up), FORWARD, "swiglu h", place);
    const { dGate, dUp } = swigluBackward(c.gate, c.up, c.dh);
    assertClose(found[i].dGate, dGate, BACKWARD, "swiglu dgate", place);
    assertClose(found[i].dUp, dUp, BACKWARD, "swiglu dup", place);
  }
});

rig.test("swiglu backward gives the same bytes twice", async () => {
  const c = makeCase([31, 52], "normal", 99);
  const [first, again] = await rig.finish([queue(c), queue(c)]);
  assertSameBits(again.dGate, first.dGate, "dgate");
  assertSameBits(again.dUp, first.dUp, "dup");
});

rig.test("swiglu of gates of +-1e4 is exact at the saturated ends", async () => {
  const gate = Float32Array.of(1e4, -1e4, 200, -200), up = Float32Array.of(2, 2, -3, -3);
  const dh = Float32Array.of(1, 1, 1, 1);
  const [found] = await rig.finish([queue({ tokens: 1, width: 4, gate, up, dh })]);
  assertEquals([...found.h].map((x) => x + 0), [2e4, 0, -600, 0]);
  assertEquals([...found.dGate].map((x) => x + 0), [2, 0, -3, 0]);
  assertEquals([...found.dUp].map((x) => x + 0), [1e4, 0, 200, 0]);
});

rig.sameBits("swiglu", async () => {
  const [found] = await rig.finish([queue(makeCase([123, 44], "normal", 98))]);
  return found;
});

Deno.test("swiglu over 65,536 workgroups computes every element", async () => {
  // 64 invocations of four values each; the values repeat with a prime period, off every grid.
  const period = 4099, count = 65_536 * 64 * 4 + 4, tokens = count / 4;
  const random = new Random(3), gate = random.normals(period), up = random.normals(period);
  const repeat = (x: Float32Array) => {
    const all = new Float32Array(count);
    for (let at = 0; at < count; at += period) all.set(x.subarray(0, count - at), at);
    return all;
  };
  const views = [rig.upload(repeat(gate)), rig.upload(repeat(up)), rig.zeros(count)] as const;
  rig.run((program) => {
    new Operations(rig.gpu, program, store, views[2]).swiglu(...views, 4);
  }, { tokens });
  const [{ h }] = await rig.finish([{ h: views[2] }]);
  const first = h.slice(0, period);
  assertClose(first, swiglu(gate, up), FORWARD, "swiglu, many workgroups");
  let different = 0;
  for (let i = 0; i < count; i++) if (h[i] !== first[i % period]) different++;
  assertEquals(different, 0);
});
