/** Matrix products of jax-js on the same adapter, in turn with this program's. */
import type { Gpu } from "../../gpu/device.ts";
import { MATMUL_SHAPES, type MatmulShape, measureProduct } from "../matmul.ts";
import { numberOf, Peer } from "./peer.ts";

const REPEATS = 3;

export interface JaxProduct {
  readonly form: string;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly gflops: number;
  /** Ours by theirs. */
  readonly ratio: number;
}

export interface JaxResult {
  readonly version: unknown;
  readonly matmul: readonly JaxProduct[];
}

export async function benchJax(
  gpu: Gpu,
  say: (line: string) => void,
  shapes: readonly MatmulShape[] = MATMUL_SHAPES.slice(0, 3),
): Promise<JaxResult> {
  const script = new URL("jax_products.ts", import.meta.url).pathname;
  const args = ["run", "--no-prompt", "--no-lock", "--no-config", "--no-check", "-RE", script];
  const peer = Peer.start(Deno.execPath(), args);
  try {
    const { version } = await peer.answer();
    const matmul: JaxProduct[] = [];
    for (const [form, m, k, n] of shapes) {
      const ours = await measureProduct(gpu, [form, m, k, n]);
      const seconds = numberOf(await peer.ask(`${form} ${m} ${k} ${n} ${REPEATS}`), "seconds");
      const gflops = 2 * m * k * n / seconds / 1e9;
      matmul.push({ form, m, k, n, gflops, ratio: ours.gflops / gflops });
      const { ratio } = matmul.at(-1)!;
      say(
        `jax-js, ${form} ${m} x ${k} x ${n}: ${gflops.toFixed(1)} GFLOP/s, ours ${
          ratio.toFixed(1)
        } times that`,
      );
    }
    return { version, matmul };
  } finally {
    await peer.stop();
  }
}
