/** Gradient norm, clipping and updates on the GPU against PyTorch's numbers and a float64 twin. */
import { assertEquals } from "@std/assert";
import type { OptimizerSettings } from "../../model/engine.ts";
import { Optimizer, PIECE_FLOATS } from "../../model/optimizer.ts";
import { Updates } from "../../model/pending_update.ts";
import { layOut, SlabSet } from "../../model/slabs.ts";
import { assertClose, assertSameBits } from "../assert_close.ts";
import torch from "../goldens/torch/optimizers.json" with { type: "json" };
import { adamw, clipFactor, norm, rmsprop, type State } from "../reference/optimizer.ts";
import { Random } from "../reference/random.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
const KIND = ["adamw", "rmsprop"] as const;
type Kind = typeof KIND[number];

const SETTINGS: OptimizerSettings = {
  kind: "adamw",
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  alpha: 0.99,
  eps: 1e-8,
  weightDecay: 0,
  maxGradNorm: 0,
  step: 1,
};

/** A prime, so that repeated values are off every grid; values of two pieces and of a square, of a workgroup and of a vec4 of a third. */
const PERIOD = 4099, WIDE = 2 * PIECE_FLOATS + 64 * 64 + 64 * 4 + 4;

/** Parameters by name, each [1, n] and so with weight decay, or [n] and without. */
type Tensors = Readonly<Record<string, Float32Array>>;

class Fixture {
  readonly optimizer: Optimizer;
  readonly #updates: Updates;
  readonly weights: SlabSet;
  readonly gradients: SlabSet;

  /** `limit` bytes bound a slab. */
  constructor(kind: Kind, tensors: Tensors, limit = 2 ** 20) {
    const specs = Object.entries(tensors).map(([name, { length }]) => {
      const decay = !name.startsWith("norm");
      return { name, shape: decay ? [1, length] : [length], decay };
    });
    const layout = layOut(specs, limit, rig.gpu.capabilities.offsetAlignment);
    this.weights = new SlabSet(rig.gpu, layout, "weights");
    this.gradients = new SlabSet(rig.gpu, layout, "gradients");
    this.optimizer = new Optimizer(
      rig.gpu,
      this.weights,
      this.gradients,
      kind,
      rig.freshTextures(),
    );
    this.#updates = new Updates(rig.gpu, this.optimizer, this.gradients);
    for (const [name, value] of Object.entries(tensors)) this.weights.write(name, value);
  }

  step(gradients: Tensors, settings: Partial<OptimizerSettings> = {}) {
    for (const [name, value] of Object.entries(gradients)) this.gradients.write(name, value);
    const update = { ...SETTINGS, kind: this.optimizer.kind, ...settings };
    return this.#updates.queue(update).status();
  }

  destroy(): void {
    this.optimizer.destroy();
    this.weights.destroy();
    this.gradients.destroy();
  }
}

/** Asserts |found - expected| <= allowed for each column. */
function assertColumns(
  found: Float32Array,
  expected: readonly number[],
  allowed: (column: number) => number,
  group: string,
  place = "at the end",
): void {
  for (const [i, value] of expected.entries()) {
    // Divided by what is allowed, the largest error is 1.
    const error = [(found[i] - value) / (allowed(i) || Number.MIN_VALUE)];
    const bounds = { relativeMax: 1, scale: 1 };
    assertClose(error, [0], bounds, group, `${place}, column "${torch.columns[i]}"`);
  }
}

/** Of the way that weights have gone, and of the first moment. */
const TOLERANCE = 1e-6;
/** Half a unit in the last place, relative. */
const ROUNDING = 2 ** -24;

for (const golden of torch.cases) {
  const kind = golden.kind as Kind, name = `${kind}, decay ${golden.weightDecay}`;
  Deno.test(`100 steps of ${name} equal PyTorch's in float64`, async () => {
    const start = Float32Array.from(torch.start), fixture = new Fixture(kind, { w: start });
    const { learningRate, eps, weightDecay } = golden;
    const settings = {
      learningRate,
      eps,
      weightDecay,
      ...(kind === "adamw"
        ? { beta1: golden.beta1!, beta2: golden.beta2! }
        : { alpha: golden.alpha! }),
    };
    // A weight is rounded once a step (twice with AdamW's decay), equal steps to the same side.
    const roundings = kind === "adamw" && weightDecay > 0 ? 2 : 1;
    const way = torch.start.map(() => 0), largest = torch.start.map(Math.abs);
    let before = torch.start;
    for (const [i, row] of torch.gradients.entries()) {
      await fixture.step({ w: Float32Array.from(row) }, { ...settings, step: i + 1 });
      const after = golden.parameters[i];
      for (const [c, w] of after.entries()) {
        way[c] += Math.abs(w - before[c]);
        largest[c] = Math.max(largest[c], Math.abs(w));
      }
      before = after;
      const allowed = (c: number) =>
        roundings * (i + 1) * ROUNDING * largest[c] + TOLERANCE * way[c];
      const found = await fixture.weights.read("w");
      assertColumns(found, after, allowed, `optimizer ${name}, weights`, `step ${i + 1}`);
    }
    const moments = golden.moments as Partial<Record<string, number[]>>;
    const check = async (
      set: SlabSet,
      values: number[],
      what: string,
      allowed: (column: number) => number,
    ) => assertColumns(await set.read("w"), values, allowed, `optimizer ${name}, ${what}`);
    const squares = (moments.exp_avg_sq ?? moments.square_avg)!;
    await check(fixture.optimizer.expAvgSq, squares, "exp_avg_sq", (c) => TOLERANCE * squares[c]);
    if (kind === "adamw") {
      // Gradients of both signs cancel: what is rounded is of their size, and counts for ten steps.
      const sizes = squares.map((_, c) => Math.max(...torch.gradients.map((g) => Math.abs(g[c]))));
      const averages = moments.exp_avg!;
      await check(
        fixture.optimizer.expAvg!,
        averages,
        "exp_avg",
        (c) => TOLERANCE * Math.abs(averages[c]) + ROUNDING * sizes[c],
      );
    }
    fixture.destroy();
  });
}

/** One float64 step of a tensor from zero moments: weights and second moments. */
function expected(kind: Kind, w: Float32Array, g: Float32Array, factor: number, decay: number) {
  const c = { ...SETTINGS, weightDecay: decay };
  const states = Array.from(w, (weight, i) => {
    const state: State = { weight, expAvg: 0, expAvgSq: 0 };
    const gradient = g[i] * factor;
    return kind === "adamw" ? adamw(state, gradient, 1, c) : rmsprop(state, gradient, c);
  });
  return {
    weights: states.map((state) => state.weight),
    squares: states.map((state) => state.expAvgSq),
  };
}

for (const kind of KIND) {
  rig.test(`${kind} over several slabs clips by the global norm and decays matrices only`, async () => {
    const random = new Random(1);
    const sizes = { a: 4, b: 1020, c: 124, norm1: 28, norm2: 4 };
    const make = (scale: number): Tensors =>
      Object.fromEntries(
        Object.entries(sizes).map(([name, n]) => [name, random.normals(n, scale)]),
      );
    const weights = make(1), gradients = make(0.1);
    const all = Float32Array.from(Object.values(gradients).flatMap((g) => [...g]));
    for (const maxGradNorm of [0, 1e-3, 1, 1e3]) {
      const fixture = new Fixture(kind, weights, 4096);
      assertEquals(fixture.weights.layout.slabs.length > 2, true);
      const { gradNorm, finite } = await fixture.step(gradients, { maxGradNorm, weightDecay: 0.1 });
      assertEquals(finite, true);
      assertClose([gradNorm], [norm(all)], { relativeMax: 1e-6 }, "optimizer norm");
      const factor = clipFactor(norm(all), maxGradNorm);
      for (const [name, w] of Object.entries(weights)) {
        const decay = name.startsWith("norm") ? 0 : 0.1;
        const after = expected(kind, w, gradients[name], factor, decay);
        const found = await fixture.weights.read(name);
        const place = `${name}, at most ${maxGradNorm}`, group = `optimizer clipped ${kind}`;
        assertClose(found, after.weights, { relativeMax: 1e-6 }, `${group}, weights`, place);
        // A first step hardly depends on the size of a gradient; the moments show the clipping.
        const squares = await fixture.optimizer.expAvgSq.read(name);
        assertClose(squares, after.squares, { relativeMax: 1e-6 }, `${group}, exp_avg_sq`, place);
        const left = await fixture.gradients.read(name);
        assertEquals(left.every((x) => x === 0), true, "gradients are cleared");
      }
      fixture.destroy();
    }
  });

  rig.sameBits(`${kind} of slabs in several pieces`, async () => {
    const random = new Random(6);
    const make = (scale: number) => repeat(random.normals(PERIOD, scale), WIDE);
    const weights = { a: make(1), norm: make(1).slice(0, 68) };
    const fixture = new Fixture(kind, weights, 2 ** 25), found: Record<string, Float32Array> = {};
    for (const step of [1, 2]) {
      const gradients = { a: make(0.1), norm: make(0.1).slice(0, 68) };
      const { gradNorm } = await fixture.step(gradients, {
        step,
        maxGradNorm: 1,
        weightDecay: 0.1,
      });
      found[`norm ${step}`] = Float32Array.of(gradNorm);
    }
    const { expAvg, expAvgSq } = fixture.optimizer;
    const sets = { weights: fixture.weights, expAvgSq, ...(expAvg ? { expAvg } : {}) };
    for (const [name, set] of Object.entries(sets)) {
      for (const tensor of ["a", "norm"]) found[`${name} ${tensor}`] = await set.read(tensor);
    }
    fixture.destroy();
    return found;
  });

  rig.test(`${kind} leaves everything alone when a gradient is not finite`, async () => {
    const random = new Random(2), weights = { a: random.normals(1024), norm: random.normals(68) };
    const fixture = new Fixture(kind, weights);
    const good = { a: random.normals(1024), norm: random.normals(68) };
    await fixture.step(good);
    const read = async () => [
      await fixture.weights.read("a"),
      await fixture.weights.read("norm"),
      await fixture.optimizer.expAvgSq.read("a"),
      ...(fixture.optimizer.expAvg ? [await fixture.optimizer.expAvg.read("a")] : []),
    ];
    const before = await read();
    // 1e20 is finite, but its square is not: the norm is lost, so the step must not be taken.
    for (const value of [NaN, Infinity, -Infinity, 3e38, 1e20]) {
      for (const [name, at] of [["a", 0], ["a", 1023], ["norm", 67]] as const) {
        const bad = { a: good.a.slice(), norm: good.norm.slice() };
        bad[name][at] = value;
        const { finite } = await fixture.step(bad, { step: 2, maxGradNorm: 1 });
        assertEquals(finite, false, `${value} at ${name}[${at}]`);
        for (const [i, now] of (await read()).entries()) {
          assertSameBits(now, before[i], `after ${value} at ${name}[${at}]`);
        }
        assertSameBits(await fixture.gradients.read(name), bad[name], "the gradient stays");
      }
    }
    const { finite } = await fixture.step(good, { step: 2 });
    assertEquals(finite, true);
    assertEquals((await fixture.weights.read("a"))[0] !== before[0][0], true);
    fixture.destroy();
  });
}

rig.test("the norm of many gradients is exact to float32 and the same twice", async () => {
  const random = new Random(3);
  // 300,000 values: 4,688 partial sums, folded twice.
  for (const scale of [1, 1e-3, 1e3]) {
    const g = random.normals(300_000, scale), fixture = new Fixture("rmsprop", { w: g }, 2 ** 21);
    const first = await fixture.step({ w: g }), again = await fixture.step({ w: g });
    assertClose([first.gradNorm], [norm(g)], { relativeMax: 1e-6 }, "optimizer norm of 300,000");
    assertEquals(again.gradNorm, first.gradNorm);
    fixture.destroy();
  }
});

rig.test("gradients of zero give norm 0, and weights stay without decay", async () => {
  for (const kind of KIND) {
    const w = new Random(4).normals(20), fixture = new Fixture(kind, { w });
    const { gradNorm, finite } = await fixture.step({}, { maxGradNorm: 1 });
    assertEquals([gradNorm, finite], [0, true]);
    assertSameBits(await fixture.weights.read("w"), w, "weights");
    fixture.destroy();
  }
});

Deno.test("an update of more than 65,535 workgroups reaches every weight", async () => {
  // One vec4 an invocation: 64 * 4 weights a workgroup; the gradients repeat with a prime period.
  const count = 65_536 * 64 * 4 + 4, piece = new Random(5).normals(PERIOD, 1e-3);
  const g = repeat(piece, count);
  const fixture = new Fixture("rmsprop", { w: new Float32Array(count) }, 2 ** 27);
  const { gradNorm } = await fixture.step({ w: g });
  assertClose([gradNorm], [norm(g)], { relativeMax: 1e-6 }, "optimizer norm of 16,777,220");
  const w = await fixture.weights.read("w"), first = w.slice(0, PERIOD);
  const twin = expected("rmsprop", zero(PERIOD), piece, 1, 0).weights;
  assertClose(first, twin, { relativeMax: 1e-6 }, "optimizer, many workgroups");
  let different = 0;
  for (let i = 0; i < count; i++) if (w[i] !== first[i % PERIOD]) different++;
  assertEquals(different, 0);
  fixture.destroy();
});

const zero = (count: number): Float32Array => new Float32Array(count);

/** `count` values that repeat some. */
function repeat(values: Float32Array, count: number): Float32Array {
  const all = zero(count);
  for (let at = 0; at < count; at += values.length) all.set(values.subarray(0, count - at), at);
  return all;
}
