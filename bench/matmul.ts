/** Matrix products at the shapes of a 135M model's training step, as a share of the ceiling. */
import type { Gpu } from "../gpu/device.ts";
import type { MatmulForm } from "../gpu/kernels/matmul.ts";
import { InputTextures } from "../gpu/input_textures.ts";
import { readsTextures } from "../gpu/tuning.ts";
import { addProduct } from "../gpu/product.ts";
import { Program } from "../gpu/program.ts";
import { medianSeconds } from "./timing.ts";

export interface MatmulResult {
  readonly form: MatmulForm;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly gflops: number;
  /** Of the multiply-add ceiling. */
  readonly share: number;
}

/** A linear layer of 576 to 1536, 512 tokens: forward, gradient of the input, gradient of W. */
const SHAPES: readonly [MatmulForm, number, number, number][] = [
  ["NT", 512, 576, 1536],
  ["NN", 512, 1536, 576],
  ["TN", 1536, 512, 576],
  ["NT", 512, 576, 8192],
];

export async function benchMatmul(gpu: Gpu, ceiling: number): Promise<MatmulResult[]> {
  const results: MatmulResult[] = [];
  for (const [form, m, k, n] of SHAPES) {
    const views = [m * k, k * n, m * n].map((count) => ({
      buffer: gpu.createBuffer("bench matrix", count * 4),
      offset: 0,
      size: 0,
    }));
    const textures = readsTextures(gpu) ? new InputTextures(gpu, [m * k, k * n, m * n]) : undefined;
    const program = new Program(gpu, textures);
    const shape = { m, n, k, lda: form === "TN" ? m : k, ldb: form === "NT" ? k : n, ldc: n };
    const [a, b, c] = views;
    addProduct(gpu, program, { form, init: "zero", a, b, c, shape });
    const gflops = 2 * m * n * k / await medianSeconds(gpu, () => program.run({})) / 1e9;
    results.push({ form, m, k, n, gflops, share: gflops / ceiling });
    program.destroy();
    textures?.destroy();
    for (const { buffer } of views) gpu.destroyMemory(buffer);
  }
  return results;
}
