/** Matrix products at the shapes of a 135M model's training step, as shares of the ceiling. */
import type { Gpu } from "../gpu/device.ts";
import { InputTextures } from "../gpu/input_textures.ts";
import type { MatmulForm } from "../gpu/kernels/matmul.ts";
import { addProduct } from "../gpu/product.ts";
import { Program } from "../gpu/program.ts";
import { readsTextures } from "../gpu/tuning.ts";
import { between, type Ceiling, measureCeiling } from "./ceiling.ts";
import { cpuSeconds, medianSeconds } from "./timing.ts";

export interface MatmulResult {
  readonly form: MatmulForm;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly gflops: number;
  /** Of the multiply-add ceiling. */
  readonly share: number;
  /** The same by processor time. */
  readonly cpu_share: number;
}

export type MatmulShape = readonly [form: MatmulForm, m: number, k: number, n: number];

/** y = x W^T of x [tokens, from], its dx = dy W and its dW = dy^T x. */
function linearShapes(tokens: number, from: number, to: number): MatmulShape[] {
  return [["NT", tokens, from, to], ["NN", tokens, to, from], ["TN", to, tokens, from]];
}

/** Linear layers of the model, input and output, and a chunk of its vocabulary; for 512 tokens. */
export const MATMUL_SHAPES: readonly MatmulShape[] = [
  [576, 1536],
  [1536, 576],
  [576, 576],
  [576, 192],
  [576, 2304],
].flatMap(([from, to]) => linearShapes(512, from, to));

/** Queues one product; `destroy` frees it. */
function productOf(gpu: Gpu, [form, m, k, n]: MatmulShape) {
  const [a, b, c] = [m * k, k * n, m * n].map((count) => ({
    buffer: gpu.createBuffer("bench matrix", count * 4),
    offset: 0,
    size: 0,
  }));
  const textures = readsTextures(gpu) ? new InputTextures(gpu, [m * k, k * n]) : undefined;
  const program = new Program(gpu, textures);
  const shape = { m, n, k, lda: form === "TN" ? m : k, ldb: form === "NT" ? k : n, ldc: n };
  addProduct(gpu, program, { form, init: "zero", a, b, c, shape });
  return {
    run: () => program.run({}),
    destroy: () => {
      program.destroy();
      textures?.destroy();
      for (const { buffer } of [a, b, c]) gpu.destroyMemory(buffer);
    },
  };
}

/** Seconds of one product, and its operations by processor time as `Ceiling.cpuGflops`. */
export async function measureProduct(gpu: Gpu, shape: MatmulShape) {
  const [, m, k, n] = shape, operations = 2 * m * k * n;
  const product = productOf(gpu, shape);
  // The first run compiles.
  product.run();
  await gpu.device.queue.onSubmittedWorkDone();
  let runs = 0;
  const cpu = cpuSeconds();
  const seconds = await medianSeconds(gpu, () => {
    runs++;
    product.run();
  }, { rounds: 3 });
  const used = cpuSeconds() - cpu;
  product.destroy();
  const cpuGflops = operations * runs / used * navigator.hardwareConcurrency / 1e9;
  return { gflops: operations / seconds / 1e9, cpuGflops };
}

export async function benchMatmul(
  gpu: Gpu,
  shapes: readonly MatmulShape[] = MATMUL_SHAPES,
): Promise<MatmulResult[]> {
  const results: MatmulResult[] = [];
  let before: Ceiling = await measureCeiling(gpu);
  for (const shape of shapes) {
    const [form, m, k, n] = shape;
    const { gflops, cpuGflops } = await measureProduct(gpu, shape);
    const after = await measureCeiling(gpu), ceiling = between(before, after);
    results.push({
      form,
      m,
      k,
      n,
      gflops,
      share: gflops / ceiling.gflops,
      cpu_share: cpuGflops / ceiling.cpuGflops,
    });
    before = after;
  }
  return results;
}
