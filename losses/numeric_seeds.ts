/** Derivatives of a loss by differences, for modes that state only the loss. */
import type { ScoreBatch, Seeds } from "./loss_mode.ts";

/** Widest step in nats: far above the rounding of a log-probability, small beside 1 / beta. */
export const STEP = 2 ** -6;
/** Beside a kink of the loss: sees it from one side where {@linkcode STEP} reaches across. */
export const NARROW_STEP = 2 ** -12;

/** The batch with one policy log-probability replaced. */
function withPolicy(
  batch: ScoreBatch,
  part: keyof Seeds,
  row: number,
  value: number,
): ScoreBatch {
  const scores = batch[part]!;
  const policy = scores.policy.slice();
  policy[row] = value;
  return { ...batch, [part]: { ...scores, policy } };
}

/**
 * Derivative of f at x: central differences at three steps, each half the one before, extrapolated
 * to step 0 (Richardson), which leaves an error of the sixth power of the step.
 *
 * @param widest the widest of the three steps
 */
export function centralDifference(
  f: (x: number) => number,
  x: number,
  widest: number = STEP,
): number {
  // A power of two, so that x + step is exact unless x is so large that the step must grow with it.
  const step = Math.max(widest, 2 ** Math.floor(Math.log2(Math.max(Math.abs(x), 1)) - 20));
  const slope = (h: number) => (f(x + h) - f(x - h)) / (2 * h);
  const [wide, half, quarter] = [slope(step), slope(step / 2), slope(step / 4)];
  const first = (4 * half - wide) / 3;
  const second = (4 * quarter - half) / 3;
  return (16 * second - first) / 15;
}

/**
 * d loss / d summed policy log-probability of every answer, and of every prompt that has one, in
 * float64.
 *
 * @param loss the loss with the decision held; called 6 times a sum
 * @param widest the widest of the three steps, in nats
 */
export function numericSeeds(
  batch: ScoreBatch,
  loss: (batch: ScoreBatch) => number,
  widest: number = STEP,
): Seeds {
  const differences = (part: keyof Seeds) =>
    batch[part]?.policy.map((x, row) =>
      centralDifference((value) => loss(withPolicy(batch, part, row, value)), x, widest)
    );
  return {
    chosen: differences("chosen")!,
    rejected: differences("rejected"),
    prompt: differences("prompt"),
  };
}
