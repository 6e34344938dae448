/**
 * Orders to a run in progress: pause, go on, save. They come in while the event loop turns and are
 * obeyed between two steps, so that the bytes of a run do not depend on them.
 */

/** What the loop asks. */
export interface RunControl {
  readonly paused: boolean;
  /** True once for each order to save. */
  takeSave(): boolean;
  /** Resolves at the next order, or when `signal` is aborted. */
  changed(signal: AbortSignal | undefined): Promise<void>;
}

/** What gives the orders. */
export class RunOrders implements RunControl {
  #paused = false;
  #save = false;
  #wake = Promise.withResolvers<void>();

  get paused(): boolean {
    return this.#paused;
  }

  pause(): void {
    this.#paused = true;
    this.#notify();
  }

  resume(): void {
    this.#paused = false;
    this.#notify();
  }

  save(): void {
    this.#save = true;
    this.#notify();
  }

  takeSave(): boolean {
    const asked = this.#save;
    this.#save = false;
    return asked;
  }

  async changed(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = () => resolve();
    signal?.addEventListener("abort", stop);
    await Promise.race([promise, this.#wake.promise]);
    signal?.removeEventListener("abort", stop);
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}
