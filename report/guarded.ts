/**
 * Sinks on probation. Training is what the run is for: a sink that fails is told once and left out for
 * the rest of the run. It is opened at the `start` event, because until then the run may be refused
 * and its folder must stay as it was.
 */
import type { RunEvent, Sink } from "./events.ts";

/** The event that training begins with. */
export type StartEvent = Extract<RunEvent, { readonly type: "start" }>;

export interface Guard {
  /** What it writes, for the warning, e.g. `TensorBoard files`. */
  readonly what: string;
  open(start: StartEvent): Sink;
  /** Gets the one warning. */
  warn(text: string): void;
}

/** A sink that opens another one when training starts, and outlives its failures. */
export function guardedSink({ what, open, warn }: Guard): Sink {
  let sink: Sink | undefined;
  let failed = false;
  const fail = (error: unknown) => {
    if (failed) return;
    failed = true;
    const reason = error instanceof Error ? error.message : String(error);
    warn(
      `Warning: no ${what} from here on: ${reason}. Training goes on; metrics.jsonl has everything`,
    );
  };
  const attempt = (operation: () => void) => {
    if (failed) return;
    try {
      operation();
    } catch (error) {
      fail(error);
    }
  };
  return {
    accept(event) {
      attempt(() => {
        if (event.type === "start") sink ??= open(event);
        sink?.accept(event);
      });
    },
    async close(code) {
      // A failed sink is closed as well: its file is still open.
      try {
        await sink?.close?.(code);
      } catch (error) {
        fail(error);
      }
    },
  };
}
