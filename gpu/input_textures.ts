/**
 * Where kernels read their inputs. On a GPU that is the buffer they lie in. On software Vulkan a texture
 * is read several times as fast as a buffer, so much that it pays to copy an input to a texture before
 * every dispatch that reads it (`docs/performance.md` has the figures).
 *
 * A texture holds floats as their buffer does, four to a texel, row after row of the texture whatever
 * the row length of the matrix. A program owns no textures: all programs of a model use the same few.
 */
import type { Gpu } from "./device.ts";

/** Texels of a texture's row: a power of two, and with WebGPU's least height room for 256 MiB. */
const TEXELS_PER_ROW = 2048;
const ROW_BYTES = TEXELS_PER_ROW * 16;
/** What a texture holds at most, in the height that every adapter has. */
export const MOST_TEXTURE_FLOATS = TEXELS_PER_ROW * 4 * 8192;

/** Added to the binding of a buffer that a kernel overwrites: there it finds what stood in it. */
export const IN_PLACE_BINDING = 8;

export interface InputTexture {
  readonly texture: GPUTexture;
  readonly view: GPUTextureView;
}

/** Bytes of the textures that hold so many floats each. */
export function inputTextureBytes(floats: readonly number[]): number {
  const rows = (count: number) => Math.max(1, Math.ceil(count * 4 / ROW_BYTES));
  return floats.reduce((sum, count) => sum + rows(count) * ROW_BYTES, 0);
}

/** Textures for the first, second, ... input of a kernel. */
export class InputTextures {
  readonly #gpu: Gpu;
  readonly slots: readonly InputTexture[];

  /** `floats`: the most that the input of each slot holds. Throws `GpuError` through error scopes. */
  constructor(gpu: Gpu, floats: readonly number[]) {
    this.#gpu = gpu;
    this.slots = floats.map((count, slot) => {
      const bytes = inputTextureBytes([count]);
      const texture = gpu.createTexture({
        label: `input ${slot}`,
        size: [TEXELS_PER_ROW, bytes / ROW_BYTES],
        format: "rgba32float",
        usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST,
      }, bytes);
      return { texture, view: texture.createView() };
    });
  }

  destroy(): void {
    for (const { texture } of this.slots) this.#gpu.destroyMemory(texture);
  }
}

const buffer = (access: string, name: string, binding: number) =>
  `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<vec4<f32>>;\n`;

const fromBuffer = (name: string) => `fn at_${name}(i: u32) -> vec4<f32> { return ${name}[i]; }`;

const fromTexture = (name: string, texture: string, binding: number) =>
  `@group(0) @binding(${binding}) var ${texture}: texture_storage_2d<rgba32float, read>;
fn at_${name}(i: u32) -> vec4<f32> {
  return textureLoad(${texture}, vec2<u32>(i % ${TEXELS_PER_ROW}u, i / ${TEXELS_PER_ROW}u));
}`;

/** WGSL of an input [vec4]: `at_name(i)` is its i-th vec4. */
export function inputSource(name: string, binding: number, textures: boolean): string {
  return textures
    ? fromTexture(name, name, binding)
    : buffer("read", name, binding) + fromBuffer(name);
}

/** WGSL of an input that is overwritten: `at_name(i)` is what stood in `name[i]` before. */
export function inPlaceSource(name: string, binding: number, textures: boolean): string {
  return buffer("read_write", name, binding) +
    (textures ? fromTexture(name, `${name}_before`, binding + IN_PLACE_BINDING) : fromBuffer(name));
}

/** An input as hand-written kernels declare it: what the two above write for a buffer. */
const INPUT =
  /@group\(0\) @binding\((\d+)\) var<storage, (read|read_write)> (\w+): array<vec4<f32>>;\nfn at_\3\(i: u32\) -> vec4<f32> \{ return \3\[i\]; \}/g;

/** WGSL of a hand-written kernel with its inputs in textures. */
export function withTextures(code: string): string {
  return code.replaceAll(INPUT, (_, binding, access, name) => {
    const source = access === "read" ? inputSource : inPlaceSource;
    return source(name, Number(binding), true);
  });
}

/** Queues the copy of `floats` (a multiple of four) from a buffer; `offset` in bytes, of 16 too. */
export function copyToTexture(
  encoder: GPUCommandEncoder,
  { buffer, offset }: { readonly buffer: GPUBuffer; readonly offset: number },
  floats: number,
  { texture }: InputTexture,
): void {
  const texels = floats / 4, rows = Math.floor(texels / TEXELS_PER_ROW);
  const rest = texels - rows * TEXELS_PER_ROW;
  if (rows > 0) {
    encoder.copyBufferToTexture(
      { buffer, offset, bytesPerRow: ROW_BYTES },
      { texture },
      [TEXELS_PER_ROW, rows],
    );
  }
  if (rest > 0) {
    encoder.copyBufferToTexture(
      { buffer, offset: offset + rows * ROW_BYTES },
      { texture, origin: [0, rows] },
      [rest, 1],
    );
  }
}
