/**
 * The one place that talks to the adapter: which adapter counts, which features and limits are asked
 * for, which WGSL dialect it speaks, how many bytes are held, and how its errors end the run.
 *
 * WebGPU reports errors sideways (error scopes, `uncapturederror`, `device.lost`) and never throws them
 * at the place that caused them, so they are collected here and every read-back asks for them.
 */
import { GpuError } from "./error.ts";
import type { Tuning } from "./tuning.ts";
import { subgroupsAreLinear } from "./subgroup_probe.ts";

/** Subgroups are granted by Deno although they are not among `adapter.features`. */
const SUBGROUPS = "subgroups" as GPUFeatureName;

/** Deno has it; its types do not. */
type LanguageFeatures = GPU & { readonly wgslLanguageFeatures?: ReadonlySet<string> };
const READABLE_TEXTURES = "readonly_and_readwrite_storage_textures";

/** What kernels may rely on. */
export interface Capabilities {
  /** Subgroup shuffles work, and eight neighbouring invocations share one subgroup. */
  readonly subgroups: boolean;
  readonly subgroupSize: number;
  /** Largest storage binding, bytes. */
  readonly bindingLimit: number;
  readonly offsetAlignment: number;
  /** Shaders may read storage textures. */
  readonly storageTextures: boolean;
}

export interface GpuOptions {
  /** Pretends a smaller binding limit: parameters are then split sooner. Bytes. */
  readonly bindingLimit?: number;
  /** False: kernels without subgroup operations, without storage textures are chosen. */
  readonly subgroups?: boolean;
  readonly storageTextures?: boolean;
}

/**
 * Sizes of read-back buffers are powers of two, so that few are ever made: the smallest, the largest
 * that is kept for the next read, the largest at all (longer reads go in pieces). Bytes.
 */
const LEAST_STAGING = 1 << 16, KEPT_STAGING = 1 << 20, LARGEST_STAGING = 1 << 24;

const NO_ADAPTER =
  "No WebGPU adapter was found. Install a Vulkan driver for your GPU, or software " +
  "Vulkan (on Debian or Ubuntu: apt-get install libvulkan1 mesa-vulkan-drivers), and start again";

/** Storage buffers the largest kernel binds (attention's backward pass for keys). */
const STORAGE_BUFFERS = 9;

/**
 * True for OpenGL adapters, which are not supported: they run compute on a back end that WebGPU falls
 * back to silently. They are the ones that put no bound on the bindings of a group.
 */
export function isOpenGl(adapter: GPUAdapter): boolean {
  const limits = adapter.limits as unknown as Record<string, number>;
  return limits.maxBindingsPerBindGroup === 0xffffffff && !adapter.features.has("shader-f16");
}

/** Opens the adapter and its device. Throws `GpuError` when there is none. */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter || isOpenGl(adapter)) throw new GpuError(NO_ADAPTER);
  const limits = adapter.limits;
  if (limits.maxStorageBuffersPerShaderStage < STORAGE_BUFFERS) {
    throw new GpuError(
      `The GPU "${adapter.info.description}" binds ${limits.maxStorageBuffersPerShaderStage} ` +
        `buffers at once, the kernels need ${STORAGE_BUFFERS}; use another GPU or driver`,
    );
  }
  const requiredLimits = {
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxBufferSize: limits.maxBufferSize,
    maxStorageBuffersPerShaderStage: STORAGE_BUFFERS,
    minStorageBufferOffsetAlignment: limits.minStorageBufferOffsetAlignment,
  };
  const withSubgroups = options.subgroups === false
    ? undefined
    : await adapter.requestDevice({ requiredFeatures: [SUBGROUPS], requiredLimits })
      .catch(() => undefined);
  const device = withSubgroups ??
    await adapter.requestDevice({ requiredLimits }).catch((error) => {
      const why = error instanceof Error ? error.message : String(error);
      throw new GpuError(`Cannot open the GPU "${adapter.info.description}": ${why}`);
    });
  const gpu = new Gpu(adapter, device, {
    subgroups: withSubgroups !== undefined,
    subgroupSize: withSubgroups ? adapter.info.subgroupMinSize : 1,
    bindingLimit: Math.min(options.bindingLimit ?? Infinity, limits.maxStorageBufferBindingSize),
    offsetAlignment: Math.max(64, limits.minStorageBufferOffsetAlignment),
    storageTextures: options.storageTextures !== false &&
      (navigator.gpu as LanguageFeatures).wgslLanguageFeatures?.has(READABLE_TEXTURES) === true,
  });
  if (withSubgroups && !await subgroupsAreLinear(gpu)) gpu.withoutSubgroups();
  return gpu;
}

/** One device, its counters and its first error. */
export class Gpu {
  readonly device: GPUDevice;
  readonly adapterName: string;
  /** Adapter and driver as they name themselves. */
  readonly adapterId: string;
  #capabilities: Capabilities;
  #bytes = 0;
  #peakBytes = 0;
  #error: string | undefined;
  #closing = false;
  #unsubmitted = 0;
  readonly #staging = new Map<number, GPUBuffer[]>();
  readonly #sizes = new Map<GPUBuffer | GPUTexture, number>();
  /** What was measured to be fastest here; absent: defaults. Set before anything is built on it. */
  tuning: Tuning | undefined;
  dispatches = 0;
  submits = 0;
  readbacks = 0;

  constructor(adapter: GPUAdapter, device: GPUDevice, capabilities: Capabilities) {
    this.device = device;
    this.#capabilities = capabilities;
    const info = adapter.info;
    this.adapterName = info.description || info.device || info.vendor || "unnamed adapter";
    this.adapterId = [info.vendor, info.architecture, info.device, info.description].join("; ");
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault?.();
      this.#error ??= (event as GPUUncapturedErrorEvent).error.message;
    });
    device.lost.then((lost) => {
      if (!this.#closing) this.#error ??= `the device was lost (${lost.reason}): ${lost.message}`;
    });
  }

  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** Bytes of GPU memory held now and at most. */
  get bytes(): number {
    return this.#bytes;
  }
  get peakBytes(): number {
    return this.#peakBytes;
  }

  withoutSubgroups(): void {
    this.#capabilities = { ...this.#capabilities, subgroups: false, subgroupSize: 1 };
  }

  /** Throws the first error the device has reported. */
  check(doing: string): void {
    if (this.#error !== undefined) {
      throw new GpuError(`${doing} failed on GPU "${this.adapterName}": ${this.#error}`);
    }
  }

  /** A buffer of `bytes` (rounded up to 16), zeroed. Throws `GpuError` above the adapter's limits. */
  createBuffer(label: string, bytes: number, usage = STORAGE_USAGE): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const limit = this.device.limits.maxBufferSize;
    if (size > limit) {
      throw new GpuError(
        `Cannot allocate "${label}": it needs ${size} bytes, the adapter's buffers hold ${limit}; ` +
          `choose a smaller model, batch or memory_budget`,
      );
    }
    return this.#own(this.device.createBuffer({ label, size, usage }), size);
  }

  /** A texture of `bytes`; what it may not be is reported like every validation error. */
  createTexture(descriptor: GPUTextureDescriptor, bytes: number): GPUTexture {
    return this.#own(this.device.createTexture(descriptor), bytes);
  }

  #own<T extends GPUBuffer | GPUTexture>(memory: T, size: number): T {
    this.#sizes.set(memory, size);
    this.#bytes += size;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    return memory;
  }

  /** Frees what this made; the garbage collector does not see GPU memory. */
  destroyMemory(memory: GPUBuffer | GPUTexture): void {
    const size = this.#sizes.get(memory);
    if (size === undefined) return;
    this.#sizes.delete(memory);
    this.#bytes -= size;
    memory.destroy();
  }

  write(buffer: GPUBuffer, data: Uint32Array | Float32Array | Int32Array, byteOffset = 0): void {
    if (data.byteLength === 0) return;
    this.#unsubmitted += data.byteLength;
    this.device.queue.writeBuffer(
      buffer,
      byteOffset,
      data.buffer as ArrayBuffer,
      data.byteOffset,
      data.byteLength,
    );
  }

  /** Between large writes: lets the device free the copies it keeps of them until they are submitted. */
  async settleWrites(): Promise<void> {
    if (this.#unsubmitted < LARGEST_STAGING) return;
    this.#unsubmitted = 0;
    this.device.queue.submit([]);
    await this.device.queue.onSubmittedWorkDone();
  }

  /**
   * Copies `bytes` of a buffer to the host. Waits for all queued work; costs about 11 ms whatever the
   * size, so values wanted together are read together.
   */
  async read(buffer: GPUBuffer, bytes: number, byteOffset = 0): Promise<ArrayBuffer> {
    if (bytes <= LARGEST_STAGING) return await this.#readPiece(buffer, bytes, byteOffset);
    const whole = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += LARGEST_STAGING) {
      const size = Math.min(LARGEST_STAGING, bytes - at);
      whole.set(new Uint8Array(await this.#readPiece(buffer, size, byteOffset + at)), at);
    }
    return whole.buffer;
  }

  async #readPiece(buffer: GPUBuffer, bytes: number, byteOffset: number): Promise<ArrayBuffer> {
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, LEAST_STAGING)));
    const staging = this.#staging.get(size)?.pop() ??
      this.createBuffer("read-back", size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, byteOffset, staging, 0, Math.ceil(bytes / 4) * 4);
    this.submit(encoder);
    this.readbacks++;
    try {
      await staging.mapAsync(GPUMapMode.READ, 0, size);
    } catch (error) {
      this.#error ??= error instanceof Error ? error.message : String(error);
    }
    this.check("Reading results");
    const copy = staging.getMappedRange(0, size).slice(0, bytes);
    staging.unmap();
    if (size > KEPT_STAGING) this.destroyMemory(staging);
    else this.#staging.set(size, [...this.#staging.get(size) ?? [], staging]);
    return copy;
  }

  submit(encoder: GPUCommandEncoder): void {
    this.device.queue.submit([encoder.finish()]);
    this.submits++;
  }

  /** Runs allocations; throws `GpuError` if the device refused any of them. */
  async guarded<T>(doing: string, work: () => T | Promise<T>): Promise<T> {
    this.device.pushErrorScope("out-of-memory");
    this.device.pushErrorScope("validation");
    let result: T;
    const errors: (GPUError | null)[] = [];
    try {
      result = await work();
    } finally {
      errors.push(await this.device.popErrorScope(), await this.device.popErrorScope());
    }
    const error = errors.find((e) => e !== null);
    if (error) {
      throw new GpuError(
        `${doing} failed on GPU "${this.adapterName}" with ${this.#bytes} bytes held: ` +
          `${error.message}`,
      );
    }
    this.check(doing);
    return result;
  }

  /** Frees everything. Nothing may be used afterwards. */
  destroy(): void {
    this.#closing = true;
    for (const buffer of [...this.#sizes.keys()]) this.destroyMemory(buffer);
    this.#staging.clear();
    this.device.destroy();
  }
}

export const STORAGE_USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC |
  GPUBufferUsage.COPY_DST;
export const UNIFORM_USAGE = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
