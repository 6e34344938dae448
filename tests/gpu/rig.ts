/**
 * Puts data on the GPU, runs programs, reads many results with one read-back (each costs 11 ms) and
 * frees everything. Opened once for a test file. Tests can be run with both kinds of inputs that kernels
 * read: buffers and textures.
 */
import { type Gpu, openGpu } from "../../gpu/device.ts";
import { copyToTexture, InputTextures } from "../../gpu/input_textures.ts";
import type { Kernel } from "../../gpu/pipeline.ts";
import { type Storage, valueBytes } from "../../gpu/storage.ts";
import { type Input, type Launch, Program, type Sizes, type View } from "../../gpu/program.ts";
import { assertSameBits, printMargins } from "../assert_close.ts";

/** Where kernels read their inputs. */
export const INPUT_KINDS = ["buffers", "textures"] as const;
export type InputKind = typeof INPUT_KINDS[number];

/** As many inputs as a kernel has, and floats of each: what an optimizer updates at a time. */
const SLOTS = 4, SLOT_FLOATS = 1 << 21;
/** Floats of a texture that are NaN before a program runs: what it did not copy, it must not use. */
const POISON_FLOATS = 1 << 17;

/** Zeros, under the type that uploads and results share. */
export function zeroValues(count: number): Float32Array {
  return new Float32Array(count);
}

export class Rig {
  readonly gpu: Gpu;
  readonly #buffers: GPUBuffer[] = [];
  readonly #programs: Program[] = [];
  readonly #others: (() => void)[] = [];
  #kind: InputKind = "buffers";
  #slots: { readonly textures: InputTextures; readonly poison: GPUBuffer } | undefined;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /** Opens the adapter and registers the closing, which also prints the margins. */
  static async open(): Promise<Rig> {
    const rig = new Rig(await openGpu());
    Deno.test.afterAll(async () => {
      printMargins();
      // Nothing that is still queued may need what is freed.
      await rig.gpu.device.queue.onSubmittedWorkDone();
      rig.#slots?.textures.destroy();
      rig.gpu.destroy();
    });
    return rig;
  }

  /** Whether kernels have to be compiled for inputs in textures. */
  get inTextures(): boolean {
    return this.#kind === "textures";
  }

  /** Textures for the programs of now, full of NaN; none where kernels read buffers. */
  freshTextures(): InputTextures | undefined {
    if (!this.inTextures) return undefined;
    this.#slots ??= this.#makeSlots();
    const { textures, poison } = this.#slots, encoder = this.gpu.device.createCommandEncoder();
    for (const slot of [...textures.slots, ...textures.halfSlots]) {
      copyToTexture(encoder, { buffer: poison, offset: 0 }, POISON_FLOATS, slot);
    }
    this.gpu.submit(encoder);
    return textures;
  }

  #makeSlots() {
    const floats = Array(SLOTS).fill(SLOT_FLOATS), halves = Array(SLOTS - 1).fill(POISON_FLOATS);
    const textures = new InputTextures(this.gpu, floats, halves);
    const poison = this.gpu.createBuffer("poison", POISON_FLOATS * 4);
    // NaN as f32, and as two f16.
    this.gpu.write(poison, new Uint32Array(POISON_FLOATS).fill(0x7fff7fff));
    return { textures, poison };
  }

  /** Runs `work` with inputs of a kind. */
  async with<T>(kind: InputKind, work: () => T | Promise<T>): Promise<T> {
    this.#kind = kind;
    try {
      return await work();
    } finally {
      this.#kind = "buffers";
    }
  }

  /** Registers a test for each kind of inputs. */
  test(name: string, work: () => void | Promise<void>): void {
    for (const kind of INPUT_KINDS) {
      const ignore = kind === "textures" && !this.gpu.capabilities.storageTextures;
      const why = ignore ? " (not readable here)" : "";
      const fn = () => this.with(kind, work);
      Deno.test({ name: `${name}, inputs in ${kind}${why}`, ignore, fn });
    }
  }

  /** Registers a test that what `work` finds has the same bits with both kinds of inputs. */
  sameBits(name: string, work: () => Promise<Readonly<Record<string, Float32Array>>>): void {
    const ignore = !this.gpu.capabilities.storageTextures;
    const why = ignore ? " (not readable here)" : "";
    const fn = async () => {
      const buffers = await this.with("buffers", work);
      const textures = await this.with("textures", work);
      for (const [result, values] of Object.entries(buffers)) {
        assertSameBits(textures[result], values, `${name}, ${result}, textures against buffers`);
      }
    };
    Deno.test({ name: `${name} has the same bits with inputs in textures${why}`, ignore, fn });
  }

  /** All of a view as what a kernel reads. */
  input(view: View, inPlace = false): Input {
    return { view, floats: () => view.size / valueBytes(view.storage), inPlace };
  }

  /** A buffer with the given values. */
  upload(data: Float32Array | Uint32Array): View {
    const view = this.zeros(data.length);
    this.gpu.write(view.buffer, data);
    return view;
  }

  /** A buffer with the given values, rounded to f16 where they are stored so. */
  store(values: Float32Array, storage: Storage): View {
    if (storage === "f32") return this.upload(values);
    const halves = new Uint32Array(new Float16Array(values).buffer);
    return { ...this.upload(halves), storage };
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
    const program = new Program(this.gpu, this.freshTextures());
    this.#programs.push(program);
    build(program);
    program.run(sizes);
    return program;
  }

  /** Runs one kernel. */
  dispatch(kernel: Kernel, views: readonly (View | Input)[], launch: Launch): void {
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

  /** The values of a result of `finish` that is stored as f16. */
  static halves({ buffer, byteOffset, length }: Float32Array): Float32Array {
    return new Float32Array(new Float16Array(buffer, byteOffset, 2 * length));
  }

  /** Frees what was uploaded and run. */
  free(): void {
    for (const program of this.#programs) program.destroy();
    for (const destroy of this.#others) destroy();
    for (const buffer of this.#buffers) this.gpu.destroyMemory(buffer);
    this.#programs.length = this.#others.length = this.#buffers.length = 0;
  }
}
