/**
 * Puts data on the GPU, runs programs, reads many results with one read-back (each costs 11 ms) and
 * frees everything. Opened once for a test file.
 */
import { type Gpu, openGpu } from "../../gpu/device.ts";
import type { Kernel } from "../../gpu/pipeline.ts";
import { type Launch, Program, type Sizes, type View } from "../../gpu/program.ts";
import { printMargins } from "../assert_close.ts";

/** Zeros, under the type that uploads and results share. */
export function zeroValues(count: number): Float32Array {
  return new Float32Array(count);
}

export class Rig {
  readonly gpu: Gpu;
  readonly #buffers: GPUBuffer[] = [];
  readonly #programs: Program[] = [];
  readonly #others: (() => void)[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /** Opens the adapter and registers the closing, which also prints the margins. */
  static async open(): Promise<Rig> {
    const rig = new Rig(await openGpu());
    Deno.test.afterAll(() => {
      printMargins();
      rig.gpu.destroy();
    });
    return rig;
  }

  /** A buffer with the given values. */
  upload(data: Float32Array | Uint32Array): View {
    const view = this.zeros(data.length);
    this.gpu.write(view.buffer, data);
    return view;
  }

  /** A buffer of `count` zero words. */
  zeros(count: number): View {
    const buffer = this.gpu.createBuffer("test", count * 4);
    this.#buffers.push(buffer);
    return { buffer, offset: 0, size: count * 4 };
  }

  /** Passes a view on whose owner is destroyed once the results have been read. */
  keep(view: View, destroy: () => void): View {
    this.#others.push(destroy);
    return view;
  }

  /** Adds steps to a new program and runs it once with the given sizes. */
  run(build: (program: Program) => void, sizes: Sizes = {}): Program {
    const program = new Program(this.gpu);
    this.#programs.push(program);
    build(program);
    program.run(sizes);
    return program;
  }

  /** Runs one kernel. */
  dispatch(kernel: Kernel, views: readonly View[], launch: Launch): void {
    this.run((program) => program.add(kernel, views, () => launch));
  }

  /** The values of all the views, float32, with one read-back; then frees everything. */
  async finish<T extends Readonly<Record<string, View>>>(
    cases: readonly T[],
  ): Promise<Record<keyof T, Float32Array>[]> {
    const views = cases.flatMap((one) => Object.values(one));
    const bytes = views.reduce((sum, view) => sum + view.size, 0);
    // A power of two, so that the pooled read-back buffers are used again.
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, 16)));
    const all = this.gpu.createBuffer("results", size);
    const encoder = this.gpu.device.createCommandEncoder();
    let at = 0;
    for (const { buffer, offset, size } of views) {
      encoder.copyBufferToBuffer(buffer, offset, all, at, size);
      at += size;
    }
    this.gpu.submit(encoder);
    const data = await this.gpu.read(all, size);
    this.gpu.destroyMemory(all);
    this.free();
    at = 0;
    return cases.map((one) => {
      const values = Object.entries(one).map(([name, view]) => {
        const from = at;
        at += view.size;
        return [name, new Float32Array(data, from, view.size / 4)];
      });
      return Object.fromEntries(values);
    });
  }

  /** Frees what was uploaded and run. */
  free(): void {
    for (const program of this.#programs) program.destroy();
    for (const destroy of this.#others) destroy();
    for (const buffer of this.#buffers) this.gpu.destroyMemory(buffer);
    this.#programs.length = this.#others.length = this.#buffers.length = 0;
  }
}
