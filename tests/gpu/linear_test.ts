/** Linear layers as the model runs them: biases, residuals, split weights, accumulated gradients. */
import { Operations } from "../../model/operations.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { linear, linearBackward } from "../reference/matmul.ts";
import { fill, type Kind, KINDS, Random } from "../reference/random.ts";
import { makeStore } from "./parameters.ts";
import { Rig, zeroValues } from "./rig.ts";

const rig = await Rig.open();
/** rows, inputs, outputs: one row, primes (times 4), rows below and above a block of 32 and a tile. */
const SHAPES = [
  [1, 4, 4],
  [7, 12, 28],
  [13, 52, 44],
  [31, 124, 4],
  [33, 8, 188],
  [63, 16, 64],
  [65, 64, 16],
  [123, 28, 68],
];

function makeCase([rows, inputs, outputs]: readonly number[], kind: Kind, seed: number) {
  const random = new Random(seed);
  return {
    rows,
    inputs,
    outputs,
    x: fill(random, kind, rows, inputs),
    w: random.normals(outputs * inputs),
    bias: random.normals(outputs),
    residual: random.normals(rows * outputs),
    dy: fill(random, kind, rows, outputs),
    dw: zeroValues(outputs * inputs),
    dbias: zeroValues(outputs),
    dx: zeroValues(rows * inputs),
  };
}
type Case = ReturnType<typeof makeCase>;

interface Options {
  readonly bias?: boolean;
  readonly residual?: boolean;
  /** dx starts at zero instead of its own values. */
  readonly first?: boolean;
  /** Bytes of a binding. */
  readonly limit?: number;
  /** Backward passes. */
  readonly times?: number;
}

const NAMES = ["y", "dx", "dw", "dbias"] as const;
type Result = Record<typeof NAMES[number], Float32Array>;

/** Runs a layer forward and backward. */
async function run(c: Case, options: Options = {}): Promise<Result> {
  const { bias = true, residual = true, first = true, limit, times = 1 } = options;
  const { rows, inputs, outputs } = c;
  const store = makeStore(rig.gpu, {
    "layer.weight": { shape: [outputs, inputs], weight: c.w, gradient: c.dw },
    ...(bias ? { "layer.bias": { shape: [outputs], weight: c.bias, gradient: c.dbias } } : {}),
  }, limit);
  const x = rig.upload(c.x), y = rig.zeros(rows * outputs), dy = rig.upload(c.dy);
  const dx = rig.upload(c.dx), partial = rig.zeros(Math.ceil(rows / 32) * outputs);
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, partial);
    o.linear("layer", x, y, "tokens", residual ? rig.upload(c.residual) : undefined);
    for (let i = 0; i < times; i++) o.linearBackward("layer", { x, dy, dx, first, rows: "tokens" });
  }, { tokens: rows });
  const [found] = await rig.finish([{ y, dx }]);
  const dw = await store.gradients.read("layer.weight");
  const dbias = bias ? await store.gradients.read("layer.bias") : new Float32Array(outputs);
  store.destroy();
  return { ...found, dw, dbias };
}

rig.test("linear with bias and residual equals float64 at 8 shapes, 5 seeds", async () => {
  for (const [s, shape] of SHAPES.entries()) {
    for (const [i, kind] of KINDS.entries()) {
      const c = makeCase(shape, kind, 10 * s + i), place = `${shape}, ${kind}`;
      const found = await run(c);
      const y = linear(c.x, c.w, c.bias, c).map((value, at) => value + c.residual[at]);
      assertClose(found.y, y, FORWARD, "linear y", place);
      const expected = linearBackward(c.x, c.w, c.dy, c);
      for (const name of ["dx", "dw", "dbias"] as const) {
        assertClose(found[name], expected[name], BACKWARD, `linear ${name}`, place);
      }
    }
  }
});

rig.sameBits("linear", () => {
  const c = makeCase([65, 28, 44], "normal", 5), random = new Random(6);
  const start = {
    dx: random.normals(65 * 28),
    dw: random.normals(44 * 28),
    dbias: random.normals(44),
  };
  return run({ ...c, ...start }, { first: false });
});

rig.test("linear without bias or residual has the bytes of zeros for them", async () => {
  const c = makeCase([31, 12, 44], "normal", 1);
  const zero = { ...c, bias: c.bias.map(() => 0), residual: c.residual.map(() => 0) };
  const full = await run(zero);
  for (const [bias, residual] of [[false, false], [true, false], [false, true]]) {
    const found = await run(zero, { bias, residual });
    assertSameBits(found.y, full.y, `y, bias ${bias}, residual ${residual}`);
    assertSameBits(found.dx, full.dx, "dx");
    assertSameBits(found.dw, full.dw, "dw");
  }
});

rig.test("linear with a weight over three bindings has the bytes of a whole one", async () => {
  const c = makeCase([37, 8, 600], "normal", 2);
  const whole = await run(c, { bias: false }), split = await run(c, { bias: false, limit: 8192 });
  for (const name of NAMES) assertSameBits(split[name], whole[name], `split ${name}`);
});

rig.test("linear backward gives the same bytes twice and goes on adding", async () => {
  const c = makeCase([67, 12, 28], "normal", 3), random = new Random(4);
  const start = {
    dx: random.normals(67 * 12),
    dw: random.normals(28 * 12),
    dbias: random.normals(28),
  };
  const once = await run(c), again = await run(c);
  for (const name of NAMES) assertSameBits(again[name], once[name], name);
  const ignored = await run({ ...c, dx: start.dx });
  assertSameBits(ignored.dx, once.dx, "dx that starts at zero");
  const added = await run({ ...c, ...start }, { first: false });
  for (const name of ["dx", "dw", "dbias"] as const) {
    const sum = Float64Array.from(start[name], (value, i) => value + once[name][i]);
    assertClose(added[name], sum, { relativeL2: 1e-6 }, `linear ${name} added`);
  }
  // The weight's gradient sums rows in ascending order: two batches are one of all their rows.
  const twice = await run(c, { times: 2 });
  const double = (x: Float32Array) => Float32Array.of(...x, ...x);
  const long = await run({
    ...c,
    rows: 2 * c.rows,
    x: double(c.x),
    dy: double(c.dy),
    residual: double(c.residual),
    dx: double(c.dx),
  });
  assertSameBits(twice.dw, long.dw, "dw of two batches");
  assertSameBits(twice.dbias, once.dbias.map((x) => 2 * x), "dbias of two batches");
});
