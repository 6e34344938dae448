/** The float64 twins' gradients against central differences of the twins: full Jacobians. */
import { assertEquals } from "@std/assert";
import { assertClose, printMargins } from "../assert_close.ts";
import { gated } from "./activation.ts";
import { attention, attentionBackward } from "./attention.ts";
import {
  cut,
  type Differentiable,
  jacobianByBackward,
  jacobianByDifferences,
  join,
} from "./differences.ts";
import { gatherRows, gatherRowsBackward } from "./gather_rows.ts";
import { layerNorm, layerNormBackward } from "./layer_norm.ts";
import { logSoftmax, logSoftmaxBackward } from "./log_softmax.ts";
import { linear, linearBackward } from "./matmul.ts";
import { Random } from "./random.ts";
import { rmsNorm, rmsNormBackward } from "./rms_norm.ts";
import { rotate } from "./rope.ts";
import { swiglu, swigluBackward } from "./swiglu.ts";

Deno.test.afterAll(printMargins);

/** T2 of the test plan: step and relative error, in the Frobenius norm. */
const STEP = 1e-6, TOLERANCE = 1e-6;

/** Asserts equal Jacobians at random points with `inputs` values, of N(0, scale^2). */
function check(name: string, inputs: number, op: Differentiable, scale = 1): void {
  Deno.test(`twin of ${name}: the gradient equals central differences`, () => {
    for (const seed of [1, 2, 3]) {
      const random = new Random(seed);
      const x = Float64Array.from({ length: inputs }, () => scale * random.normal());
      const found = jacobianByBackward(op, x);
      const differences = jacobianByDifferences(op.forward, x, STEP);
      assertEquals(found.length, differences.length);
      const bounds = { relativeL2: TOLERANCE };
      assertClose(
        join(...found),
        join(...differences),
        bounds,
        `differences ${name}`,
        `seed ${seed}`,
      );
    }
  });
}

const linearShape = { rows: 3, inputs: 4, outputs: 2 };
const linearCuts = [12, 8, 2];
check("linear", 22, {
  forward: (x) => {
    const [a, w, bias] = cut(x, linearCuts);
    return linear(a, w, bias, linearShape);
  },
  backward: (x, dy) => {
    const [a, w] = cut(x, linearCuts), { dx, dw, dbias } = linearBackward(a, w, dy, linearShape);
    return join(dx, dw, dbias);
  },
});

for (const scale of [1, 1e-2]) {
  check(`rms_norm, scale ${scale}`, 20, {
    forward: (x) => rmsNorm(x.subarray(0, 15), x.subarray(15), 1e-5).y,
    backward: (x, dy) => {
      const { dx, dWeight } = rmsNormBackward(x.subarray(0, 15), x.subarray(15), dy, 1e-5);
      return join(dx, dWeight);
    },
  }, scale);
}

check("layer_norm", 25, {
  forward: (x) => layerNorm(x.subarray(0, 15), x.subarray(15, 20), x.subarray(20), 1e-5),
  backward: (x, dy) => {
    const { dx, dWeight, dBias } = layerNormBackward(
      x.subarray(0, 15),
      x.subarray(15, 20),
      dy,
      1e-5,
    );
    return join(dx, dWeight, dBias);
  },
});

for (const kind of ["silu", "gelu", "gelu_tanh"] as const) {
  check(`gated ${kind}`, 14, {
    forward: (x) => gated(kind, x.subarray(0, 7), x.subarray(7), new Float64Array(7)).h,
    backward: (x, dh) => {
      const { dGate, dUp } = gated(kind, x.subarray(0, 7), x.subarray(7), dh);
      return join(dGate, dUp);
    },
  }, 2);
}

const positions = [2, 0, 1];
const table = [0, 0.3, 1.2, 2.5, 4, 5].flatMap((angle) => [Math.cos(angle), Math.sin(angle)]);
check("rope", 24, {
  forward: (x) => rotate(x, positions, table, 2, 4, 1),
  backward: (_, dy) => rotate(dy, positions, table, 2, 4, -1),
});

check("swiglu", 14, {
  forward: (x) => swiglu(x.subarray(0, 7), x.subarray(7)),
  backward: (x, dh) => {
    const { dGate, dUp } = swigluBackward(x.subarray(0, 7), x.subarray(7), dh);
    return join(dGate, dUp);
  },
}, 2);

const targets = [4, 0, 2];
check("log_softmax", 15, {
  forward: (x) => logSoftmax(x, targets).logp,
  backward: (x, seeds) => logSoftmaxBackward(x, targets, seeds),
}, 2);

const index = [2, 0, 2, 2, 3];
check("gather_rows", 12, {
  forward: (x) => gatherRows(x, index, 3),
  backward: (_, dOut) => gatherRowsBackward(dOut, index, 4, 3),
});

// A shared prompt of two tokens with answers of two and one, then another sequence of two.
const mask = [
  [0, 0, 0, 5],
  [0, 0, 0, 5],
  [0, 2, 2, 4],
  [0, 2, 2, 4],
  [0, 2, 4, 5],
  [0, 0, 5, 7],
  [0, 0, 5, 7],
].flat();
for (
  const [keyValueHeads, options] of [
    [2, {}],
    [1, {}],
    [2, { slidingWindow: 3 }],
    [1, { softcap: 1.5 }],
  ] as const
) {
  const shape = { tokens: 7, heads: 2, keyValueHeads, headDim: 2, mask, ...options };
  const cuts = [28, 14 * keyValueHeads, 14 * keyValueHeads];
  check(
    `attention, 2 heads on ${keyValueHeads} ${JSON.stringify(options)}`,
    cuts.reduce((a, b) => a + b),
    {
      forward: (x) => {
        const [q, k, v] = cut(x, cuts);
        return attention(q, k, v, shape).o;
      },
      backward: (x, dO) => {
        const [q, k, v] = cut(x, cuts), { dq, dk, dv } = attentionBackward(q, k, v, dO, shape);
        return join(dq, dk, dv);
      },
    },
  );
}
