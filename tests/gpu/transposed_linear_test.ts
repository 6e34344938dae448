/** Linear layers whose matrix stands as [in, out], whole and in parts, against float64. */
import type { View } from "../../gpu/program.ts";
import { transposedLinear, transposedLinearBackward } from "../../model/layer_operations.ts";
import { Operations } from "../../model/operations.ts";
import { assertClose, BACKWARD, FORWARD } from "../assert_close.ts";
import { linear, linearBackward } from "../reference/matmul.ts";
import { Random } from "../reference/random.ts";
import { makeStore } from "./parameters.ts";
import { Rig } from "./rig.ts";

const rig = await Rig.open();
/** rows, in, out: the last has its matrix in two parts of 256 and 44 rows. */
const SHAPES = [[1, 4, 4], [7, 12, 20], [65, 28, 12], [13, 300, 8]];

function makeCase([rows, inputs, outputs]: readonly number[], seed: number) {
  const random = new Random(seed);
  return {
    shape: { rows, inputs, outputs },
    x: random.normals(rows * inputs),
    /** [in, out] */
    weight: random.normals(inputs * outputs),
    bias: random.normals(outputs),
    residual: random.normals(rows * outputs),
    dy: random.normals(rows * outputs),
    dx: random.normals(rows * inputs),
  };
}
type Case = ReturnType<typeof makeCase>;

/** Queues forward with a residual, and backward that starts dx anew, or adds to what is there. */
function queue(c: Case, first: boolean): Record<"y" | "dx" | "dWeight" | "dBias", View> {
  const { rows, inputs, outputs } = c.shape;
  const store = makeStore(rig.gpu, {
    "l.weight": { shape: [inputs, outputs], weight: c.weight },
    "l.bias": { shape: [outputs], weight: c.bias },
  }, 256 * 8 * 4);
  const [x, dy, dx] = [c.x, c.dy, c.dx].map((data) => rig.upload(data));
  const y = rig.zeros(rows * outputs), dWeight = rig.zeros(inputs * outputs);
  rig.run((program) => {
    const o = new Operations(rig.gpu, program, store, rig.zeros(Math.ceil(rows / 32) * outputs));
    transposedLinear(o, "l", x, y, rows, rig.upload(c.residual));
    transposedLinearBackward(o, "l", { x, dy, dx, first, rows });
  });
  const encoder = rig.gpu.device.createCommandEncoder();
  const { parts, columns } = store.gradients.layout.parameters.get("l.weight")!;
  for (const { slab, offset, size, rowBegin } of parts) {
    const from = store.gradients.buffers[slab];
    encoder.copyBufferToBuffer(from, offset, dWeight.buffer, rowBegin * columns * 4, size);
  }
  rig.gpu.submit(encoder);
  return { y, dx, dWeight, dBias: rig.keep(store.gradientView("l.bias"), () => store.destroy()) };
}

/** [columns, rows] of [rows, columns]. */
function turn(values: ArrayLike<number>, columns: number): Float64Array {
  const rows = values.length / columns;
  return Float64Array.from(
    values,
    (_, i) => values[(i % rows) * columns + Math.floor(i / rows)],
  );
}
const plus = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Float64Array.from(a, (value, i) => value + b[i]);

for (const first of [true, false]) {
  const what = first ? "a new gradient" : "a gradient added";
  rig.test(`a linear layer of an [in, out] matrix, ${what}, equals float64`, async () => {
    const cases = SHAPES.map((shape, i) => makeCase(shape, i));
    const found = await rig.finish(cases.map((c) => queue(c, first)));
    for (const [i, c] of cases.entries()) {
      const w = turn(c.weight, c.shape.outputs), place = String(SHAPES[i]);
      const y = plus(linear(c.x, w, c.bias, c.shape), c.residual);
      assertClose(found[i].y, y, FORWARD, "transposed linear", place);
      const { dx, dw, dbias } = linearBackward(c.x, w, c.dy, c.shape);
      const expected = first ? dx : plus(dx, c.dx);
      assertClose(found[i].dx, expected, BACKWARD, "transposed linear dx", place);
      const dWeight = turn(dw, c.shape.inputs);
      assertClose(found[i].dWeight, dWeight, BACKWARD, "transposed linear dw", place);
      assertClose(found[i].dBias, dbias, BACKWARD, "transposed linear dbias", place);
    }
  });
}
