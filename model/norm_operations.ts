/** Norms as steps of a program, forward and backward side by side: RMSNorm, with w or 1 + w, and LayerNorm. */
import { BLOCK_ROWS } from "../gpu/kernels/mod.ts";
import type { Constants } from "../gpu/pipeline.ts";
import { f32Bits, type View } from "../gpu/program.ts";
import { type Extent, extent } from "../gpu/product.ts";
import type { NormKind } from "./architecture.ts";
import { elementwise, type Operations, rowsOf } from "./operations.ts";

const plusOne = (v: { plusOne?: boolean }): Constants => v.plusOne ? { PLUS_ONE: 1 } : {};

/**
 * y [rows, width] = rmsNorm(x) * weight + residual; inv [rows] is kept for the backward pass. With
 * `plusOne` the weight is added to 1.
 */
function rmsNorm(
  o: Operations,
  name: string,
  v: {
    x: View;
    y: View;
    inv: View;
    rows: Extent;
    eps: number;
    plusOne?: boolean;
    residual?: View;
  },
): void {
  const weight = `${name}.weight`, { columns } = o.parameter(weight), width4 = columns / 4;
  const views = [rowsOf(v.x, v.rows, columns), o.vector(weight), v.y, v.inv];
  if (v.residual) views.push(rowsOf(v.residual, v.rows, columns));
  const entry = v.residual ? "forward_add" : "forward";
  const forward = o.kernel("rms_norm", entry, { x: v.x, y: v.y }, plusOne(v));
  o.program.add(forward, views, (sizes) => {
    const rows = extent(v.rows, sizes);
    return elementwise([rows, width4, f32Bits(v.eps)], rows, rows * width4 * 20);
  });
}

/**
 * dweight +=, and the gradient of the input: added to `dx`, or alone in `apart`, or alone in place of
 * `dy` where neither is given.
 */
function rmsNormBackward(
  o: Operations,
  name: string,
  v: {
    x: View;
    inv: View;
    dy: View;
    dx?: View;
    apart?: View;
    rows: Extent;
    eps: number;
    plusOne?: boolean;
  },
): void {
  normWeightBackward(o, "rms_norm", name, v);
  const weight = `${name}.weight`, { columns } = o.parameter(weight), width4 = columns / 4;
  const entry = v.dx ? "backward_input" : v.apart ? "backward_input_apart" : "backward_input_over";
  const views = [
    rowsOf(v.x, v.rows, columns),
    o.vector(weight),
    rowsOf(v.dy, v.rows, columns, entry === "backward_input_over"),
    v.inv,
  ];
  if (v.dx) views.push(rowsOf(v.dx, v.rows, columns, true));
  else if (v.apart) views.push(v.apart);
  o.program.add(o.kernel("rms_norm", entry, { x: v.x }, plusOne(v)), views, (sizes) => {
    const rows = extent(v.rows, sizes);
    return elementwise([rows, width4, f32Bits(v.eps)], rows, rows * width4 * 40);
  });
}

/** dweight += sum of dy times the normed rows. */
function normWeightBackward(
  o: Operations,
  operation: "rms_norm" | "layer_norm",
  name: string,
  v: { x: View; inv: View; dy: View; rows: Extent; eps: number },
): void {
  if (!o.trains(`${name}.weight`)) return;
  const weight = o.parameter(`${name}.weight`);
  const { columns } = weight, width4 = columns / 4;
  const x = rowsOf(v.x, v.rows, columns), dy = rowsOf(v.dy, v.rows, columns);
  o.program.add(
    o.kernel(operation, "backward_weight", { x: v.x }),
    [x, o.partial, dy, v.inv],
    (sizes) => {
      const rows = extent(v.rows, sizes), blocks = Math.ceil(rows / BLOCK_ROWS);
      return elementwise([rows, width4, f32Bits(v.eps)], blocks * width4, rows * width4 * 12);
    },
  );
  o.addPartialSums(weight, v.rows);
}

/** A norm's values: `inv` [rows], for a layer norm [rows, 2]. */
export interface NormViews {
  readonly x: View;
  readonly inv: View;
  readonly rows: Extent;
  readonly eps: number;
}

/** y [rows, width] = norm(x), plus a residual where there is one (RMSNorm only). */
export function addNorm(
  o: Operations,
  kind: NormKind,
  name: string,
  v: NormViews & { readonly y: View; readonly residual?: View },
): void {
  if (kind !== "layer") return rmsNorm(o, name, { ...v, plusOne: kind === "rms_one_plus" });
  if (v.residual) throw new Error("A layer norm adds no residual");
  const { columns } = o.parameter(`${name}.weight`), width4 = columns / 4;
  const views = [
    rowsOf(v.x, v.rows, columns),
    o.vector(`${name}.weight`),
    o.vector(`${name}.bias`),
    v.y,
    v.inv,
  ];
  o.program.add(o.kernel("layer_norm", "forward", { y: v.y }), views, (sizes) => {
    const rows = extent(v.rows, sizes);
    return elementwise([rows, width4, f32Bits(v.eps)], rows, rows * width4 * 30);
  });
}

/**
 * Gradients of the norm's parameters +=, and that of its input: added to `dx`, or alone in `apart`, or
 * alone in place of `dy` (the latter two RMSNorm only).
 */
export function addNormBackward(
  o: Operations,
  kind: NormKind,
  name: string,
  v: NormViews & { readonly dy: View; readonly dx?: View; readonly apart?: View },
): void {
  if (kind !== "layer") return rmsNormBackward(o, name, { ...v, plusOne: kind === "rms_one_plus" });
  if (!v.dx) throw new Error("A layer norm's gradient is added to the residual's");
  normWeightBackward(o, "layer_norm", name, v);
  o.biasBackward(name, v.dy, v.rows);
  const { columns } = o.parameter(`${name}.weight`), width4 = columns / 4;
  const views = [
    rowsOf(v.x, v.rows, columns),
    o.vector(`${name}.weight`),
    rowsOf(v.dy, v.rows, columns),
    v.inv,
    rowsOf(v.dx, v.rows, columns, true),
  ];
  o.program.add(o.kernel("layer_norm", "backward_input"), views, (sizes) => {
    const rows = extent(v.rows, sizes);
    return elementwise([rows, width4, f32Bits(v.eps)], rows, rows * width4 * 60);
  });
}
