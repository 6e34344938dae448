/** RMSNorm forward and backward against float64. */
import { addNorm, addNormBackward } from "../../model/norm_operations.ts";
import { Operations } from "../../model/operations.ts";
import type { View } from "../../gpu/program.ts";
import { assertClose, assertSameBits, BACKWARD, FORWARD } from "../assert_close.ts";
import { fill, type Kind, KINDS, Random } from "../reference/random.ts";
import { rmsNorm, rmsNormBackward } from "../reference/rms_norm.ts";
import { makeStore } from "./parameters.ts";
import { Rig, zeroValues } from "./rig.ts";

const rig = await Rig.open();
/** A few roundings of float32. */
const ADDED = { relativeL2: 2e-7, relativeMax: 5e-7 };
const EPS = Math.fround(1e-5);
/** rows, width: one, primes (times 4 in width), one row below and above a workgroup, wide and tall. */
const SHAPES = [[1, 4], [7, 12], [13, 28], [31, 44], [63, 64], [65, 124], [1, 512], [130, 36]];

interface Case {
  readonly rows: number;
  readonly width: number;
  readonly x: Float32Array;
  readonly weight: Float32Array;
  readonly dy: Float32Array;
  /** What dx and the weight's gradient start with. */
  readonly dx: Float32Array;
  readonly dWeight: Float32Array;
}

function makeCase(rows: number, width: number, kind: Kind, seed: number): Case {
  const random = new Random(seed);
  return {
    rows,
    width,
    x: fill(random, kind, rows, width),
    weight: random.normals(width),
    dy: random.normals(rows * width),
    dx: zeroValues(rows * width),
    dWeight: zeroValues(width),
  };
}

type Result = "y" | "inv" | "dx" | "dWeight";

/** Queues forward and, `times` times, backward. */
function queue(c: Case, times = 1): Record<Result, View> {
  const { rows, width } = c;
  const store = makeStore(rig.gpu, {
    "norm.weight": { shape: [width], weight: c.weight, gradient: c.dWeight },
  });
  const x = rig.upload(c.x), y = rig.zeros(rows * width), inv = rig.zeros(rows);
  const dy = rig.upload(c.dy), dx = rig.upload(c.dx);
  const partial = rig.zeros(Math.ceil(rows / 32) * width);
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, partial);
    addNorm(o, "rms", "norm", { x, y, inv, rows, eps: EPS });
    for (let i = 0; i < times; i++) {
      addNormBackward(o, "rms", "norm", { x, inv, dy, dx, rows: "tokens", eps: EPS });
    }
  }, { tokens: rows });
  const dWeight = rig.keep(store.gradientView("norm.weight"), () => store.destroy());
  return { y, inv, dx, dWeight };
}

rig.test("rms_norm equals float64 at 8 shapes, 5 seeds", async () => {
  const cases = SHAPES.flatMap(([rows, width], s) =>
    KINDS.map((kind, i) => makeCase(rows, width, kind, 10 * s + i))
  );
  const found = await rig.finish(cases.map((c) => queue(c)));
  for (const [i, c] of cases.entries()) {
    const place = `${c.rows} x ${c.width}, ${KINDS[i % 5]}`;
    const { y, inv } = rmsNorm(c.x, c.weight, EPS);
    assertClose(found[i].y, y, FORWARD, "rms_norm y", place);
    assertClose(found[i].inv, inv, FORWARD, "rms_norm inv", place);
    const { dx, dWeight } = rmsNormBackward(c.x, c.weight, c.dy, EPS);
    assertClose(found[i].dx, dx, BACKWARD, "rms_norm dx", place);
    assertClose(found[i].dWeight, dWeight, BACKWARD, "rms_norm dweight", place);
  }
});

rig.test("rms_norm backward gives the same bytes twice and adds to what is there", async () => {
  const c = makeCase(67, 36, "normal", 5), random = new Random(6);
  const start = { dx: random.normals(67 * 36), dWeight: random.normals(36) };
  const [first, again, added, twice] = await rig.finish([
    queue(c),
    queue(c),
    queue({ ...c, ...start }),
    queue(c, 2),
  ]);
  for (const name of ["dx", "dWeight"] as const) {
    assertSameBits(again[name], first[name], name);
    const sum = Float64Array.from(start[name], (value, i) => value + first[name][i]);
    assertClose(added[name], sum, ADDED, `rms_norm ${name} added`);
    assertClose(
      twice[name],
      first[name].map((value) => 2 * value),
      ADDED,
      `rms_norm ${name} twice`,
    );
  }
  // The weight's gradient is summed first and added last; dx may be contracted by the compiler.
  const sum = start.dWeight.map((value, i) => value + first.dWeight[i]);
  assertSameBits(added.dWeight, sum, "dweight on top of other values");
});

rig.sameBits("rms_norm", async () => {
  const random = new Random(7),
    start = { dx: random.normals(67 * 36), dWeight: random.normals(36) };
  const [found] = await rig.finish([queue({ ...makeCase(67, 36, "normal", 8), ...start })]);
  return found;
});

rig.test("rms_norm of rows of zeros and of huge rows stays finite", async () => {
  const c = makeCase(3, 8, "normal", 9);
  const x = Float32Array.from(c.x, (value, i) => i < 8 ? 0 : i < 16 ? value * 1e10 : value * 1e-15);
  const [found] = await rig.finish([queue({ ...c, x })]);
  const { y } = rmsNorm(x, c.weight, EPS), { dx } = rmsNormBackward(x, c.weight, c.dy, EPS);
  for (const row of [0, 1, 2]) {
    const at = [row * 8, row * 8 + 8] as const;
    assertClose(found.y.subarray(...at), y.subarray(...at), FORWARD, "rms_norm extreme y");
    assertClose(found.dx.subarray(...at), dx.subarray(...at), BACKWARD, "rms_norm extreme dx");
  }
});
