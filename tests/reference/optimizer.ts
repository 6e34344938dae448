/** Gradient norm, clipping, AdamW and RMSprop in float64, as PyTorch defines them. */
import type { Numbers } from "./matmul.ts";

export function norm(gradient: Numbers): number {
  let squares = 0;
  for (let i = 0; i < gradient.length; i++) squares += gradient[i] ** 2;
  return Math.sqrt(squares);
}

/** torch.nn.utils.clip_grad_norm_: the factor on all gradients; a maximum of 0 switches it off. */
export function clipFactor(length: number, maximum: number): number {
  return maximum === 0 ? 1 : Math.min(1, maximum / (length + 1e-6));
}

export interface Constants {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly alpha: number;
  readonly eps: number;
  readonly weightDecay: number;
}

/** One parameter's value and moments; `expAvg` is AdamW's only. */
export interface State {
  readonly weight: number;
  readonly expAvg: number;
  readonly expAvgSq: number;
}

/** torch.optim.AdamW: decoupled decay, then the bias-corrected step number `step` (1-based). */
export function adamw(s: State, g: number, step: number, c: Constants): State {
  const decayed = s.weight * (1 - c.learningRate * c.weightDecay);
  const expAvg = c.beta1 * s.expAvg + (1 - c.beta1) * g;
  const expAvgSq = c.beta2 * s.expAvgSq + (1 - c.beta2) * g * g;
  const m = expAvg / (1 - c.beta1 ** step), v = expAvgSq / (1 - c.beta2 ** step);
  return { weight: decayed - c.learningRate * m / (Math.sqrt(v) + c.eps), expAvg, expAvgSq };
}

/** torch.optim.RMSprop: not centred, no momentum; decay is added to the gradient. */
export function rmsprop(s: State, gradient: number, c: Constants): State {
  const g = gradient + c.weightDecay * s.weight;
  const expAvgSq = c.alpha * s.expAvgSq + (1 - c.alpha) * g * g;
  const weight = s.weight - c.learningRate * g / (Math.sqrt(expAvgSq) + c.eps);
  return { weight, expAvg: s.expAvg, expAvgSq };
}
