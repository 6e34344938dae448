/** Losses of one logit x, which modes and pair losses put different things into. */
import { bounded } from "./bounded.ts";
import { logSigmoid, sigmoid } from "./log_sigmoid.ts";

/** A loss and its derivative with respect to x. */
export interface MarginValue {
  readonly loss: number;
  readonly slope: number;
}

/** -log s(x), or with smoothing e (0 .. 1): -(1 - e) log s(x) - e log s(-x). */
export function logistic(x: number, smoothing = 0): MarginValue {
  const logit = bounded(x);
  // Without smoothing the second term would be 0 * log, which is one product too many.
  if (smoothing === 0) return { loss: bounded(-logSigmoid(logit)), slope: -sigmoid(-logit) };
  return {
    loss: bounded(-(1 - smoothing) * logSigmoid(logit) - smoothing * logSigmoid(-logit)),
    slope: smoothing * sigmoid(logit) - (1 - smoothing) * sigmoid(-logit),
  };
}

/** max(0, 1 - x). */
export function hinge(x: number): MarginValue {
  const slack = 1 - bounded(x);
  return { loss: Math.max(0, slack), slope: slack > 0 ? -1 : 0 };
}

/** (x - target)^2. */
export function square(x: number, target: number): MarginValue {
  const gap = bounded(x - target);
  return { loss: bounded(gap * gap), slope: 2 * gap };
}
