/**
 * Weights of single tokens, known before any loss is taken: a run that has them sums w_t log p_t
 * instead of log p_t, for policy and reference alike, and spreads seeds over tokens with the same
 * weights.
 */

/**
 * LD-DPO (arXiv 2409.06411): tokens of the longer answer beyond the length of the shorter one count
 * less, so that length alone is worth less.
 *
 * @param length scored tokens of the answer
 * @param otherLength scored tokens of the other answer of the pair
 * @param alpha weight of the tokens beyond, 0 .. 1; 1 changes nothing
 * @returns [length]
 */
export function lengthWeights(length: number, otherLength: number, alpha: number): Float32Array {
  return new Float32Array(length).fill(1).fill(alpha, Math.min(length, otherLength));
}

/**
 * LD-DPO's factors of the scored tokens of pairs, one answer after the other.
 *
 * @param lengths scored tokens of each answer, the two of a pair side by side; what follows the pairs,
 * such as prompts, has the factor 1
 * @param alpha see {@linkcode lengthWeights}; absent: all factors are 1
 * @param answers how many of the lengths are those of pairs' answers; absent: all of them
 * @returns [sum of lengths]; undefined where all are 1
 * @throws RangeError when the last pair lacks an answer
 */
export function pairTokenWeights(
  lengths: Uint32Array,
  alpha: number | undefined,
  answers: number = lengths.length,
): Float32Array | undefined {
  if (alpha === undefined) return undefined;
  if (answers % 2 !== 0) {
    throw new RangeError(`Pairs have an even number of answers, not ${answers}`);
  }
  const weights = new Float32Array(lengths.reduce((sum, length) => sum + length, 0)).fill(1);
  let at = 0;
  for (let a = 0; a < answers; a++) {
    // The other answer of 2 i is 2 i + 1.
    weights.set(lengthWeights(lengths[a], lengths[a ^ 1], alpha), at);
    at += lengths[a];
  }
  return weights;
}

/**
 * WPO (arXiv 2406.11827): how likely an answer is under the policy, relative to how likely the policy
 * is to agree with itself: e^(mean of log p_t - log sum_v p_v^2). The weight of a pair is the product
 * of its two answers', a constant for the derivative.
 *
 * @param logps log-probabilities of the scored tokens, nats
 * @param logSumSquares log of the sum of squared probabilities over the vocabulary, at each token
 * @param ceiling largest weight; TRL up to 0.28 had 1
 */
export function policyWeight(
  logps: ArrayLike<number>,
  logSumSquares: ArrayLike<number>,
  ceiling = Infinity,
): number {
  let sum = 0;
  for (let t = 0; t < logps.length; t++) sum += logps[t] - logSumSquares[t];
  return Math.min(Math.exp(sum / Math.max(1, logps.length)), ceiling);
}
