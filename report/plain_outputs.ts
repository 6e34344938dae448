/** The run for programs and for silence, in the place of the console. */
import type { RunEvent, Sink } from "./events.ts";

/**
 * A sink that writes every event as a line of JSON with its `type`; margins and rewards of single
 * pairs are left to the files.
 */
export function jsonSink(write: (text: string) => void): Sink {
  const out = lastingWriter(write);
  return {
    accept(event: RunEvent) {
      const { distributions: _, ...rest } = event as RunEvent & { distributions?: unknown };
      out(JSON.stringify(rest) + "\n");
    },
  };
}

/** A sink that writes nothing but notices. */
export function quietSink(write: (text: string) => void): Sink {
  const out = lastingWriter(write);
  return {
    accept(event: RunEvent) {
      if (event.type === "notice") out(event.text + "\n");
    },
  };
}

/** Who reads may go away (`| head`, a closed terminal); the run goes on without. */
export function lastingWriter(write: (text: string) => void): (text: string) => void {
  let broken = false;
  return (text) => {
    if (broken) return;
    try {
      write(text);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      broken = true;
    }
  };
}

/** True for what the system says, e.g. a broken pipe, and false for faults of the program. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && (error.name in Deno.errors || "code" in error);
}
