/**
 * Seconds of every kernel of a step, by timestamps around each dispatch. It works where WebGPU is called:
 * while it listens, every dispatch gets a compute pass of its own, and the engine need not know. The
 * passes cost some time themselves, so steps are timed without it.
 */
import { type Gpu, openGpu } from "../gpu/device.ts";
import { replaceMethod } from "./host_time.ts";

/** Queries of a set, two a dispatch. */
const SET_SIZE = 4096;

export interface KernelTime {
  seconds: number;
  dispatches: number;
}

/** Opens the adapter with timestamps where it has them. */
export async function openTimedGpu(): Promise<Gpu> {
  const undo = replaceMethod(
    GPUAdapter,
    "requestDevice",
    (old) =>
      function (this: unknown, ...values) {
        const descriptor = values[0] as GPUDeviceDescriptor | undefined;
        const features = [...descriptor?.requiredFeatures ?? []];
        if ((this as GPUAdapter).features.has("timestamp-query")) features.push("timestamp-query");
        return old.call(this, { ...descriptor, requiredFeatures: features });
      },
  );
  try {
    return await openGpu();
  } finally {
    undo();
  }
}

/** Pairs of timestamps and what ran between them. */
class Recorder {
  readonly #device: GPUDevice;
  readonly #sets: GPUQuerySet[] = [];
  readonly #labels: string[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  next(label: string): GPUComputePassTimestampWrites {
    const at = this.#labels.length * 2 % SET_SIZE;
    if (at === 0) {
      this.#sets.push(this.#device.createQuerySet({ type: "timestamp", count: SET_SIZE }));
    }
    this.#labels.push(label);
    const querySet = this.#sets.at(-1)!;
    return { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /** Seconds of each dispatch, in their order. */
  async read(): Promise<[label: string, seconds: number][]> {
    const bytes = this.#sets.length * SET_SIZE * 8;
    if (bytes === 0) return [];
    const resolved = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const host = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.#device.createCommandEncoder();
    for (const [i, set] of this.#sets.entries()) {
      const count = Math.min(SET_SIZE, this.#labels.length * 2 - i * SET_SIZE);
      encoder.resolveQuerySet(set, 0, count, resolved, i * SET_SIZE * 8);
    }
    encoder.copyBufferToBuffer(resolved, 0, host, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    await host.mapAsync(GPUMapMode.READ);
    const ticks = new BigUint64Array(host.getMappedRange().slice(0));
    for (const owned of [resolved, host, ...this.#sets]) owned.destroy();
    return this.#labels.map((label, i) => [label, Number(ticks[2 * i + 1] - ticks[2 * i]) / 1e9]);
  }
}

/** Stands for a pass; each of its dispatches becomes one. */
class SplitPass {
  readonly #open: (writes: GPUComputePassTimestampWrites) => GPUComputePassEncoder;
  readonly #recorder: Recorder;
  #pipeline: GPUComputePipeline | undefined;
  readonly #groups = new Map<number, GPUBindGroup>();

  constructor(
    open: (writes: GPUComputePassTimestampWrites) => GPUComputePassEncoder,
    recorder: Recorder,
  ) {
    this.#open = open;
    this.#recorder = recorder;
  }

  setPipeline(pipeline: GPUComputePipeline): void {
    this.#pipeline = pipeline;
  }

  setBindGroup(index: number, group: GPUBindGroup): void {
    this.#groups.set(index, group);
  }

  dispatchWorkgroups(x: number, y = 1, z = 1): void {
    const pass = this.#open(this.#recorder.next(this.#pipeline!.label));
    pass.setPipeline(this.#pipeline!);
    for (const [index, group] of this.#groups) pass.setBindGroup(index, group);
    pass.dispatchWorkgroups(x, y, z);
    pass.end();
  }

  end(): void {}
}

/**
 * Runs `work` and returns what each kernel took, by the name that `name` gives its label; undefined
 * where the adapter has no timestamps.
 */
export async function kernelTimes(
  gpu: Gpu,
  work: () => Promise<void>,
  name: (label: string) => string,
): Promise<Map<string, KernelTime> | undefined> {
  if (!gpu.device.features.has("timestamp-query")) return undefined;
  const recorder = new Recorder(gpu.device);
  const undo = replaceMethod(
    GPUCommandEncoder,
    "beginComputePass",
    (old) =>
      function (this: unknown) {
        const open = (timestampWrites: GPUComputePassTimestampWrites) =>
          old.call(this, { timestampWrites }) as GPUComputePassEncoder;
        return new SplitPass(open, recorder);
      },
  );
  try {
    await work();
  } finally {
    undo();
  }
  const times = new Map<string, KernelTime>();
  for (const [label, seconds] of await recorder.read()) {
    const time = times.get(name(label)) ?? { seconds: 0, dispatches: 0 };
    times.set(name(label), {
      seconds: time.seconds + seconds,
      dispatches: time.dispatches + 1,
    });
  }
  return times;
}
