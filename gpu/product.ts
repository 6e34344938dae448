/** Matrix products as steps of a program, in the tile for the adapter. */
import type { Gpu } from "./device.ts";
import {
  inputFloats,
  type MatmulForm,
  type MatmulInit,
  matmulKernel,
  matmulLaunch,
  type MatmulShape,
  type MatmulTile,
} from "./kernels/matmul.ts";
import { tileFor } from "./tuning.ts";
import type { Input, Program, Sizes, View } from "./program.ts";

/** A known number, the name of a size of the replay, or a multiple of such a size. */
export type Extent = number | string | { readonly size: string; readonly times: number };

export function extent(value: Extent, sizes: Sizes): number {
  if (typeof value === "number") return value;
  return typeof value === "string" ? sizes[value] : sizes[value.size] * value.times;
}

/** `MatmulShape` with sizes that may be named by the replay. */
export interface ProductShape extends Omit<MatmulShape, "m" | "k"> {
  readonly m: Extent;
  readonly k: Extent;
}

export interface Product {
  readonly form: MatmulForm;
  readonly init: MatmulInit;
  readonly a: View;
  readonly b: View;
  readonly c: View;
  /** What C starts with, where `init` is "addend". */
  readonly addend?: View;
  readonly bias?: View;
  readonly shape: ProductShape;
}

/** Adds C = A B + what it starts with + bias, in the adapter's tile for such products or a given one. */
export function addProduct(
  gpu: Gpu,
  program: Program,
  product: Product,
  tile: MatmulTile = tileFor(gpu, product.form, product.shape.n),
): void {
  const { form, init, a, b, c, addend, bias, shape } = product;
  const textures = program.textures !== undefined;
  const halves = (["a", "b", "c"] as const).filter((name) => product[name].storage === "f16");
  if (init === "output" && c.storage === "f16") throw new Error("f16 values do not add up");
  const variant = { form, init, bias: bias !== undefined, tile, textures, halves };
  const sized = (sizes: Sizes): MatmulShape => ({
    ...shape,
    m: extent(shape.m, sizes),
    k: extent(shape.k, sizes),
  });
  const input = (view: View, side: "a" | "b" | "start", inPlace = false): Input => ({
    view,
    floats: (sizes) => inputFloats(form, sized(sizes))[side],
    inPlace,
  });
  const views = [
    input(a, "a"),
    input(b, "b"),
    init === "output" ? input(c, "start", true) : c,
    ...addend ? [input(addend, "start")] : [],
    ...bias ? [bias] : [],
  ];
  program.add(matmulKernel(gpu, variant), views, (sizes) => matmulLaunch(variant, sized(sizes)));
}
