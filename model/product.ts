/** Matrix products as steps of a program, in the tile for the adapter. */
import type { Gpu } from "../gpu/device.ts";
import {
  defaultTile,
  inputFloats,
  type MatmulForm,
  type MatmulInit,
  matmulKernel,
  matmulLaunch,
  type MatmulShape,
} from "../gpu/kernels/matmul.ts";
import type { Input, Program, Sizes, View } from "../gpu/program.ts";

/** A value with a known number, or the name of a size of the replay. */
export type Extent = number | string;

export function extent(value: Extent, sizes: Sizes): number {
  return typeof value === "number" ? value : sizes[value];
}

/** `MatmulShape` with sizes that may be named by the replay. */
export interface ProductShape extends Omit<MatmulShape, "m" | "n" | "k"> {
  readonly m: Extent;
  readonly n: Extent;
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

/** Adds C = A B + what it starts with + bias. */
export function addProduct(gpu: Gpu, program: Program, product: Product): void {
  const { form, init, a, b, c, addend, bias, shape } = product;
  const textures = program.textures !== undefined;
  const variant = { form, init, bias: bias !== undefined, tile: defaultTile(gpu), textures };
  const sized = (sizes: Sizes): MatmulShape => ({
    ...shape,
    m: extent(shape.m, sizes),
    n: extent(shape.n, sizes),
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
