/** Keeps numbers at the far ends of float64 finite. */

/** Losses and logits stop here, so that a sum over a batch cannot overflow; no training gets near. */
const LARGEST = 1e307;

/** x, stopped where a sum over a batch could overflow. */
export function bounded(x: number): number {
  return Math.min(Math.max(x, -LARGEST), LARGEST);
}
