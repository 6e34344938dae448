/**
 * Operations that only some architectures have, as steps of a program, forward and backward side by side:
 * linear layers whose matrix stands as [in, out], activations by their form, scaled embeddings. What
 * Llama has too is in `operations.ts`.
 */
import { activationKernel, type ActivationVariant } from "../gpu/kernels/activation.ts";
import { kernel } from "../gpu/kernels/mod.ts";
import { f32Bits, type View } from "../gpu/program.ts";
import type { Extent } from "../gpu/product.ts";
import { valueBytes } from "../gpu/storage.ts";
import { elementwise, operandView, type Operations, rowsOf } from "./operations.ts";

/** y [rows, out] = x [rows, in] W + bias + residual for W [in, out]; parts of W are added in order. */
export function transposedLinear(
  o: Operations,
  name: string,
  x: View,
  y: View,
  rows: Extent,
  residual?: View,
): void {
  const { rows: input, columns: out, parts } = o.parameter(`${name}.weight`);
  const bias = o.has(`${name}.bias`) ? o.parameter(`${name}.bias`).parts[0] : undefined;
  for (const part of parts) {
    const first = part.rowBegin === 0;
    o.matmul({
      form: "NN",
      init: !first ? "output" : residual ? "addend" : "zero",
      a: { ...x, offset: x.offset + part.rowBegin * valueBytes(x.storage), size: 0 },
      b: operandView(o.store, part),
      c: y,
      addend: first ? residual : undefined,
      bias: first && bias ? o.store.weights.view(bias) : undefined,
      shape: {
        m: rows,
        n: out,
        k: part.rowEnd - part.rowBegin,
        lda: input,
        ldb: out,
        ldc: out,
      },
    });
  }
}

/** dx (+)= dy W^T, dW += x^T dy, dbias += column sums of dy; `first` starts dx at zero. */
export function transposedLinearBackward(
  o: Operations,
  name: string,
  v: { x: View; dy: View; dx: View; first?: boolean; rows: Extent },
): void {
  const { rows: input, columns: out, parts } = o.parameter(`${name}.weight`);
  for (const part of parts) {
    const n = part.rowEnd - part.rowBegin;
    const x = { ...v.x, offset: v.x.offset + part.rowBegin * valueBytes(v.x.storage), size: 0 };
    const shape = { lda: out, ldb: out, ldc: input, column: part.rowBegin };
    o.matmul({
      form: "NT",
      init: v.first ? "zero" : "output",
      a: v.dy,
      b: operandView(o.store, part),
      c: v.dx,
      shape: { m: v.rows, n, k: out, ...shape },
    });
    if (!o.trains(`${name}.weight`)) continue;
    o.matmul({
      form: "TN",
      init: "output",
      a: x,
      b: v.dy,
      c: o.gradients().view(part),
      shape: { m: n, n: out, k: v.rows, lda: input, ldb: out, ldc: out },
    });
  }
  o.biasBackward(name, v.dy, v.rows);
}

/** What an MLP's activation reads: of a plain one only `up`, of a fused one only `gateUp` [T, 2F]. */
export interface MlpViews {
  readonly gate?: View;
  readonly up?: View;
  readonly gateUp?: View;
}

const formOf = ({ gate, gateUp }: MlpViews) => gateUp ? "fused" : gate ? "gated" : "plain";

function launchOf(width: number, cost: number) {
  return ({ tokens }: Readonly<Record<string, number>>) =>
    elementwise([tokens * width / 4, width / 4], tokens * width / 4, tokens * width * cost);
}

/** h [T, F] = f(gate) * up, or f(up). */
export function addActivation(
  o: Operations,
  kind: ActivationVariant["kind"],
  v: MlpViews & { readonly h: View },
  width: number,
): void {
  const form = formOf(v);
  if (form === "gated" && kind === "silu") return o.swiglu(v.gate!, v.up!, v.h, width);
  const views = v.gateUp
    ? [rowsOf(v.gateUp, "tokens", 2 * width)]
    : [v.gate, v.up!].flatMap((view) => view ? [rowsOf(view, "tokens", width)] : []);
  const textures = o.program.textures !== undefined, storage = v.h.storage ?? "f32";
  const forward = activationKernel(o.gpu, { kind, form, entry: "forward", textures, storage });
  o.program.add(forward, [...views, v.h], launchOf(width, 30));
}

/** Gradients of what the activation read; `gateUp` of both in one row. */
export interface MlpGradients {
  readonly gate?: View;
  readonly up?: View;
  readonly gateUp?: View;
}

/**
 * From `dh` to the gradients of what the activation read. They take its place where that is f32 (a plain
 * one's that of `dh`); `apart` holds those of `up`, or of both in one row, where it is f16.
 */
export function addActivationBackward(
  o: Operations,
  kind: ActivationVariant["kind"],
  v: MlpViews & { readonly dh: View; readonly apart?: View },
  width: number,
): MlpGradients {
  const form = formOf(v), { dh, gate, up, gateUp, apart } = v;
  if (form === "gated" && kind === "silu") {
    if (apart) o.swigluBackwardApart(dh, gate!, up!, apart, width);
    else o.swigluBackward(dh, gate!, up!, width);
    return apart ? { gate: dh, up: apart } : { gate, up };
  }
  const textures = o.program.textures !== undefined;
  const storage = (up ?? gateUp)!.storage ?? "f32";
  const entry = apart ? "backward_apart" : "backward";
  const backward = activationKernel(o.gpu, { kind, form, entry, textures, storage });
  const row = (view: View, inPlace = false) => rowsOf(view, "tokens", width, inPlace);
  const both = (inPlace: boolean) => rowsOf(gateUp!, "tokens", 2 * width, inPlace);
  const views = form === "plain"
    ? [row(dh, true), row(up!)]
    : form === "fused"
    ? apart ? [row(dh), both(false), apart] : [row(dh), both(true)]
    : apart
    ? [row(gate!), row(up!), row(dh, true), apart]
    : [row(dh), row(gate!, true), row(up!, true)];
  o.program.add(backward, views, launchOf(width, 40));
  if (form === "plain") return { up: dh };
  if (form === "fused") return { gateUp: apart ?? gateUp };
  return apart ? { gate: dh, up: apart } : { gate, up };
}

/** x [tokens, width] *= factor. */
export function addScale(o: Operations, x: View, width: number, factor: number): void {
  o.program.add(kernel(o.gpu, "scale", "scale"), [x], ({ tokens }) => {
    const count4 = tokens * width / 4;
    return elementwise([count4, f32Bits(factor)], count4);
  });
}
