/** SiLU and both GELUs (arXiv 1606.08415) in float64, with their derivatives. */
import type { Numbers } from "./matmul.ts";

export type Kind = "silu" | "gelu" | "gelu_tanh";

/** The normal distribution's cumulative share: a series, or a continued fraction far out. */
function share(z: number): number {
  const density = Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
  if (Math.abs(z) > 5) {
    let fraction = 0;
    for (let n = 60; n > 0; n--) fraction = n / (Math.abs(z) + fraction);
    const tail = density / (Math.abs(z) + fraction);
    return z > 0 ? 1 - tail : tail;
  }
  let term = z, sum = z;
  for (let n = 1; n < 120; n++) sum += term *= z * z / (2 * n + 1);
  return 0.5 + density * sum;
}

export function value(kind: Kind, z: number): number {
  if (kind === "silu") return z / (1 + Math.exp(-z));
  if (kind === "gelu") return z * share(z);
  return z / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));
}

export function slope(kind: Kind, z: number): number {
  if (kind === "silu") {
    const s = 1 / (1 + Math.exp(-z));
    return s + z * s * (1 - s);
  }
  if (kind === "gelu") return share(z) + z * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
  const root = Math.sqrt(2 / Math.PI), t = Math.tanh(root * (z + 0.044715 * z ** 3));
  return (1 + t) / 2 + z / 2 * (1 - t * t) * root * (1 + 3 * 0.044715 * z * z);
}

/** h = f(gate) * up, and the gradients of gate and up for dh. */
export function gated(kind: Kind, gate: Numbers, up: Numbers, dh: Numbers) {
  const of = (map: (z: number, u: number, d: number) => number) =>
    Float64Array.from(gate, (z, i) => map(z, up[i], dh[i]));
  return {
    h: of((z, u) => value(kind, z) * u),
    dGate: of((z, u, d) => d * u * slope(kind, z)),
    dUp: of((z, _, d) => d * value(kind, z)),
  };
}
