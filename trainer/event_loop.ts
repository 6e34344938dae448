/**
 * Lets messages, signals and timers through. A read-back from the GPU blocks the thread and promises
 * resolve without the event loop ever turning, so a long loop would not notice that it shall stop.
 */
export function turnEventLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
