/** Masked attention with grouped key/value heads in float64, all scores held at once. */
import type { Numbers } from "./matmul.ts";

export interface AttentionShape {
  readonly tokens: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  /** [tokens, 4] of (prefix begin, prefix end, own begin, query end); the last is not needed here. */
  readonly mask: Numbers;
  /** A query sees keys less than so many positions back. */
  readonly slidingWindow?: number;
  /** Scores are softcap * tanh(score / softcap). */
  readonly softcap?: number;
}

/** True when query t sees key j: `[prefix begin, prefix end)` and `[own begin, t]`. */
export function sees(mask: Numbers, t: number, j: number): boolean {
  const [prefixBegin, prefixEnd, ownBegin] = [mask[t * 4], mask[t * 4 + 1], mask[t * 4 + 2]];
  return (j >= prefixBegin && j < prefixEnd) || (j >= ownBegin && j <= t);
}

/** How far back from query t key j lies, positions counted along the prefix and then the own run. */
function distance(mask: Numbers, t: number, j: number): number {
  const [prefixBegin, prefixEnd, ownBegin] = [mask[t * 4], mask[t * 4 + 1], mask[t * 4 + 2]];
  const inPrefix = j >= prefixBegin && j < prefixEnd;
  const position = inPrefix ? j - prefixBegin : prefixEnd - prefixBegin + j - ownBegin;
  return prefixEnd - prefixBegin + t - ownBegin - position;
}

/** q and k scaled down, dotted, capped: the score of query t of head h and key j. */
function score(q: Numbers, k: Numbers, s: AttentionShape, t: number, h: number, j: number): number {
  const group = s.heads / s.keyValueHeads, kv = Math.floor(h / group);
  let dot = 0;
  for (let d = 0; d < s.headDim; d++) {
    dot += q[(t * s.heads + h) * s.headDim + d] * k[(j * s.keyValueHeads + kv) * s.headDim + d];
  }
  const scaled = dot / Math.sqrt(s.headDim), { softcap: cap } = s;
  return cap === undefined ? scaled : cap * Math.tanh(scaled / cap);
}

/** Softmax weights [tokens] of query t of head h, and the log of the sum of exp(score). */
function weights(q: Numbers, k: Numbers, s: AttentionShape, t: number, h: number) {
  const scores = Float64Array.from(
    { length: s.tokens },
    (_, j) =>
      sees(s.mask, t, j) && distance(s.mask, t, j) < (s.slidingWindow ?? Infinity)
        ? score(q, k, s, t, h, j)
        : -Infinity,
  );
  const top = Math.max(...scores);
  const exps = scores.map((x) => Math.exp(x - top));
  const sum = exps.reduce((a, b) => a + b);
  return { p: exps.map((x) => x / sum), lse: top + Math.log(sum) };
}

/** o [tokens, heads, D] and lse [tokens, heads] for q like o and k, v [tokens, key/value heads, D]. */
export function attention(
  q: Numbers,
  k: Numbers,
  v: Numbers,
  s: AttentionShape,
): { o: Float64Array; lse: Float64Array } {
  const o = new Float64Array(s.tokens * s.heads * s.headDim);
  const lse = new Float64Array(s.tokens * s.heads);
  for (let t = 0; t < s.tokens; t++) {
    for (let h = 0; h < s.heads; h++) {
      const w = weights(q, k, s, t, h), kv = Math.floor(h / (s.heads / s.keyValueHeads));
      lse[t * s.heads + h] = w.lse;
      for (let j = 0; j < s.tokens; j++) {
        for (let d = 0; d < s.headDim; d++) {
          o[(t * s.heads + h) * s.headDim + d] += w.p[j] *
            v[(j * s.keyValueHeads + kv) * s.headDim + d];
        }
      }
    }
  }
  return { o, lse };
}

/** Gradients of {@linkcode attention} for the gradient dO of o. */
export function attentionBackward(
  q: Numbers,
  k: Numbers,
  v: Numbers,
  dO: Numbers,
  s: AttentionShape,
): { dq: Float64Array; dk: Float64Array; dv: Float64Array } {
  const dq = new Float64Array(q.length), dk = new Float64Array(k.length);
  const dv = new Float64Array(v.length), scale = 1 / Math.sqrt(s.headDim);
  for (let t = 0; t < s.tokens; t++) {
    for (let h = 0; h < s.heads; h++) {
      const { p } = weights(q, k, s, t, h), kv = Math.floor(h / (s.heads / s.keyValueHeads));
      const atQ = (t * s.heads + h) * s.headDim;
      const atK = (j: number) => (j * s.keyValueHeads + kv) * s.headDim;
      // d p_j = do v_j, and the softmax's own gradient: d score_j = p_j (d p_j - sum of p d p).
      const dp = p.map((_, j) => {
        let dot = 0;
        for (let d = 0; d < s.headDim; d++) dot += dO[atQ + d] * v[atK(j) + d];
        return dot;
      });
      const mean = p.reduce((sum, pj, j) => sum + pj * dp[j], 0);
      for (let j = 0; j < s.tokens; j++) {
        const capped = p[j] === 0 ? 0 : s.softcap ? score(q, k, s, t, h, j) / s.softcap : 0;
        const dScore = p[j] * (dp[j] - mean) * (1 - capped ** 2);
        for (let d = 0; d < s.headDim; d++) {
          dq[atQ + d] += dScore * k[atK(j) + d] * scale;
          dk[atK(j) + d] += dScore * q[atQ + d] * scale;
          dv[atK(j) + d] += p[j] * dO[atQ + d];
        }
      }
    }
  }
  return { dq, dk, dv };
}
