/**
 * Where kernels read their inputs. On a GPU that is the buffer they lie in. On software Vulkan a texture
 * is read several times as fast as a buffer, so much that it pays to copy an input to a texture before
 * every dispatch that reads it (`docs/performance.md` has the figures).
 *
 * A texture holds values as their buffer does, four to a texel, row after row of the texture whatever
 * the row length of the matrix. A program owns no textures: all programs of a model use the same few.
 */
import type { Gpu } from "./device.ts";
import { type Storage, unpackF16, valueBytes } from "./storage.ts";

/** Texels of a texture's row: a power of two, and with WebGPU's least height room for 2^26 values. */
const TEXELS_PER_ROW = 2048;
/** What a texture holds at most, in the height that every adapter has. */
export const MOST_TEXTURE_FLOATS = TEXELS_PER_ROW * 4 * 8192;

/** Texels of four values. */
const FORMATS = { f32: "rgba32float", f16: "rgba16float" } as const;

const rowBytes = (storage: Storage) => TEXELS_PER_ROW * 4 * valueBytes(storage);

/** Added to the binding of a buffer that a kernel overwrites: there it finds what stood in it. */
export const IN_PLACE_BINDING = 8;

export interface InputTexture {
  readonly texture: GPUTexture;
  readonly view: GPUTextureView;
  readonly storage: Storage;
}

/** Bytes of the textures that hold so many values each. */
export function inputTextureBytes(values: readonly number[], storage: Storage = "f32"): number {
  const rows = (count: number) => Math.max(1, Math.ceil(count / 4 / TEXELS_PER_ROW));
  return values.reduce((sum, count) => sum + rows(count) * rowBytes(storage), 0);
}

/** Textures for the first, second, ... input of a kernel. */
export class InputTextures {
  readonly #gpu: Gpu;
  readonly slots: readonly InputTexture[];
  /** For inputs that are stored as f16. */
  readonly halfSlots: readonly InputTexture[];

  /**
   * `floats` and `halves`: the most values that the input of each slot holds, in either storage.
   * Throws `GpuError` through error scopes.
   */
  constructor(gpu: Gpu, floats: readonly number[], halves: readonly number[] = []) {
    this.#gpu = gpu;
    const make = (storage: Storage) => (count: number, slot: number): InputTexture => {
      const bytes = inputTextureBytes([count], storage);
      const texture = gpu.createTexture({
        label: `input ${slot} ${storage}`,
        size: [TEXELS_PER_ROW, bytes / rowBytes(storage)],
        format: FORMATS[storage],
        usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST,
      }, bytes);
      return { texture, view: texture.createView(), storage };
    };
    this.slots = floats.map(make("f32"));
    this.halfSlots = halves.map(make("f16"));
  }

  /** The texture for the `index`-th input of a kernel. */
  slot(index: number, storage: Storage = "f32"): InputTexture {
    return (storage === "f16" ? this.halfSlots : this.slots)[index];
  }

  destroy(): void {
    for (const { texture } of [...this.slots, ...this.halfSlots]) this.#gpu.destroyMemory(texture);
  }
}

const TYPES = { f32: "vec4<f32>", f16: "vec2<u32>" } as const;

const buffer = (access: string, name: string, binding: number, storage: Storage = "f32") =>
  `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${TYPES[storage]}>;\n`;

function fromBuffer(name: string, storage: Storage = "f32"): string {
  const value = storage === "f16" ? unpackF16(`${name}[i]`) : `${name}[i]`;
  return `fn at_${name}(i: u32) -> vec4<f32> { return ${value}; }`;
}

const fromTexture = (name: string, texture: string, binding: number, storage: Storage = "f32") =>
  `@group(0) @binding(${binding}) var ${texture}: texture_storage_2d<${FORMATS[storage]}, read>;
fn at_${name}(i: u32) -> vec4<f32> {
  return textureLoad(${texture}, vec2<u32>(i % ${TEXELS_PER_ROW}u, i / ${TEXELS_PER_ROW}u));
}`;

/** WGSL of an input [vec4]: `at_name(i)` is its i-th vec4. */
export function inputSource(
  name: string,
  binding: number,
  textures: boolean,
  storage?: Storage,
): string {
  return textures
    ? fromTexture(name, name, binding, storage)
    : buffer("read", name, binding, storage) + fromBuffer(name, storage);
}

/** WGSL of an output [vec4]: `put_name(i, value)` writes its i-th vec4; f16 calls `PACK_F16`. */
export function outputSource(name: string, binding: number, storage: Storage): string {
  const value = storage === "f16" ? "pack_f16(value)" : "value";
  return buffer("read_write", name, binding, storage) +
    `fn put_${name}(i: u32, value: vec4<f32>) { ${name}[i] = ${value}; }`;
}

/** WGSL of an input that is overwritten: `at_name(i)` is what stood in `name[i]` before. */
export function inPlaceSource(name: string, binding: number, textures: boolean): string {
  return buffer("read_write", name, binding) +
    (textures ? fromTexture(name, `${name}_before`, binding + IN_PLACE_BINDING) : fromBuffer(name));
}

/** Inputs and outputs as hand-written kernels declare them: what the three above write for f32 buffers. */
const DECLARED = "@group\\(0\\) @binding\\((\\d+)\\) var<storage, (read|read_write)> (\\w+): " +
  "array<vec4<f32>>;\\n";
const INPUT = new RegExp(
  DECLARED + "fn at_\\3\\(i: u32\\) -> vec4<f32> { return \\3\\[i\\]; }",
  "g",
);
const OUTPUT = new RegExp(
  DECLARED + "fn put_\\3\\(i: u32, value: vec4<f32>\\) { \\3\\[i\\] = value; }",
  "g",
);

/** WGSL of a hand-written kernel with its inputs in textures, and with values of f16 by their names. */
export function withStorage(
  code: string,
  { textures, halves = [] }: { readonly textures: boolean; readonly halves?: readonly string[] },
): string {
  const storageOf = (name: string): Storage => halves.includes(name) ? "f16" : "f32";
  return code.replaceAll(
    INPUT,
    (_, binding, access, name) =>
      access === "read"
        ? inputSource(name, Number(binding), textures, storageOf(name))
        : inPlaceSource(name, Number(binding), textures),
  )
    .replaceAll(
      OUTPUT,
      (_, binding, _access, name) => outputSource(name, Number(binding), storageOf(name)),
    );
}

/** Queues the copy of `floats` values (a multiple of four); `offset` in bytes, of four values too. */
export function copyToTexture(
  encoder: GPUCommandEncoder,
  { buffer, offset }: { readonly buffer: GPUBuffer; readonly offset: number },
  floats: number,
  { texture, storage }: InputTexture,
): void {
  const texels = floats / 4, rows = Math.floor(texels / TEXELS_PER_ROW);
  const rest = texels - rows * TEXELS_PER_ROW, bytesPerRow = rowBytes(storage);
  if (rows > 0) {
    encoder.copyBufferToTexture(
      { buffer, offset, bytesPerRow },
      { texture },
      [TEXELS_PER_ROW, rows],
    );
  }
  if (rest > 0) {
    encoder.copyBufferToTexture(
      { buffer, offset: offset + rows * bytesPerRow },
      { texture, origin: [0, rows] },
      [rest, 1],
    );
  }
}
