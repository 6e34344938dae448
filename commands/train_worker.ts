/**
 * The Worker of `train`: engine and mode, with the permissions that the main thread computed from the
 * config. It gets a request and perhaps an order to stop, and answers with events and one ending. It
 * ends with the process: closed with a WebGPU device open, it may crash it (seen with Deno 2.9).
 */
import { ModeError, reasonOf } from "../losses/mode_error.ts";
import { type ModeWatch, watchMode } from "../losses/watched_mode.ts";
import { loadMode } from "../modes/mod.ts";
import type { Sink } from "../report/events.ts";
import { RunOrders } from "../trainer/run_control.ts";
import { explainError } from "./exit_code.ts";
import { modeWatch } from "./mode_watch.ts";
import { closeSession, openSession } from "./session.ts";
import type { TrainAnswer, TrainOrder, TrainRequest } from "./train_protocol.ts";
import { runSession } from "./train_run.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<TrainOrder>) => void) | null;
  onunhandledrejection: ((event: PromiseRejectionEvent) => void) | null;
  postMessage(answer: TrainAnswer): void;
  close(): void;
}

/** Loads modes so that the main thread knows when one of their functions is entered and left. */
function watchedLoader(watch: ModeWatch, names: Set<string>): typeof loadMode {
  return async (name) => {
    names.add(name);
    watch.enter({ mode: name, part: "load" });
    try {
      return watchMode(await loadMode(name), watch);
    } finally {
      watch.leave();
    }
  };
}

/** What a run has of the Worker around it. */
interface Outside {
  readonly events: Sink;
  readonly signal: AbortSignal;
  readonly orders: RunOrders;
  /** Gets the names of the modes that are loaded. */
  readonly modes: Set<string>;
  onOpened(): void;
}

/** The run; returns whether it was stopped before its end. */
async function work(
  request: TrainRequest,
  watch: ModeWatch,
  outside: Outside,
): Promise<boolean> {
  const { events, signal, orders, modes } = outside;
  const session = await openSession({
    config: request.config,
    overrides: request.overrides,
    excludedRows: request.excludedRows,
    cacheFolder: request.cacheFolder,
    hub: request.hub,
    events,
    loadMode: watchedLoader(watch, modes),
  });
  try {
    outside.onOpened();
    return await runSession(session, { ...request, events, signal, control: orders });
  } catch (error) {
    if (signal.aborted && error === signal.reason) return true;
    throw error;
  } finally {
    closeSession(session);
  }
}

/**
 * Only this file may end the Worker or speak for it: a mode that could would leave the main thread
 * waiting, or believing.
 */
function closeDoors(scope: WorkerScope) {
  const post = scope.postMessage.bind(scope);
  const refuse = (what: string) => () => {
    throw new Error(`a mode may not call ${what}`);
  };
  scope.postMessage = refuse("postMessage");
  scope.close = refuse("close");
  Deno.exit = refuse("Deno.exit") as typeof Deno.exit;
  return post;
}

/**
 * A promise that nobody waits for. The program leaves none, so one that does not come out of its files
 * was started by a mode.
 */
function explainRejection(reason: unknown, modes: ReadonlySet<string>) {
  const stack = reason instanceof Error ? reason.stack ?? "" : "";
  const named = /modes\/([a-z0-9_]+)\.ts/.exec(stack)?.[1];
  const own = stack.includes(new URL("../", import.meta.url).href);
  if (named === "mod" || (named === undefined && own) || modes.size === 0) {
    return explainError(reason);
  }
  const who = named ?? [...modes].join('" or "');
  return explainError(
    new ModeError(`Mode "${who}": a promise that it started failed: ${reasonOf(reason)}`),
  );
}

function listen(scope: WorkerScope): void {
  const post = closeDoors(scope);
  const controller = new AbortController();
  const orders = new RunOrders();
  const outside: Outside = {
    events: { accept: (event) => post({ type: "event", event }) },
    signal: controller.signal,
    orders,
    modes: new Set(),
    onOpened: () => post({ type: "opened" }),
  };
  scope.onunhandledrejection = (event) => {
    event.preventDefault();
    post({ type: "failure", ...explainRejection(event.reason, outside.modes) });
  };
  scope.onmessage = ({ data }) => {
    if (data.type === "stop") return controller.abort(new Error(`Stopped by ${data.by}`));
    if (data.type !== "start") return orders[data.type]();
    work(data.request, modeWatch(data.watch), outside).then(
      (stopped) => post({ type: "end", stopped }),
      (error) => post({ type: "failure", ...explainError(error) }),
    );
  };
}

// Type checks and tests import this file as well; only a Worker has somewhere to post to.
if ("WorkerGlobalScope" in globalThis) listen(globalThis as unknown as WorkerScope);
