/** Gradients of the GPU against differences of the GPU's own forward pass, along random directions. */
import { kernel } from "../../gpu/kernels/mod.ts";
import type { View } from "../../gpu/program.ts";
import { addNorm, addNormBackward } from "../../model/norm_operations.ts";
import { Operations } from "../../model/operations.ts";
import { groupByValue } from "../../model/pack.ts";
import { assertClose } from "../assert_close.ts";
import { join } from "../reference/differences.ts";
import { Random } from "../reference/random.ts";
import { attend, packOf, variantOf } from "./attend.ts";
import { makeStore } from "./parameters.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
/** T2 of the test plan. Large steps are right in float32: small ones drown in rounding. */
const DIRECTIONS = 8, STEP = 0.05, TOLERANCE = 1e-3;

/** Views that a queued operation leaves: its output, and gradients in the order of its inputs. */
interface Queued {
  readonly out: View;
  readonly gradients: readonly View[];
}

/** Queues forward and backward for the given inputs and the output's gradient. */
type Queue = (inputs: readonly Float32Array[], dOut: Float32Array) => Queued;

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);

/** The step that float32 really takes from x towards x + h * direction. */
function step(inputs: readonly Float32Array[], direction: Float64Array, h: number) {
  let at = 0;
  return inputs.map((x) => x.map((value) => value + h * direction[at++]));
}

/** Compares grad . u with (f(x + h u) - f(x - h u)) / 2 h for f = dOut . out. */
function check(name: string, lengths: readonly number[], outputs: number, queue: Queue): void {
  rig.test(`${name}: the GPU's gradient equals differences of its forward pass`, async () => {
    const random = new Random(8);
    const inputs = lengths.map((length) => random.normals(length));
    const dOut = random.normals(outputs), total = lengths.reduce((a, b) => a + b);
    const directions = Array.from({ length: DIRECTIONS }, () => random.direction(total));
    const { out, gradients } = queue(inputs, dOut);
    const around = directions.map((u) => [
      queue(step(inputs, u, STEP), dOut).out,
      queue(step(inputs, u, -STEP), dOut).out,
    ]);
    const named = Object.fromEntries(gradients.map((view, i) => [`g${i}`, view]));
    const [first, ...found] = await rig.finish<Record<string, View>>([
      { out, ...named },
      ...around.map(([up, down]) => ({ up, down })),
    ]);
    const gradient = join(...gradients.map((_, i) => first[`g${i}`]));
    const length = Math.sqrt(dot(gradient, gradient));
    const along = directions.map((u) => dot(gradient, u) / length);
    const differences = found.map(({ up, down }) =>
      (dot(up, dOut) - dot(down, dOut)) / (2 * STEP * length)
    );
    // Errors are measured by the length of the gradient, which is 1 here.
    const bounds = { relativeMax: TOLERANCE, scale: 1 };
    assertClose(along, differences, bounds, `differences ${name}`);
  });
}

function operations(store: ReturnType<typeof makeStore>, partial: View, sizes = {}) {
  return (build: (o: Operations) => void) =>
    rig.run((program) => build(new Operations(rig.gpu, program, store, partial)), sizes);
}

check("linear", [5 * 8, 4 * 8, 4], 5 * 4, ([x, weight, bias], dOut) => {
  const store = makeStore(rig.gpu, {
    "l.weight": { shape: [4, 8], weight },
    "l.bias": { shape: [4], weight: bias },
  });
  const views = { x: rig.upload(x), dy: rig.upload(dOut), dx: rig.zeros(40) };
  const out = rig.zeros(20);
  operations(store, rig.zeros(4))((o) => {
    o.linear("l", views.x, out, 5);
    o.linearBackward("l", { ...views, first: true, rows: 5 });
  });
  const destroy = () => store.destroy();
  const dw = rig.keep(store.gradientView("l.weight"), destroy);
  return { out, gradients: [views.dx, dw, store.gradientView("l.bias")] };
});

check("rms_norm", [5 * 8, 8], 5 * 8, ([x, weight], dOut) => {
  const store = makeStore(rig.gpu, { "n.weight": { shape: [8], weight } });
  const views = { x: rig.upload(x), inv: rig.zeros(5), rows: 5, eps: 1e-5 };
  const y = rig.zeros(40), dx = rig.zeros(40);
  operations(store, rig.zeros(8))((o) => {
    addNorm(o, "rms", "n", { ...views, y });
    addNormBackward(o, "rms", "n", { ...views, dy: rig.upload(dOut), dx });
  });
  const dWeight = rig.keep(store.gradientView("n.weight"), () => store.destroy());
  return { out: y, gradients: [dx, dWeight] };
});

const none = makeStore(rig.gpu, {});

check("swiglu", [24, 24], 24, ([gate, up], dOut) => {
  const views = [gate, up, gate, up].map((data) => rig.upload(data)), out = rig.zeros(24);
  operations(none, out, { tokens: 3 })((o) => {
    o.swiglu(views[0], views[1], out, 8);
    o.swigluBackward(rig.upload(dOut), views[2], views[3], 8);
  });
  return { out, gradients: [views[2], views[3]] };
});

check("rope", [3 * 2 * 4], 3 * 2 * 4, ([x], dOut) => {
  const angles = [0, 0.3, 1.2, 2.5, 4, 5].flatMap((angle) => [Math.cos(angle), Math.sin(angle)]);
  const positions = rig.upload(Uint32Array.of(2, 0, 1));
  const table = rig.upload(Float32Array.from(angles));
  const out = rig.upload(x), dx = rig.upload(dOut), shape = { heads: 2, headDim: 4 };
  operations(none, out, { tokens: 3 })((o) => {
    o.rope({ positions, table, x: out, ...shape, sign: 1 });
    o.rope({ positions, table, x: dx, ...shape, sign: -1 });
  });
  return { out, gradients: [dx] };
});

check("gather_rows", [4 * 8], 5 * 8, ([table], dOut) => {
  const index = Uint32Array.of(2, 0, 2, 2, 3), lists = groupByValue(index);
  const out = rig.zeros(40), d = rig.zeros(32);
  operations(none, out, { scored: 5, sources: lists.count })((o) => {
    o.gather(rig.upload(index), rig.upload(table), out, 5, 8);
    o.gatherBackward(rig.upload(lists.lists), rig.upload(lists.positions), rig.upload(dOut), d, 8);
  });
  return { out, gradients: [d] };
});

check("log_softmax", [5 * 12], 5, ([logits], seeds) => {
  const running = rig.zeros(20), out = rig.zeros(5), lse = rig.zeros(5);
  const targets = rig.upload(Uint32Array.of(3, 0, 11, 7, 7)), d = rig.upload(logits);
  const groups = [1, 1, 1] as const, operations = 1, params = [5, 12, 3, 0];
  const entry = (name: "accumulate" | "finish" | "backward") =>
    kernel(rig.gpu, "log_softmax", name, rig.inTextures);
  rig.run((program) => {
    const launch = () => ({ params, groups, operations });
    program.add(entry("accumulate"), [rig.input(d), targets, running], launch);
    program.add(entry("finish"), [running, out, lse, rig.zeros(5)], launch);
    program.add(entry("backward"), [rig.input(d, true), targets, lse, rig.upload(seeds)], launch);
  });
  return { out, gradients: [d] };
});

for (const keyValueHeads of [2, 1]) {
  const pack = packOf([[2, 2, 1], [0, 2]]), heads = { heads: 2, keyValueHeads, headDim: 4 };
  const T = pack.tokens, keys = T * keyValueHeads * 4;
  check(
    `attention, 2 heads on ${keyValueHeads}`,
    [T * 8, keys, keys],
    T * 8,
    ([q, k, v], dO) => {
      const { o, dq, dk, dv } = attend(rig, pack, variantOf(heads), { q, k, v, dO });
      return { out: o, gradients: [dq, dk, dv] };
    },
  );
}
