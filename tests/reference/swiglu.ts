/** The gated activation of Llama's feed-forward layer (arXiv 2002.05202) in float64. */
import type { Numbers } from "./matmul.ts";

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

/** h = silu(gate) * up. */
export function swiglu(gate: Numbers, up: Numbers): Float64Array {
  return Float64Array.from({ length: gate.length }, (_, i) => gate[i] * sigmoid(gate[i]) * up[i]);
}

/** Gradients of {@linkcode swiglu} for the gradient dh of h. */
export function swigluBackward(
  gate: Numbers,
  up: Numbers,
  dh: Numbers,
): { dGate: Float64Array; dUp: Float64Array } {
  const dGate = new Float64Array(gate.length), dUp = new Float64Array(gate.length);
  for (let i = 0; i < gate.length; i++) {
    const s = sigmoid(gate[i]);
    // silu(z)' = s + z s (1 - s); 1 - s is sigmoid(-z), which does not cancel.
    dGate[i] = dh[i] * up[i] * (s + gate[i] * s * sigmoid(-gate[i]));
    dUp[i] = dh[i] * gate[i] * s;
  }
  return { dGate, dUp };
}
