/**
 * Matrix products of jax-js on this adapter: for each line "FORM m k n REPEATS" on stdin the seconds of
 * one. Run by `jax.ts` in a process and with a lock file of its own, so that nothing else here depends
 * on the package.
 */
import { linesOf } from "./peer.ts";

/** What is used of jax-js; an operation takes its operands unless `ref` is given. */
interface Matrix {
  readonly ref: Matrix;
  blockUntilReady(): Promise<Matrix>;
  dispose(): void;
}

interface Jax {
  init(device: string): Promise<unknown>;
  defaultDevice(device: string): void;
  readonly numpy: {
    array(values: Float32Array, options: { readonly shape: readonly number[] }): Matrix;
    matmul(a: Matrix, b: Matrix): Matrix;
    transpose(a: Matrix): Matrix;
  };
}

/** Real values: what is known to be constant would never be loaded. */
function matrix(jax: Jax, rows: number, columns: number): Matrix {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i));
  return jax.numpy.array(values, { shape: [rows, columns] });
}

const PACKAGE = "npm:@jax-js/jax@0.1.25";

async function main(): Promise<void> {
  const jax: Jax = await import(PACKAGE);
  await jax.init("webgpu");
  jax.defaultDevice("webgpu");
  const np = jax.numpy;
  console.log(JSON.stringify({ ready: true, version: PACKAGE }));
  for await (const line of linesOf(Deno.stdin.readable)) {
    const [form, ...numbers] = line.split(" "), [m, k, n, repeats] = numbers.map(Number);
    const a = form === "TN" ? matrix(jax, k, m) : matrix(jax, m, k);
    const b = form === "NT" ? matrix(jax, n, k) : matrix(jax, k, n);
    const product = () =>
      np.matmul(
        form === "TN" ? np.transpose(a.ref) : a.ref,
        form === "NT" ? np.transpose(b.ref) : b.ref,
      );
    const run = async (times: number) => {
      const start = performance.now(), results = Array.from({ length: times }, product);
      for (const result of results) (await result.blockUntilReady()).dispose();
      return (performance.now() - start) / 1000;
    };
    // The first compiles; the fixed cost of waiting is taken off by running one and several.
    await run(1);
    const one = await run(1), several = await run(1 + repeats);
    console.log(JSON.stringify({ seconds: (several - one) / repeats }));
    a.dispose();
    b.dispose();
  }
}

if (import.meta.main) await main();
