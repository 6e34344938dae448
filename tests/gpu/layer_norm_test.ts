/** LayerNorm, and RMSNorm in its other forms, forward and backward against float64. */
import { addNorm, addNormBackward } from "../../model/norm_operations.ts";
import { Operations } from "../../model/operations.ts";
import type { View } from "../../gpu/program.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { layerNorm, layerNormBackward } from "../reference/layer_norm.ts";
import { fill, type Kind, KINDS, Random } from "../reference/random.ts";
import { rmsNorm, rmsNormBackward } from "../reference/rms_norm.ts";
import { makeStore } from "./parameters.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const EPS = Math.fround(1e-5);
/** rows, width: one, primes (times 4 in width), one row below and above a workgroup, wide and tall. */
const SHAPES = [[1, 4], [7, 12], [31, 44], [63, 64], [65, 124], [1, 512], [130, 36]];

function makeCase([rows, width]: readonly number[], kind: Kind, seed: number) {
  const random = new Random(seed);
  return {
    rows,
    width,
    x: fill(random, kind, rows, width),
    weight: random.normals(width),
    bias: random.normals(width),
    dy: random.normals(rows * width),
    residual: random.normals(rows * width),
  };
}
type Case = ReturnType<typeof makeCase>;
const CASES = SHAPES.flatMap((shape, s) =>
  KINDS.map((kind, i) => ({ kind, ...makeCase(shape, kind, 10 * s + i) }))
);
const plus = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Float64Array.from(a, (value, i) => value + b[i]);

function storeOf(c: Case) {
  return makeStore(rig.gpu, {
    "norm.weight": { shape: [c.width], weight: c.weight },
    "norm.bias": { shape: [c.width], weight: c.bias },
  });
}

/** Queues a layer norm forward and backward; dx starts with the residual. */
function queueLayer(c: Case): Record<"y" | "dx" | "dWeight" | "dBias", View> {
  const { rows, width } = c, store = storeOf(c);
  const x = rig.upload(c.x), y = rig.zeros(rows * width), inv = rig.zeros(rows * 2);
  const dx = rig.upload(c.residual), dy = rig.upload(c.dy);
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, rig.zeros(Math.ceil(rows / 32) * width));
    addNorm(o, "layer", "norm", { x, y, inv, rows, eps: EPS });
    addNormBackward(o, "layer", "norm", { x, inv, dy, dx, rows, eps: EPS });
  });
  const dWeight = rig.keep(store.gradientView("norm.weight"), () => store.destroy());
  return { y, dx, dWeight, dBias: store.gradientView("norm.bias") };
}

rig.test("layer_norm equals float64 at 7 shapes, 5 seeds", async () => {
  // Rows of one value are all rounding once it is taken off: beyond what float64 can say.
  const cases = CASES.filter(({ kind }) => kind !== "flat");
  const found = await rig.finish(cases.map(queueLayer));
  for (const [i, c] of cases.entries()) {
    const place = `${c.rows} x ${c.width}, ${c.kind}`;
    assertClose(found[i].y, layerNorm(c.x, c.weight, c.bias, EPS), FORWARD, "layer_norm y", place);
    const { dx, dWeight, dBias } = layerNormBackward(c.x, c.weight, c.dy, EPS);
    // Of small and large values a gradient beside which the residual is nothing, or everything.
    const bounds = { ...BACKWARD, scale: 1 };
    assertClose(found[i].dx, plus(c.residual, dx), bounds, "layer_norm dx", place);
    assertClose(found[i].dWeight, dWeight, BACKWARD, "layer_norm dweight", place);
    assertClose(found[i].dBias, dBias, BACKWARD, "layer_norm dbias", place);
  }
});

rig.sameBits("layer_norm", async () => {
  const [found] = await rig.finish([queueLayer(makeCase([67, 36], "normal", 5))]);
  return found;
});

/** Queues RMSNorm with 1 + w and a residual, and its gradient apart and over dy, each twice for weights. */
function queueRms(c: Case): Record<"y" | "apart" | "over" | "dWeight", View> {
  const { rows, width } = c, store = storeOf(c), kind = "rms_one_plus";
  const x = rig.upload(c.x), y = rig.zeros(rows * width), inv = rig.zeros(rows);
  const over = rig.upload(c.dy), dy = rig.upload(c.dy), apart = rig.upload(c.residual);
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, rig.zeros(Math.ceil(rows / 32) * width));
    const views = { x, inv, rows: { size: "tokens", times: rows }, eps: EPS };
    addNorm(o, kind, "norm", { ...views, y, residual: rig.upload(c.residual) });
    addNormBackward(o, kind, "norm", { ...views, dy, apart });
    addNormBackward(o, kind, "norm", { ...views, dy: over });
  }, { tokens: 1 });
  const dWeight = rig.keep(store.gradientView("norm.weight"), () => store.destroy());
  return { y, apart, over, dWeight };
}

rig.test("rms_norm with 1 + w, a residual, gradients apart and in place equals float64", async () => {
  const found = await rig.finish(CASES.map(queueRms));
  for (const [i, c] of CASES.entries()) {
    const place = `${c.rows} x ${c.width}, ${c.kind}`, weight = c.weight.map((w) => 1 + w);
    const y = plus(rmsNorm(c.x, weight, EPS).y, c.residual);
    assertClose(found[i].y, y, FORWARD, "rms_norm 1 + w", place);
    const { dx, dWeight } = rmsNormBackward(c.x, weight, c.dy, EPS);
    assertClose(found[i].apart, dx, BACKWARD, "rms_norm dx apart", place);
    assertSameBits(found[i].over, found[i].apart, `dx over dy, ${place}`);
    const twice = dWeight.map((value) => 2 * value);
    assertClose(found[i].dWeight, twice, BACKWARD, "rms_norm 1 + w dweight", place);
  }
});
