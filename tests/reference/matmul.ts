/** Matrix products in float64. */

export type Numbers = ArrayLike<number>;

/** C [m, n] = A [m, k] B [k, n], all dense and row-major. */
export function product(a: Numbers, b: Numbers, m: number, n: number, k: number): Float64Array {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      for (let l = 0; l < k; l++) c[i * n + j] += a[i * k + l] * b[l * n + j];
    }
  }
  return c;
}

/** The transpose [columns, rows] of a dense [rows, columns]. */
export function transpose(x: Numbers, rows: number, columns: number): Float64Array {
  const y = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) y[j * rows + i] = x[i * columns + j];
  }
  return y;
}

/** Sums over the rows of a dense [rows, columns]. */
export function columnSums(x: Numbers, rows: number, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) sums[j] += x[i * columns + j];
  }
  return sums;
}

export interface LinearShape {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
}

/** y [rows, outputs] = x [rows, inputs] W^T + bias, W [outputs, inputs]. */
export function linear(x: Numbers, w: Numbers, bias: Numbers, s: LinearShape): Float64Array {
  const y = product(x, transpose(w, s.outputs, s.inputs), s.rows, s.outputs, s.inputs);
  return y.map((value, i) => value + bias[i % s.outputs]);
}

/** Gradients of {@linkcode linear}: dx [rows, inputs], dw [outputs, inputs], dbias [outputs]. */
export function linearBackward(
  x: Numbers,
  w: Numbers,
  dy: Numbers,
  s: LinearShape,
): { dx: Float64Array; dw: Float64Array; dbias: Float64Array } {
  return {
    dx: product(dy, w, s.rows, s.inputs, s.outputs),
    dw: product(transpose(dy, s.rows, s.outputs), x, s.outputs, s.inputs, s.rows),
    dbias: columnSums(dy, s.rows, s.outputs),
  };
}
