/**
 * A program is a straight-line list of dispatches, built once with its bind groups and replayed with
 * other sizes: sizes live in one uniform buffer that is rewritten only when they change.
 */
import { type Gpu, UNIFORM_USAGE } from "./device.ts";
import { GpuError } from "./error.ts";
import {
  copyToTexture,
  IN_PLACE_BINDING,
  type InputTexture,
  type InputTextures,
} from "./input_textures.ts";
import type { Kernel } from "./pipeline.ts";
import type { Storage } from "./storage.ts";

/** A range of a buffer; offset and size in bytes, size 0 for the rest. */
export interface View {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
  /** Absent: f32. A kernel that binds the view must have been compiled for it. */
  readonly storage?: Storage;
}

/** The sizes a program is replayed with, by name. */
export type Sizes = Readonly<Record<string, number>>;

/** What a dispatch needs for given sizes. */
export interface Launch {
  /** Values of the kernel's `Params` struct in order; see `f32Bits` for floats. */
  readonly params: readonly number[];
  /** Workgroups in x, y, z; a zero skips the dispatch. */
  readonly groups: readonly [number, number, number];
  /** Arithmetic operations, to cut the work into submits. */
  readonly operations: number;
}

/** What a kernel reads: the first values of a range, a multiple of four. */
export interface Input {
  readonly view: View;
  readonly floats: (sizes: Sizes) => number;
  /** The kernel overwrites it: the buffer is bound too. */
  readonly inPlace?: boolean;
}

interface Binding {
  readonly binding: number;
  readonly resource: View | InputTexture;
}

interface Dispatch {
  readonly kernel: Kernel;
  readonly bindings: readonly Binding[];
  readonly launch: (sizes: Sizes) => Launch;
}

/** Zeroes the first bytes of a buffer. */
interface Clear {
  readonly buffer: GPUBuffer;
  readonly bytes: (sizes: Sizes) => number;
}

interface Copy extends Input {
  readonly to: InputTexture;
}

type Step = Dispatch | Clear | Copy;

const NOTHING: Launch = { params: [], groups: [0, 0, 0], operations: 0 };

const SLOT_BYTES = 256;
/** Work of one submit: some 200 ms on a slow adapter, so that no driver takes the queue for hung. */
const OPERATIONS_PER_SUBMIT = 4e9;
const MAX_GROUPS = 65535;

const scratch = new DataView(new ArrayBuffer(4));

/** The bits of a float32 as a u32, to pass floats among the u32 params. */
export function f32Bits(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** Groups of `size` covering `count` items in one dimension, folded into two where one is too short. */
export function groupsFor(count: number, size: number): [number, number, number] {
  const groups = Math.ceil(count / size);
  if (groups <= MAX_GROUPS) return [groups, 1, 1];
  return [MAX_GROUPS, Math.ceil(groups / MAX_GROUPS), 1];
}

function bindingResource(resource: View | InputTexture): GPUBindingResource {
  if ("texture" in resource) return resource.view;
  const { buffer, offset, size } = resource;
  return { buffer, offset, size: size || buffer.size - offset };
}

export class Program {
  readonly #gpu: Gpu;
  readonly #steps: Step[] = [];
  #uniforms: GPUBuffer | undefined;
  #bindGroups: (GPUBindGroup | undefined)[] = [];
  #launches: Launch[] = [];
  #sizesKey = "";

  /** With `textures` kernels read their inputs there, and must have been compiled so. */
  constructor(gpu: Gpu, readonly textures?: InputTextures) {
    this.#gpu = gpu;
  }

  /** Adds a dispatch. `views` are bound in order from binding 1 on; binding 0 holds the params. */
  add(kernel: Kernel, views: readonly (View | Input)[], launch: (sizes: Sizes) => Launch): void {
    let slot = 0;
    const bindings = views.flatMap((given, i): Binding[] => {
      const binding = i + 1;
      if ("buffer" in given) return [{ binding, resource: given }];
      const own = { binding, resource: given.view };
      if (!this.textures) return [own];
      const to = this.textures.slot(slot++, given.view.storage);
      this.#append({ ...given, to });
      if (!given.inPlace) return [{ binding, resource: to }];
      return [own, { binding: binding + IN_PLACE_BINDING, resource: to }];
    });
    this.#append({ kernel, bindings, launch });
  }

  /** Adds a step that zeroes the first bytes of a buffer. */
  clear(buffer: GPUBuffer, bytes: (sizes: Sizes) => number): void {
    this.#append({ buffer, bytes });
  }

  #append(step: Step): void {
    if (this.#uniforms) throw new GpuError("Cannot add a step to a program that has run");
    this.#steps.push(step);
  }

  #build(): GPUBuffer {
    const bytes = Math.max(1, this.#steps.length) * SLOT_BYTES;
    const uniforms = this.#gpu.createBuffer("sizes", bytes, UNIFORM_USAGE);
    this.#bindGroups = this.#steps.map((step, slot) => {
      if (!("kernel" in step)) return undefined;
      const sizes = { buffer: uniforms, offset: slot * SLOT_BYTES, size: SLOT_BYTES };
      const bindings = [{ binding: 0, resource: sizes }, ...step.bindings];
      return this.#gpu.device.createBindGroup({
        label: step.kernel.label,
        layout: step.kernel.pipeline.getBindGroupLayout(0),
        entries: bindings.map(({ binding, resource }) => ({
          binding,
          resource: bindingResource(resource),
        })),
      });
    });
    return uniforms;
  }

  #setSizes(uniforms: GPUBuffer, sizes: Sizes): void {
    const key = JSON.stringify(sizes);
    if (key === this.#sizesKey) return;
    this.#sizesKey = key;
    this.#launches = this.#steps.map((step) => "kernel" in step ? step.launch(sizes) : NOTHING);
    const words = new Uint32Array(this.#steps.length * SLOT_BYTES / 4);
    for (const [i, launch] of this.#launches.entries()) {
      words.set(launch.params, i * SLOT_BYTES / 4);
    }
    this.#gpu.write(uniforms, words);
  }

  /** Queues the whole program for the given sizes; returns before it is done. */
  run(sizes: Sizes): void {
    this.#uniforms ??= this.#build();
    this.#setSizes(this.#uniforms, sizes);
    const recording = new Recording(this.#gpu);
    for (const [i, step] of this.#steps.entries()) {
      if ("kernel" in step) {
        recording.dispatch(step.kernel, this.#bindGroups[i]!, this.#launches[i]);
      } else if ("to" in step) recording.copy(step, step.floats(sizes));
      else recording.clear(step.buffer, step.bytes(sizes));
    }
    recording.submit();
  }

  destroy(): void {
    if (this.#uniforms) this.#gpu.destroyMemory(this.#uniforms);
    this.#uniforms = undefined;
    this.#steps.length = 0;
  }
}

/** Commands on their way to the queue, cut into submits by the work they hold. */
class Recording {
  readonly #gpu: Gpu;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #operations = 0;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  dispatch(kernel: Kernel, bindGroup: GPUBindGroup, launch: Launch): void {
    const [x, y, z] = launch.groups;
    if (x === 0 || y === 0 || z === 0) return;
    if (this.#operations > 0 && this.#operations + launch.operations > OPERATIONS_PER_SUBMIT) {
      this.submit();
    }
    this.#encoder ??= this.#gpu.device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(kernel.pipeline);
    this.#pass.setBindGroup(0, bindGroup);
    this.#pass.dispatchWorkgroups(x, y, z);
    this.#gpu.dispatches++;
    this.#operations += launch.operations;
  }

  clear(buffer: GPUBuffer, bytes: number): void {
    if (bytes > 0) this.#outsidePass().clearBuffer(buffer, 0, bytes);
  }

  copy({ view, to }: Copy, floats: number): void {
    if (floats > 0) copyToTexture(this.#outsidePass(), view, floats, to);
  }

  #outsidePass(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    return this.#encoder ??= this.#gpu.device.createCommandEncoder();
  }

  submit(): void {
    this.#pass?.end();
    if (this.#encoder) this.#gpu.submit(this.#encoder);
    this.#encoder = this.#pass = undefined;
    this.#operations = 0;
  }
}
