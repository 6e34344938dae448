/** From the bytes of a score's read-back to its results. */
import type { ScoreExtras, TokenizedExample, TokenLogps } from "./engine.ts";

/** What a chunk of the last `score` left on the GPU. */
export interface Kept {
  readonly examples: readonly TokenizedExample[];
  readonly sizes: Record<string, number>;
}

/** Results follow each other: logps, then what was asked for beside them; `total` scored tokens. */
export function takeResults(
  bytes: ArrayBuffer,
  total: number,
  offsets: Uint32Array,
  { logSumP2, epsilon }: ScoreExtras,
): TokenLogps {
  let at = 0;
  const take = (width: number) => new Float32Array(bytes.slice(at, at += total * width * 4));
  const logps = take(1);
  const squares = logSumP2 ? { logSumP2: take(1) } : undefined;
  if (epsilon === undefined) return { logps, offsets, ...squares };
  const reference = take(1), both = take(2);
  const half = (offset: number) =>
    Float32Array.from({ length: total }, (_, t) => both[2 * t + offset]);
  return { logps, offsets, ...squares, mix: { reference, plus: half(0), minus: half(1) } };
}
