/** Activations of all kinds and forms against float64, in place and apart, and far out. */
import { assert, assertEquals } from "@std/assert";
import type { View } from "../../gpu/program.ts";
import { addActivation, addActivationBackward, addScale } from "../../model/layer_operations.ts";
import { Operations } from "../../model/operations.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { gated, type Kind, slope, value } from "../reference/activation.ts";
import { Random } from "../reference/random.ts";
import { makeStore } from "./parameters.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const store = makeStore(rig.gpu, {});
const SHAPES = [[1, 4], [7, 12], [31, 52], [65, 4], [123, 44]];
const ACTIVATIONS: readonly Kind[] = ["silu", "gelu", "gelu_tanh"];

function makeCase([tokens, width]: readonly number[], seed: number) {
  const random = new Random(seed), values = () => random.normals(tokens * width, 2);
  return { tokens, width, gate: values(), up: values(), dh: values() };
}
type Case = ReturnType<typeof makeCase>;

/** Rows of gate and then up. */
function both({ tokens, width, gate, up }: Case): Float32Array {
  const rows = new Float32Array(2 * tokens * width);
  for (let t = 0; t < tokens; t++) {
    rows.set(gate.subarray(t * width, (t + 1) * width), 2 * t * width);
    rows.set(up.subarray(t * width, (t + 1) * width), (2 * t + 1) * width);
  }
  return rows;
}

function run(c: Case, work: (o: Operations) => void): void {
  rig.run((program) => work(new Operations(rig.gpu, program, store, rig.zeros(4))), {
    tokens: c.tokens,
  });
}

/** Queues a plain activation: h, and the gradient in dh's place. */
function queuePlain(c: Case, kind: Kind): Record<"h" | "dUp", View> {
  const up = rig.upload(c.up), h = rig.zeros(c.up.length), dh = rig.upload(c.dh);
  run(c, (o) => {
    addActivation(o, kind, { up, h }, c.width);
    assertEquals(addActivationBackward(o, kind, { up, dh }, c.width), { up: dh });
  });
  return { h, dUp: dh };
}

/** Queues gated activations, gate and up apart or in one row, gradients in place or apart. */
function queueGated(c: Case, kind: Kind, apart: boolean): Record<string, View> {
  const count = c.up.length, h = rig.zeros(count), fusedH = rig.zeros(count);
  const [gate, up, gateUp] = [c.gate, c.up, both(c)].map((data) => rig.upload(data));
  const dh = [rig.upload(c.dh), rig.upload(c.dh)];
  const results: Record<string, View> = { h, fusedH };
  run(c, (o) => {
    addActivation(o, kind, { gate, up, h }, c.width);
    addActivation(o, kind, { gateUp, h: fusedH }, c.width);
    const place = (size: number) => apart ? rig.zeros(size) : undefined;
    const views = { gate, up, dh: dh[0], apart: place(count) };
    const own = addActivationBackward(o, kind, views, c.width);
    const fusedViews = { gateUp, dh: dh[1], apart: place(2 * count) };
    const fused = addActivationBackward(o, kind, fusedViews, c.width);
    Object.assign(results, { dGate: own.gate, dUp: own.up, dBoth: fused.gateUp });
  });
  return results;
}

for (const kind of ACTIVATIONS) {
  rig.test(`${kind} equals float64, plain, gated and fused`, async () => {
    for (const [i, shape] of SHAPES.entries()) {
      const c = makeCase(shape, i),
        place = String(shape),
        expected = gated(kind, c.gate, c.up, c.dh);
      const [plain] = await rig.finish([queuePlain(c, kind)]);
      const group = `activation ${kind}`;
      assertClose(plain.h, Float64Array.from(c.up, (z) => value(kind, z)), FORWARD, group, place);
      const dUp = Float64Array.from(c.up, (z, at) => c.dh[at] * slope(kind, z));
      assertClose(plain.dUp, dUp, BACKWARD, `${group} backward`, place);
      for (const apart of [false, true]) {
        const [found] = await rig.finish([queueGated(c, kind, apart)]);
        assertClose(found.h, expected.h, FORWARD, `${group} gated`, place);
        assertClose(found.dGate, expected.dGate, BACKWARD, `${group} dgate`, place);
        assertClose(found.dUp, expected.dUp, BACKWARD, `${group} dup`, place);
        if (kind !== "silu") assertSameBits(found.fusedH, found.h, "one row, h");
        const { tokens, width } = c;
        const together = both({ ...c, tokens, width, gate: found.dGate, up: found.dUp });
        if (kind !== "silu") assertSameBits(found.dBoth, together, "one row, gradients");
        else assertClose(found.dBoth, together, { relativeL2: 1e-6 }, `${group} in one row`);
      }
    }
  });
}

rig.test("far out activations are the line or nothing, and their slopes 1 or 0", async () => {
  const up = Float32Array.of(1e4, -1e4, 200, -200, 30, -30, 0, -0);
  const c = { tokens: 1, width: 8, gate: up, up, dh: new Float32Array(8).fill(1) };
  for (const kind of ACTIVATIONS) {
    const [{ h, dUp }] = await rig.finish([queuePlain(c, kind)]);
    const near = (found: Float32Array, expected: readonly number[]) =>
      expected.forEach((x, i) =>
        assert(Math.abs(found[i] - x) < 1e-9, `${kind} [${i}] ${found[i]}`)
      );
    near(h, [1e4, 0, 200, 0, 30, 0, 0, 0]);
    near(dUp, [1, 0, 1, 0, 1, 0, 0.5, 0.5]);
  }
});

rig.test("scale multiplies what the sizes cover", async () => {
  const x = new Random(1).normals(8 * 12), view = rig.upload(x);
  rig.run((program) => {
    addScale(new Operations(rig.gpu, program, store, rig.zeros(4)), view, 12, 1.5);
  }, { tokens: 7 });
  const [found] = await rig.finish([{ view }]);
  assertEquals(
    [...found.view],
    [...x].map((value, i) => i < 84 ? Math.fround(value * 1.5) : value),
  );
});
