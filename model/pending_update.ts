/**
 * The optimizer step whose outcome has not been read yet. Reading it alone would wait for the GPU once more
 * in every step, so it comes with the next score. The gradients are cleared only then: where the norm
 * is not finite they are searched for the tensor it comes from.
 */
import type { Gpu } from "../gpu/device.ts";
import type { OptimizerSettings, QueuedUpdate, StepStatus } from "./engine.ts";
import type { Optimizer } from "./optimizer.ts";
import type { SlabSet } from "./slabs.ts";

/** Bytes of a status on the GPU. */
export const STATUS_BYTES = 16;

export class Updates {
  readonly #gpu: Gpu;
  readonly #optimizer: Optimizer;
  readonly #gradients: SlabSet;
  #pending: { status?: StepStatus } | undefined;
  /** A step has been taken, or moments were put back. */
  hasMoments = false;

  constructor(gpu: Gpu, optimizer: Optimizer, gradients: SlabSet) {
    this.#gpu = gpu;
    this.#optimizer = optimizer;
    this.#gradients = gradients;
  }

  /** Where a status lies that should be read with what comes next. */
  get unread(): GPUBuffer | undefined {
    return this.#pending && this.#optimizer.statusBuffer;
  }

  queue(settings: OptimizerSettings): QueuedUpdate {
    const update: { status?: StepStatus } = {};
    const before = this.#pending;
    if (before) {
      throw new Error("An optimizer step was queued before the last one's status was read");
    }
    this.#optimizer.queue(settings);
    this.#pending = update;
    return {
      status: async () => {
        if (!update.status) await this.settle();
        return update.status!;
      },
    };
  }

  /** Reads what is unread. */
  async settle(): Promise<void> {
    const { unread } = this;
    if (unread) await this.take(await this.#gpu.read(unread, STATUS_BYTES));
  }

  /** Takes the bytes of the unread status. */
  async take(bytes: ArrayBuffer): Promise<void> {
    const update = this.#pending!;
    this.#pending = undefined;
    const [gradNorm, , flag] = new Float32Array(bytes);
    const finite = flag === 1;
    if (finite) {
      this.#gradients.clear();
      this.hasMoments = true;
    }
    update.status = finite
      ? { gradNorm, finite }
      : { gradNorm, finite, culprit: await this.#culprit() };
  }

  /** The first tensor whose gradient is not finite, or the one with the largest value. */
  async #culprit(): Promise<string> {
    let largest = "", most = -1;
    for (const name of this.#gradients.layout.parameters.keys()) {
      for (const value of await this.#gradients.read(name)) {
        if (!Number.isFinite(value)) return name;
        if (Math.abs(value) > most) [most, largest] = [Math.abs(value), name];
      }
    }
    return largest;
  }
}
