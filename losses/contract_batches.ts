/** Decision sets for the contract suite: repeatable, of any needs, ordinary or extreme. */
import type { AnswerScores, Needs, ScoreBatch, StepContext } from "./loss_mode.ts";

/** Uniform numbers in (0, 1) from a counter: splitmix32 of seed and i. */
export function counterUniform(seed: number, i: number): number {
  let x = (Math.imul(seed + 1, 0x9e3779b9) + Math.imul(i + 1, 0x85ebca6b)) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (((x ^ (x >>> 15)) >>> 0) + 0.5) / 2 ** 32;
}

/**
 * A decision set of `size` rows with what `needs` asks for.
 *
 * @param policy log-probability of answer 0 (chosen) or 1 (rejected) of a row, nats
 * @param reference the same under the reference
 */
export function makeBatch(
  needs: Needs,
  size: number,
  policy: (row: number, answer: 0 | 1) => number,
  reference: (row: number, answer: 0 | 1) => number,
): ScoreBatch {
  const column = (value: (row: number) => number) =>
    Float64Array.from({ length: size }, (_, i) => value(i));
  const scores = (answer: 0 | 1): AnswerScores => ({
    policy: column((i) => policy(i, answer)),
    ...needs.reference === "none" ? undefined : { reference: column((i) => reference(i, answer)) },
    length: Uint32Array.from({ length: size }, (_, i) => 5 + (7 * i + 3 * answer) % 23),
    ...needs.tokens?.includes("logSumP2") ? { logSumP2: column(() => -30) } : undefined,
    ...needs.tokens?.includes("epsilonMix") ? { epsilonMix: mixed(answer) } : undefined,
  });
  // Towards the reference and away from it, and every third row both ways down.
  const mixed = (answer: 0 | 1) => {
    const step = (i: number) => 0.01 * (policy(i, answer) - reference(i, answer));
    return {
      plus: column((i) => policy(i, answer) + step(i) * (i % 3 === 2 ? -1 : 1)),
      minus: column((i) => policy(i, answer) - step(i)),
    };
  };
  return {
    size,
    rows: Uint32Array.from({ length: size }, (_, i) => 100 + i),
    chosen: scores(0),
    ...needs.rows === "pairs" ? { rejected: scores(1) } : undefined,
    ...needs.rows === "unpaired"
      ? { label: Uint8Array.from({ length: size }, (_, i) => i % 2) }
      : undefined,
    ...needs.extra === "mismatched"
      ? { mismatched: { ...scores(1), policy: column((i) => policy((i + 1) % size, 1)) } }
      : undefined,
    ...needs.tokens?.includes("promptLogp")
      ? {
        prompt: {
          policy: column((i) => policy(i, 1) / 2),
          length: Uint32Array.from({ length: size }, (_, i) => 3 + i % 11),
        },
      }
      : undefined,
  };
}

/** An ordinary decision set: log-probabilities of tens of nats, policy within 3 of the reference. */
export function ordinaryBatch(needs: Needs, size: number, seed: number): ScoreBatch {
  const draw = (row: number, answer: number, kind: number) =>
    counterUniform(seed, 4 * row + 2 * answer + kind);
  const reference = (row: number, answer: 0 | 1) => -20 - 60 * draw(row, answer, 0);
  return makeBatch(
    needs,
    size,
    (row, answer) => reference(row, answer) + 6 * draw(row, answer, 1) - 3,
    reference,
  );
}

/** Sets at the edges of float64, each with a name; every number in them is finite. */
export function extremeBatches(needs: Needs): { name: string; batch: ScoreBatch }[] {
  // Numbers that broke other trainers' losses, then the ends of the range.
  const values = [410, 810.5, -610, 110.6, 1e4, -1e4, 0, -1e-300];
  const cyclic = (offset: number) => (row: number, answer: 0 | 1) =>
    values[(row + 3 * answer + offset) % values.length];
  const alternating = (size: number) => (row: number, answer: 0 | 1) =>
    (row + answer) % 2 === 0 ? size : -size;
  const zero = () => 0;
  return [
    { name: "large log-probabilities", batch: makeBatch(needs, 8, cyclic(0), cyclic(5)) },
    { name: "margins of +-1e4", batch: makeBatch(needs, 6, alternating(5e3), zero) },
    { name: "margins of +-1e300", batch: makeBatch(needs, 6, alternating(5e299), zero) },
    { name: "all margins 1e300", batch: makeBatch(needs, 4, (_, a) => a ? -1e300 : 0, zero) },
    { name: "policy equal to the reference", batch: makeBatch(needs, 5, cyclic(1), cyclic(1)) },
    { name: "one pair", batch: ordinaryBatch(needs, 1, 9) },
    { name: "one extreme pair", batch: makeBatch(needs, 1, alternating(1e4), zero) },
  ];
}

/** A training or evaluation context with counter-based random numbers. */
export function makeContext(training: boolean, microStep: number): StepContext {
  return {
    training,
    microStep,
    optimizerStep: microStep >> 1,
    epoch: 0,
    accumulation: 2,
    uniform: (i) => counterUniform(1000 + microStep, i),
  };
}
