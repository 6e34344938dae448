/** Log-probabilities over chunks of a vocabulary, forward and backward, against float64. */
import { assertEquals } from "@std/assert";
import { kernel } from "../../gpu/kernels/mod.ts";
import { WORKGROUP } from "../../gpu/pipeline.ts";
import { groupsFor, type Input, type View } from "../../gpu/program.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { logSoftmax, logSoftmaxBackward } from "../reference/log_softmax.ts";
import { fill, type Kind, KINDS, Random } from "../reference/random.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
/** rows, vocabulary, chunk: one, primes, rows below and above a workgroup, one to four chunks. */
const SHAPES = [
  [1, 1, 256],
  [7, 13, 256],
  [31, 47, 256],
  [63, 256, 256],
  [65, 257, 256],
  [1, 1021, 512],
  [13, 1000, 256],
  [123, 300, 512],
];
/** Stands in columns behind the vocabulary, and must change nothing. */
const GARBAGE = 3e38;

interface Case {
  readonly rows: number;
  readonly width: number;
  readonly chunk: number;
  readonly logits: Float32Array;
  readonly targets: Uint32Array;
  readonly seeds: Float32Array;
}

function makeCase([rows, width, chunk]: readonly number[], kind: Kind, seed: number): Case {
  const random = new Random(seed);
  return {
    rows,
    width,
    chunk,
    logits: fill(random, kind, rows, width),
    targets: random.integers(rows, width),
    seeds: random.normals(rows),
  };
}

/** Columns [begin, begin + chunk) of the logits, as a chunk's buffer. */
function columns(c: Case, begin: number): View {
  const data = new Float32Array(c.rows * c.chunk).fill(GARBAGE);
  const end = Math.min(c.width, begin + c.chunk);
  for (let r = 0; r < c.rows; r++) {
    data.set(c.logits.subarray(r * c.width + begin, r * c.width + end), r * c.chunk);
  }
  return rig.upload(data);
}

const begins = (c: Case) =>
  Array.from({ length: Math.ceil(c.width / c.chunk) }, (_, i) => i * c.chunk);

/** Queues forward and backward; the gradient comes back chunk by chunk. */
function queue(c: Case, softcap?: number): Record<string, View> {
  const targets = rig.upload(c.targets), seeds = rig.upload(c.seeds);
  const running = rig.upload(new Float32Array(c.rows * 4).fill(GARBAGE));
  const logp = rig.zeros(c.rows), lse = rig.zeros(c.rows), squares = rig.zeros(c.rows);
  const stride4 = c.chunk / 4, caps = softcap === undefined ? undefined : { SOFTCAP: softcap };
  const chunks = begins(c).map((begin) => ({
    logits: columns(c, begin),
    params: [c.rows, Math.min(c.chunk, c.width - begin), stride4, begin],
  }));
  const perRow = groupsFor(c.rows, WORKGROUP), perFour = groupsFor(c.rows * stride4, WORKGROUP);
  rig.run((program) => {
    const add = (
      entry: "accumulate" | "finish" | "backward",
      views: (View | Input)[],
      params: number[],
    ) =>
      program.add(kernel(rig.gpu, "log_softmax", entry, rig.inTextures, [], caps), views, () => ({
        params,
        groups: entry === "backward" ? perFour : perRow,
        operations: 1,
      }));
    for (const { logits, params } of chunks) {
      add("accumulate", [rig.input(logits), targets, running], params);
    }
    add("finish", [running, logp, lse, squares], [c.rows, 0, 0, 0]);
    for (const { logits, params } of chunks) {
      add("backward", [rig.input(logits, true), targets, lse, seeds], params);
    }
  });
  const gradients = chunks.map(({ logits }, i) => [`d${i}`, logits]);
  return { logp, lse, squares, ...Object.fromEntries(gradients) };
}

/** The dense gradient [rows, width]; asserts zeros behind the vocabulary. */
function gradient(found: Record<string, Float32Array>, c: Case): Float32Array {
  const dense = new Float32Array(c.rows * c.width);
  for (const [i, begin] of begins(c).entries()) {
    const valid = Math.min(c.chunk, c.width - begin);
    for (let r = 0; r < c.rows; r++) {
      const row = found[`d${i}`].subarray(r * c.chunk, (r + 1) * c.chunk);
      dense.set(row.subarray(0, valid), r * c.width + begin);
      assertEquals(row.subarray(valid).every((x) => x === 0), true, "gradient of no column");
    }
  }
  return dense;
}

rig.test("log_softmax equals float64 at 8 shapes, 5 seeds", async () => {
  const cases = SHAPES.flatMap((shape, s) =>
    KINDS.map((kind, i) => makeCase(shape, kind, 10 * s + i))
  );
  const found = await rig.finish(cases.map((c) => queue(c)));
  for (const [i, c] of cases.entries()) {
    const kind = KINDS[i % 5], place = `${c.rows} x ${c.width} in ${c.chunk}, ${kind}`;
    const { logp, lse, squares } = logSoftmax(c.logits, c.targets);
    const log = { ...FORWARD, scale: 1 };
    assertClose(found[i].squares, squares, log, "log_softmax log sum p^2", place);
    assertClose(found[i].logp, logp, FORWARD, "log_softmax logp", place);
    assertClose(found[i].lse, lse, { ...FORWARD, scale: 1 }, "log_softmax lse", place);
    const d = logSoftmaxBackward(c.logits, c.targets, c.seeds);
    // lse is kept in float32: its rounding, |lse| * 2^-24, is a relative error of every probability.
    const rounding = kind === "large" ? 2 ** -24 * Math.max(...lse.map(Math.abs)) : 0;
    const bounds = { relativeL2: BACKWARD.relativeL2! + rounding };
    assertClose(gradient(found[i], c), d, bounds, `log_softmax backward, ${kind}`, place);
  }
});

rig.sameBits("log_softmax", async () => {
  const [found] = await rig.finish([queue(makeCase([65, 1021, 512], "normal", 6))]);
  return found;
});

rig.test("the size of a vocabulary chunk changes no bit", async () => {
  const c = makeCase([31, 1500, 256], "normal", 5);
  const sizes = [256, 512, 768, 1536].map((chunk) => ({ ...c, chunk }));
  const found = await rig.finish(sizes.map((c) => queue(c)));
  for (const [i, one] of sizes.entries()) {
    assertSameBits(found[i].logp, found[0].logp, `logp in chunks of ${one.chunk}`);
    assertSameBits(found[i].squares, found[0].squares, `log sum p^2 in chunks of ${one.chunk}`);
    assertSameBits(found[i].lse, found[0].lse, `lse in chunks of ${one.chunk}`);
    assertSameBits(gradient(found[i], one), gradient(found[0], c), `gradient, ${one.chunk}`);
  }
});

rig.test("logits of +-1e4 give finite log-probabilities and gradients", async () => {
  const rows = [
    [1e4, -1e4, 0, 1e4],
    [-1e4, -1e4, -1e4, -1e4],
    [1e4, 1e4, 1e4, 1e4],
    [-1e4, 0, 0, 0],
    [1e4, -1e4, -1e4, -1e4],
  ];
  const c: Case = {
    rows: 5,
    width: 4,
    chunk: 256,
    logits: Float32Array.from(rows.flat()),
    targets: Uint32Array.of(1, 2, 3, 0, 0),
    seeds: Float32Array.of(1, 1, 1, 1, 1),
  };
  const [found] = await rig.finish([queue(c)]);
  const { logp } = logSoftmax(c.logits, c.targets);
  assertClose(found.logp, logp, { relativeMax: 1e-7 }, "log_softmax +-1e4 logp");
  // Each row alone: the largest must not hide the others.
  for (let r = 0; r < 5; r++) {
    const one = found.logp.subarray(r, r + 1);
    assertClose(one, logp.subarray(r, r + 1), { relativeMax: 1e-6 }, "log_softmax +-1e4, a row");
  }
  assertEquals(gradient(found, c).every(Number.isFinite), true);
  assertEquals(found.logp[4], 0);
});

rig.test("capped logits equal float64 at 8 shapes", async () => {
  const cap = 2.5, cases = SHAPES.map((shape, i) => makeCase(shape, "normal", 200 + i));
  const scaled = cases.map((c) => ({ ...c, logits: c.logits.map((z) => 3 * z) }));
  const found = await rig.finish(scaled.map((c) => queue(c, cap)));
  for (const [i, c] of scaled.entries()) {
    const place = `${c.rows} x ${c.width}`;
    const capped = Float64Array.from(c.logits, (z) => cap * Math.tanh(z / cap));
    const { logp, lse, squares } = logSoftmax(capped, c.targets);
    for (const [name, expected] of Object.entries({ logp, lse, squares })) {
      const bounds = { ...FORWARD, scale: 1 };
      assertClose(found[i][name], expected, bounds, `capped logits, ${name}`, place);
    }
    const d = logSoftmaxBackward(capped, c.targets, c.seeds);
    const slope = d.map((value, at) => value * (1 - (capped[at] / cap) ** 2));
    const bounds = { ...BACKWARD, scale: 1 };
    assertClose(gradient(found[i], c), slope, bounds, "capped logits backward", place);
  }
});
