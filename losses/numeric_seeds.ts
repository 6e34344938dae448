/** Derivatives of a loss by differences, for modes that state only the loss. */
import type { AnswerScores, ScoreBatch } from "./loss_mode.ts";

/** Largest step in nats: far above the rounding of a log-probability, small beside 1 / beta. */
const STEP = 2 ** -6;

/** The batch with one policy log-probability replaced. */
function withPolicy(
  batch: ScoreBatch,
  answer: "chosen" | "rejected",
  row: number,
  value: number,
): ScoreBatch {
  const scores = batch[answer] as AnswerScores;
  const policy = scores.policy.slice();
  policy[row] = value;
  return { ...batch, [answer]: { ...scores, policy } };
}

/**
 * Derivative of f at x: central differences at three steps, each half the one before, extrapolated
 * to step 0 (Richardson), which leaves an error of the sixth power of the step.
 */
export function centralDifference(f: (x: number) => number, x: number): number {
  // A power of two, so that x + step is exact unless x is so large that the step must grow with it.
  const step = Math.max(STEP, 2 ** Math.floor(Math.log2(Math.max(Math.abs(x), 1)) - 20));
  const slope = (h: number) => (f(x + h) - f(x - h)) / (2 * h);
  const [wide, half, quarter] = [slope(step), slope(step / 2), slope(step / 4)];
  const first = (4 * half - wide) / 3;
  const second = (4 * quarter - half) / 3;
  return (16 * second - first) / 15;
}

/**
 * d loss / d summed policy log-probability of every answer, in float64.
 *
 * @param loss the loss with the decision held; called 6 times an answer
 */
export function numericSeeds(
  batch: ScoreBatch,
  loss: (batch: ScoreBatch) => number,
): { readonly chosen: Float64Array; readonly rejected?: Float64Array } {
  const differences = (answer: "chosen" | "rejected", scores: AnswerScores) =>
    scores.policy.map((x, row) =>
      centralDifference((value) => loss(withPolicy(batch, answer, row, value)), x)
    );
  return {
    chosen: differences("chosen", batch.chosen),
    rejected: batch.rejected && differences("rejected", batch.rejected),
  };
}
