/** Measures which kernels of the product family are fastest on an adapter. */
import type { Gpu } from "./device.ts";
import { InputTextures } from "./input_textures.ts";
import { type MatmulForm, type MatmulTile, tileName } from "./kernels/matmul.ts";
import { addProduct } from "./product.ts";
import { Program, type View } from "./program.ts";
import {
  candidateTiles,
  defaultTile,
  type ProductClass,
  productClass,
  type Tuning,
} from "./tuning.ts";

/** A product that a model runs, C [m, n] over k. */
export interface ProductSize {
  readonly form: MatmulForm;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export interface TuningReport {
  readonly tuning: Tuning;
  readonly seconds: number;
  /** Candidates that were run. */
  readonly measured: number;
  /** False where time ran out: classes that were not reached keep the default. */
  readonly complete: boolean;
}

/** Seconds after which no candidate is started any more. */
const BUDGET = 30;
/** Rounds of a candidate, and how long each is at least, seconds. */
const ROUNDS = 3, ROUND = 0.03;
/** How much faster than the best so far a tile must be to replace it: less is noise. */
const GAIN = 0.9;

/** The largest product of each class. */
function representatives(products: readonly ProductSize[]): Map<ProductClass, ProductSize> {
  const largest = new Map<ProductClass, ProductSize>();
  const work = ({ m, n, k }: ProductSize) => m * n * k;
  for (const product of products) {
    const name = productClass(product.form, product.n);
    const known = largest.get(name);
    if (!known || work(product) > work(known)) largest.set(name, product);
  }
  return largest;
}

/** Matrices of one product, and its kernels as programs over them. */
class Bench {
  readonly #gpu: Gpu;
  readonly #size: ProductSize;
  readonly #views: View[];
  readonly #textures: InputTextures | undefined;

  constructor(gpu: Gpu, size: ProductSize) {
    const { m, n, k } = size;
    this.#gpu = gpu;
    this.#size = size;
    this.#views = [m * k, k * n, m * n].map((count) => ({
      buffer: gpu.createBuffer("tuning", count * 4),
      offset: 0,
      size: count * 4,
    }));
    for (const { buffer } of this.#views.slice(0, 2)) {
      // Any values do; those of A and B have no common period.
      gpu.write(buffer, Float32Array.from({ length: buffer.size / 4 }, (_, i) => i % 13 - 6));
    }
    this.#textures = gpu.capabilities.storageTextures
      ? new InputTextures(gpu, [m * k, k * n, m * n])
      : undefined;
  }

  #program(tile: MatmulTile, textures: boolean): Program {
    const { form, m, n, k } = this.#size;
    const [a, b, c] = this.#views;
    const program = new Program(this.#gpu, textures ? this.#textures : undefined);
    const shape = { m, n, k, lda: form === "TN" ? m : k, ldb: form === "NT" ? k : n, ldc: n };
    addProduct(this.#gpu, program, { form, init: "zero", a, b, c, shape }, tile);
    return program;
  }

  async #seconds(program: Program, repeats: number): Promise<number> {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) program.run({});
    await this.#gpu.device.queue.onSubmittedWorkDone();
    return (performance.now() - start) / 1000;
  }

  /**
   * Seconds of one product, the least of some rounds; compiled before. A single run is all there is of a
   * tile that takes twice `best` or more.
   */
  async time(tile: MatmulTile, textures: boolean, best = Infinity): Promise<number> {
    const program = this.#program(tile, textures);
    await this.#seconds(program, 1);
    const idle = await this.#seconds(program, 0);
    const once = Math.max(1e-5, await this.#seconds(program, 1) - idle);
    if (once > 2 * best) {
      program.destroy();
      return once;
    }
    const repeats = Math.max(1, Math.ceil(ROUND / once));
    let least = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      least = Math.min(least, (await this.#seconds(program, repeats) - idle) / repeats);
    }
    program.destroy();
    return least;
  }

  /** The bits of C as the last kernel left it. */
  async result(): Promise<Uint32Array> {
    const { buffer, size } = this.#views[2];
    return new Uint32Array(await this.#gpu.read(buffer, size));
  }

  destroy(): void {
    this.#textures?.destroy();
    for (const { buffer } of this.#views) this.#gpu.destroyMemory(buffer);
  }
}

/** A measurement in progress: its counts, and the tiles not worth running on another class. */
class Measurement {
  readonly #gpu: Gpu;
  readonly #clock: () => number;
  readonly #start: number;
  readonly #hopeless = new Set<string>();
  measured = 0;
  complete = true;

  constructor(gpu: Gpu, clock: () => number) {
    this.#gpu = gpu;
    this.#clock = clock;
    this.#start = clock();
  }

  get seconds(): number {
    return this.#clock() - this.#start;
  }

  /** Whether textures make the default tile faster on a product. */
  async textures(size: ProductSize): Promise<boolean> {
    if (!this.#gpu.capabilities.storageTextures) return false;
    const bench = new Bench(this.#gpu, size), tile = defaultTile(this.#gpu);
    this.measured += 2;
    try {
      const inBuffers = await bench.time(tile, false);
      return await bench.time(tile, true, inBuffers) < inBuffers * GAIN;
    } finally {
      bench.destroy();
    }
  }

  /** The fastest tile of those that give the default's bits. */
  async fastest(size: ProductSize, textures: boolean): Promise<MatmulTile> {
    const bench = new Bench(this.#gpu, size), standard = defaultTile(this.#gpu);
    try {
      let best = { tile: standard, seconds: await bench.time(standard, textures) };
      this.measured++;
      const expected = await bench.result();
      for (const tile of candidateTiles(this.#gpu)) {
        const name = tileName(tile);
        if (name === tileName(standard) || this.#hopeless.has(name)) continue;
        if (this.seconds > BUDGET) {
          this.complete = false;
          break;
        }
        const seconds = await bench.time(tile, textures, best.seconds);
        this.measured++;
        if (seconds > 2 * best.seconds) this.#hopeless.add(name);
        if (seconds >= best.seconds * GAIN) continue;
        if ((await bench.result()).every((x, i) => x === expected[i])) best = { tile, seconds };
      }
      return best.tile;
    } finally {
      bench.destroy();
    }
  }
}

/**
 * Runs candidates on the largest product of each class, for some 30 seconds at most. First it is decided
 * whether inputs are read from textures, then each class gets its tile. A tile whose result differs in
 * a bit from the default's is not taken.
 *
 * @param products what the model runs, with rows as many as a measurement should take
 * @param clock seconds
 */
export async function measureTuning(
  gpu: Gpu,
  products: readonly ProductSize[],
  clock: () => number = () => performance.now() / 1000,
): Promise<TuningReport> {
  const measurement = new Measurement(gpu, clock);
  const classes = representatives(products);
  const tiles: Partial<Record<ProductClass, MatmulTile>> = {};
  const [first] = classes.values();
  const textures = first !== undefined && await measurement.textures(first);
  for (const [name, size] of classes) {
    if (measurement.seconds > BUDGET) measurement.complete = false;
    else tiles[name] = await measurement.fastest(size, textures);
  }
  const { seconds, measured, complete } = measurement;
  return { tuning: { textures, tiles }, seconds, measured, complete };
}
