/** Greedy continuation of prompts: the likeliest token each time, all prompts at once. */

/** What generation needs of an engine. */
interface NextLogits {
  readonly maxSequenceLength: number;
  /** Logits [prompts, V] after the last token of each prompt. */
  nextLogits(prompts: readonly Uint32Array[]): Promise<Float32Array>;
}

/** Continuations of `prompts`, without them; each ends before an id of `stop`. */
export async function generateGreedy(
  engine: NextLogits,
  vocabSize: number,
  prompts: readonly Uint32Array[],
  options: { readonly maxNewTokens: number; readonly stop: readonly number[] },
): Promise<Uint32Array[]> {
  const sequences = prompts.map((prompt) => [...prompt]);
  const open = new Set(prompts.keys());
  for (let i = 0; i < options.maxNewTokens && open.size > 0; i++) {
    const rows = [...open].filter((row) => sequences[row].length < engine.maxSequenceLength);
    if (rows.length === 0) break;
    const logits = await engine.nextLogits(rows.map((row) => Uint32Array.from(sequences[row])));
    for (const [at, row] of rows.entries()) {
      const id = argmax(logits.subarray(at * vocabSize, (at + 1) * vocabSize));
      if (options.stop.includes(id)) open.delete(row);
      else sequences[row].push(id);
    }
  }
  return sequences.map((ids, row) => Uint32Array.from(ids.slice(prompts[row].length)));
}

/** Index of the largest value, the first of equal ones. */
function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
