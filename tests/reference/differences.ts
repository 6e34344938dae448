/** Derivatives by central differences, to check derivatives that were written down. */

/** An operation on float64 vectors and its vector-Jacobian product. */
export interface Differentiable {
  readonly forward: (x: Float64Array) => Float64Array;
  /** d (dOut . out) / dx */
  readonly backward: (x: Float64Array, dOut: Float64Array) => Float64Array;
}

/** Full Jacobian [outputs][inputs] by central differences of step `h`. */
export function jacobianByDifferences(
  forward: (x: Float64Array) => Float64Array,
  x: Float64Array,
  h: number,
): Float64Array[] {
  const columns = Array.from(x, (_, i) => {
    const up = x.slice(), down = x.slice();
    up[i] += h;
    down[i] -= h;
    const low = forward(down);
    return forward(up).map((y, o) => (y - low[o]) / (up[i] - down[i]));
  });
  return Array.from(columns[0], (_, o) => Float64Array.from(columns, (column) => column[o]));
}

/** Full Jacobian [outputs][inputs], one backward pass for each output. */
export function jacobianByBackward(op: Differentiable, x: Float64Array): Float64Array[] {
  const outputs = op.forward(x).length;
  return Array.from({ length: outputs }, (_, o) => {
    const one = new Float64Array(outputs);
    one[o] = 1;
    return op.backward(x, one);
  });
}

/** Cuts a vector into pieces of the given lengths. */
export function cut(x: Float64Array, lengths: readonly number[]): Float64Array[] {
  let at = 0;
  return lengths.map((length) => x.subarray(at, at += length));
}

/** Vectors behind each other. */
export function join(...parts: readonly ArrayLike<number>[]): Float64Array {
  return Float64Array.from(parts.flatMap((part) => Array.from(part)));
}
