/** The gradient of whole small models against finite differences of their own forward pass. */
import { assert, assertEquals } from "@std/assert";
import type { TokenizedExample } from "../../model/engine.ts";
import type { LlamaEngine } from "../../model/llama.ts";
import type { Architecture } from "../../model/architecture.ts";
import { noteMargin } from "../assert_close.ts";
import { Random } from "../reference/random.ts";
import {
  engineOf,
  gradientsOf,
  type Model,
  openForTests,
  printMarginsAtEnd,
  randomModel,
  randomSeeds,
  row,
  SMALL,
  withHeadDim,
} from "./small_engine.ts";

const gpu = await openForTests();
printMarginsAtEnd();

/** Of the error of a directional derivative and the length of the gradient. */
const TOLERANCE = 2e-3;
/** Rounding (1e-6 of a log-probability) and what the differences leave out cost about as much. */
const STEP = 0.004;

/** Prompts and answers of several lengths, an answer of one token, ids that come again. */
function rowsFor(vocabulary: number): TokenizedExample[] {
  const random = new Random(5);
  const ids = (count: number) => random.integers(count, vocabulary);
  return [
    row(0, ids(7), [ids(5), ids(9)]),
    row(1, ids(1), [ids(1), ids(6)]),
    row(2, ids(12), [ids(8), ids(3)], 2),
  ];
}

/** A point in weight space, as an engine takes it. */
type Point = ReadonlyMap<string, Float32Array>;

class Objective {
  readonly #engine: LlamaEngine;
  readonly #rows: readonly TokenizedExample[];
  readonly #seeds: Float32Array;

  constructor(engine: LlamaEngine, rows: readonly TokenizedExample[], seeds: Float32Array) {
    this.#engine = engine;
    this.#rows = rows;
    this.#seeds = seeds;
  }

  /** Sum of seed times log-probability at a point. */
  async at(point: Point): Promise<number> {
    await this.#engine.restore(
      [...point].map(([name, data]) => ({ name, shape: [], data })),
    );
    const { logps } = await this.#engine.score(this.#rows);
    return logps.reduce((sum, logp, i) => sum + logp * this.#seeds[i], 0);
  }

  /**
   * Derivative at `point` along `direction`, by central differences of steps h and 2h combined so
   * that the error is of fourth order.
   */
  async along(point: Point, direction: Point): Promise<number> {
    const moved = (h: number): Point =>
      new Map([...point].map(([name, x]) => {
        const d = direction.get(name);
        return [name, d ? x.map((value, i) => value + h * d[i]) : x];
      }));
    const slope = async (h: number) => (await this.at(moved(h)) - await this.at(moved(-h))) / 2 / h;
    return (4 * await slope(STEP) - await slope(2 * STEP)) / 3;
  }
}

function length(point: Point): number {
  let squares = 0;
  for (const values of point.values()) for (const x of values) squares += x * x;
  return Math.sqrt(squares);
}

function dot(a: Point, b: Point): number {
  let sum = 0;
  for (const [name, values] of a) values.forEach((x, i) => sum += x * b.get(name)![i]);
  return sum;
}

/** A random direction of length 1 through the tensors `names`. */
function direction(random: Random, weights: Point, names: Iterable<string>): Point {
  const free = new Map([...names].map((name) => [name, random.normals(weights.get(name)!.length)]));
  const size = length(free);
  return new Map([...free].map(([name, values]) => [name, values.map((x) => x / size)]));
}

async function withGradient(
  model: Model,
  use: (objective: Objective, gradient: Point) => Promise<void>,
): Promise<void> {
  const engine = await engineOf(gpu, model);
  const rows = rowsFor(model.config.vocabSize);
  const scores = await engine.score(rows);
  const seeds = randomSeeds(9, scores);
  await engine.learn(rows, seeds);
  const gradient = await gradientsOf(engine);
  await use(new Objective(engine, rows, seeds), gradient);
  engine.destroy();
}

/** |found - expected| <= TOLERANCE * size */
function check(found: number, expected: number, size: number, group: string, place: string): void {
  const ratio = Math.abs(found - expected) / (TOLERANCE * size);
  noteMargin(group, ratio);
  assert(ratio <= 1, `${group}, ${place}: ${found} by differences, ${expected} by backward`);
}

/** About 700 parameters, so that a random direction has a good part of the gradient's length. */
const TINY: Architecture = {
  ...withHeadDim(SMALL, 4),
  hiddenSize: 8,
  intermediateSize: 12,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  vocabSize: 15,
};

Deno.test("32 directions through all parameters agree with the gradient", async () => {
  const model = randomModel(TINY, 31);
  await withGradient(model, async (objective, gradient) => {
    const random = new Random(32);
    for (let i = 0; i < 32; i++) {
      const d = direction(random, model.weights, model.weights.keys());
      const found = await objective.along(model.weights, d);
      check(found, dot(d, gradient), length(gradient), "gradient, all tensors", `direction ${i}`);
    }
  });
});

/** What the gradient itself points to is the direction that says most. */
Deno.test("the gradient is as long as the slope along it", async () => {
  const model = randomModel({ ...SMALL, attentionBias: true, outputBias: true, mlpBias: true }, 33);
  await withGradient(model, async (objective, gradient) => {
    const size = length(gradient);
    const unit = new Map([...gradient].map(([name, g]) => [name, g.map((x) => x / size)]));
    const found = await objective.along(model.weights, unit);
    check(found, size, size, "gradient, its own direction", "all tensors");
  });
});

const variants: Readonly<Record<string, Architecture>> = {
  "untied, no biases": SMALL,
  "tied, biases everywhere": {
    ...SMALL,
    tieWordEmbeddings: true,
    attentionBias: true,
    outputBias: true,
    mlpBias: true,
  },
};

for (const [name, config] of Object.entries(variants)) {
  Deno.test(`each tensor's gradient agrees with differences: ${name}`, async () => {
    const model = randomModel(config, 34);
    await withGradient(model, async (objective, gradient) => {
      const random = new Random(35);
      assertEquals([...gradient.keys()].sort(), [...model.weights.keys()].sort());
      for (const tensor of model.weights.keys()) {
        const own = new Map([[tensor, gradient.get(tensor)!]]);
        const size = length(own);
        // Half along the gradient, so that the derivative is no small difference, half elsewhere.
        const other = direction(random, model.weights, [tensor]).get(tensor)!;
        const mixed = own.get(tensor)!.map((g, i) => Math.SQRT1_2 * (g / size + other[i]));
        const d = new Map([[tensor, mixed]]);
        const found = await objective.along(model.weights, d);
        check(found, dot(d, gradient), size, `gradient, ${name}`, tensor);
      }
    });
  });
}
