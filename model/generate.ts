/**
 * Continuation of prompts, all at once: a loop that asks for logits and picks a token a row. How a token
 * is picked is one function, greedy or sampled; where the logits come from is the engine's business.
 */
import { philox } from "./philox.ts";

/** What generation needs of an engine. */
interface NextLogits {
  readonly maxSequenceLength: number;
  /** Logits [prompts, V] after the last token of each prompt. */
  nextLogits(prompts: readonly Uint32Array[]): Promise<Float32Array>;
}

/**
 * Picks the next token from logits [V].
 *
 * @param row index of the prompt
 * @param position number of tokens already generated for it
 */
export type PickToken = (logits: Float32Array, row: number, position: number) => number;

export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** Ids that end a continuation; they are not part of it. */
  readonly stop: readonly number[];
  /** Without it the likeliest token. */
  readonly pick?: PickToken;
}

/** Continuations of `prompts`, without them; each ends before an id of `stop`. */
export async function generate(
  engine: NextLogits,
  vocabSize: number,
  prompts: readonly Uint32Array[],
  { maxNewTokens, stop, pick = argmax }: GenerateOptions,
): Promise<Uint32Array[]> {
  const sequences = prompts.map((prompt) => [...prompt]);
  const open = new Set(prompts.keys());
  for (let i = 0; i < maxNewTokens && open.size > 0; i++) {
    const rows = [...open].filter((row) => sequences[row].length < engine.maxSequenceLength);
    if (rows.length === 0) break;
    const logits = await engine.nextLogits(rows.map((row) => Uint32Array.from(sequences[row])));
    for (const [at, row] of rows.entries()) {
      const id = pick(logits.subarray(at * vocabSize, (at + 1) * vocabSize), row, i);
      if (stop.includes(id)) open.delete(row);
      else sequences[row].push(id);
    }
  }
  return sequences.map((ids, row) => Uint32Array.from(ids.slice(prompts[row].length)));
}

/** Index of the largest value, the first of equal ones. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * Draws from softmax(logits / temperature) by inversion of the distribution function, in float64. The
 * number behind a token depends on (seed, row, position) only, so a row's continuation does not depend
 * on which others are drawn with it.
 *
 * @param seed u32
 * @param temperature above 0; 1 is the model's own distribution
 * @throws RangeError when the temperature is not a finite number above 0
 */
export function sampler(seed: number, temperature = 1): PickToken {
  if (!(temperature > 0 && temperature < Infinity)) {
    throw new RangeError(`Cannot sample at temperature ${temperature}: it must be above 0`);
  }
  const words = new Uint32Array(4);
  return (logits, row, position) => {
    philox([row, position, 0, 0], [seed >>> 0, SAMPLING_KEY], words);
    const uniform = (words[0] * 0x100000 + (words[1] >>> 12) + 0.5) / 2 ** 52;
    return drawToken(logits, temperature, uniform);
  };
}

/** Keeps these draws apart from those of random weights, which use the same generator. */
const SAMPLING_KEY = 0x73616d70;

/** The token whose share of the unit interval holds `uniform`. */
export function drawToken(logits: Float32Array, temperature: number, uniform: number): number {
  const top = logits[argmax(logits)];
  let total = 0;
  for (const logit of logits) total += Math.exp((logit - top) / temperature);
  let left = uniform * total;
  let last = 0;
  for (let id = 0; id < logits.length; id++) {
    const share = Math.exp((logits[id] - top) / temperature);
    if (share === 0) continue;
    last = id;
    left -= share;
    if (left < 0) break;
  }
  return last;
}
