/**
 * Keeps a training run that is in a Worker: passes its events on, its signals to it, ends it when a
 * mode never returns, and turns its end into an exit code.
 *
 * The Worker is never terminated from here: with a WebGPU device open that may crash or hang the
 * process (seen with Deno 2.9). It ends with the process.
 */
import type { Sink } from "../report/events.ts";
import { explainError } from "./exit_code.ts";
import { explainEndless, watchCalls, watchMemory } from "./mode_watch.ts";
import type { RunOrder, TrainAnswer, TrainOrder, TrainRequest } from "./train_protocol.ts";

export interface Supervision {
  readonly permissions: Deno.PermissionOptionsObject;
  /** Seconds that one call of a mode's function may take. */
  readonly modeTimeLimit: number;
  readonly events: Sink;
  /** Gets what tells the run to pause, go on, save or stop, once the Worker is there. */
  readonly onStarted?: (order: (name: RunOrder | "stop") => void) => void;
}

/** The exit code of a run that was stopped by its page: the same as by Ctrl-C. */
const STOPPED = 130;

const WORKER = new URL("./train_worker.ts", import.meta.url);

/** How a run ended: its exit code, and the error that ended it. */
export interface Ending {
  readonly code: number;
  readonly message?: string;
}

/**
 * Stops the run after its step on the first signal; a second one ends the process, and so does the
 * first as long as there is nothing to save.
 */
function listenForSignals(stop: () => void) {
  let code = 0;
  let opened = false;
  const names = Deno.build.os === "windows"
    ? [["SIGINT", 130]] as const
    : [["SIGINT", 130], ["SIGTERM", 143]] as const;
  const handlers = names.map(([name, exit]) => {
    const handler = () => {
      if (code !== 0 || !opened) Deno.exit(code || exit);
      code = exit;
      stop();
    };
    Deno.addSignalListener(name, handler);
    return [name, handler] as const;
  });
  return {
    code: () => code,
    onOpened: () => void (opened = true),
    close: () => handlers.forEach(([name, handler]) => Deno.removeSignalListener(name, handler)),
  };
}

/** What an error that nothing in the Worker caught says of itself. */
function explainUncaught({ message, filename }: ErrorEvent): Ending {
  const mode = /modes\/([a-z0-9_]+)\.ts/.exec(`${filename} ${message}`)?.[1];
  if (mode !== undefined && mode !== "mod") {
    return { message: `Error: Mode "${mode}": outside its functions: ${message}`, code: 2 };
  }
  return explainError(new Error(message));
}

/** Runs a training to its end. */
export async function supervise(request: TrainRequest, kept: Supervision): Promise<Ending> {
  const worker = new Worker(WORKER, { type: "module", deno: { permissions: kept.permissions } });
  const send = (order: TrainOrder) => worker.postMessage(order);
  const signals = listenForSignals(() => send({ type: "stop", by: "a signal" }));
  const watch = watchMemory();
  const { promise, resolve } = Promise.withResolvers<Ending>();
  const calls = watchCalls(watch, kept.modeTimeLimit, (call) => {
    const message = `Error: ${explainEndless(call, kept.modeTimeLimit)}`;
    resolve({ message, code: 2 });
  });
  worker.onmessage = ({ data }: MessageEvent<TrainAnswer>) => {
    try {
      if (data.type === "opened") signals.onOpened();
      else if (data.type === "event") kept.events.accept(data.event);
      else if (data.type === "end") resolve({ code: data.stopped ? signals.code() || STOPPED : 0 });
      else resolve({ message: data.message, code: data.code });
    } catch (error) {
      // A sink's file cannot be written; what the Worker does until the process ends is no harm.
      resolve(explainError(error));
    }
  };
  worker.onerror = (event) => {
    event.preventDefault();
    resolve(explainUncaught(event));
  };
  send({ type: "start", request, watch });
  kept.onStarted?.((name) =>
    send(name === "stop" ? { type: "stop", by: "its page" } : { type: name })
  );
  return await promise.finally(() => {
    calls.close();
    signals.close();
  });
}
