/**
 * Host time of a step: the time in which the GPU has nothing queued, because the host has read
 * everything back and has not submitted yet, plus the fixed cost of every wait. What the host does
 * while submitted work runs costs nothing and is not counted. A GPU that runs dry between two submits
 * without a wait is not noticed.
 */

export class HostTime {
  readonly #now: () => number;
  readonly #waitFloor: number;
  /** When the queue became empty; undefined while something is submitted and not waited for. */
  #idleSince: number | undefined;
  #total = 0;

  /** @param waitFloor seconds a wait takes when there is nothing to wait for */
  constructor(waitFloor: number, now: () => number = () => performance.now() / 1000) {
    this.#waitFloor = waitFloor;
    this.#now = now;
  }

  /** Starts counting, the queue being empty. */
  start(): void {
    this.#total = 0;
    this.#idleSince = this.#now();
  }

  submitted(): void {
    if (this.#idleSince !== undefined) this.#total += this.#now() - this.#idleSince;
    this.#idleSince = undefined;
  }

  /** A wait is over: everything submitted before it is done. */
  waited(): void {
    // A wait for an empty queue, or for the same work as another, is idle time as it is.
    if (this.#idleSince !== undefined) return;
    this.#total += this.#waitFloor;
    this.#idleSince = this.#now();
  }

  /** Seconds since `start`. */
  stop(): number {
    this.submitted();
    return this.#total;
  }
}

type Method = (this: unknown, ...values: unknown[]) => unknown;

/** Replaces a method of a class until the returned function is called. */
export function replaceMethod(
  owner: { readonly prototype: object },
  name: string,
  make: (old: Method) => Method,
): () => void {
  const prototype = owner.prototype as Record<string, Method>, old = prototype[name];
  prototype[name] = make(old);
  return () => {
    prototype[name] = old;
  };
}

/**
 * Counts the host time of `work`. It listens where WebGPU is called, so that the engine need not know
 * that it is measured.
 */
export async function hostSeconds(host: HostTime, work: () => Promise<void>): Promise<number> {
  const afterwards = (old: Method): Method =>
    async function (...values) {
      await old.apply(this, values);
      host.waited();
    };
  const undo = [
    replaceMethod(GPUQueue, "submit", (old) =>
      function (...values) {
        host.submitted();
        return old.apply(this, values);
      }),
    replaceMethod(GPUQueue, "onSubmittedWorkDone", afterwards),
    replaceMethod(GPUBuffer, "mapAsync", afterwards),
  ];
  try {
    host.start();
    await work();
    return host.stop();
  } finally {
    for (const back of undo) back();
  }
}
