/**
 * The Worker of `train`: engine and mode, with the permissions that the main thread computed from the
 * config. It gets a request and perhaps an order to stop, and answers with events and one ending.
 */
import { ModeError, reasonOf } from "../losses/mode_error.ts";
import { type ModeWatch, watchMode } from "../losses/watched_mode.ts";
import { loadMode } from "../modes/mod.ts";
import type { Sink } from "../report/events.ts";
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
function watchedLoader(watch: ModeWatch): typeof loadMode {
  return async (name) => {
    watch.enter({ mode: name, part: "load" });
    try {
      return watchMode(await loadMode(name), watch);
    } finally {
      watch.leave();
    }
  };
}

/** The run; returns whether it was stopped before its end. */
async function work(
  request: TrainRequest,
  watch: ModeWatch,
  outside: { readonly events: Sink; readonly signal: AbortSignal; onOpened(): void },
): Promise<boolean> {
  const { events, signal } = outside;
  const session = await openSession({
    config: request.config,
    overrides: request.overrides,
    events,
    loadMode: watchedLoader(watch),
  });
  try {
    outside.onOpened();
    return await runSession(session, { ...request, events, signal });
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
  const close = scope.close.bind(scope);
  const refuse = (what: string) => () => {
    throw new ModeError(`a mode may not call ${what}`);
  };
  scope.postMessage = refuse("postMessage");
  scope.close = refuse("close");
  Deno.exit = refuse("Deno.exit") as typeof Deno.exit;
  return { post, close };
}

/** A promise that a mode started and nobody waits for. */
function explainRejection(reason: unknown): { message: string; code: number } {
  const mode = /modes\/([a-z0-9_]+)\.ts/.exec(reason instanceof Error ? reason.stack ?? "" : "")
    ?.[1];
  if (mode === undefined || mode === "mod") return explainError(reason);
  return explainError(
    new ModeError(`Mode "${mode}": a promise that it started failed: ${reasonOf(reason)}`),
  );
}

function listen(scope: WorkerScope): void {
  const { post, close } = closeDoors(scope);
  const controller = new AbortController();
  const end = (answer: TrainAnswer) => {
    post(answer);
    close();
  };
  const outside = {
    events: { accept: (event) => post({ type: "event", event }) } satisfies Sink,
    signal: controller.signal,
    onOpened: () => post({ type: "opened" }),
  };
  scope.onunhandledrejection = (event) => {
    event.preventDefault();
    end({ type: "failure", ...explainRejection(event.reason) });
  };
  scope.onmessage = ({ data }) => {
    if (data.type === "stop") return controller.abort(new Error("Stopped by a signal"));
    work(data.request, modeWatch(data.watch), outside).then(
      (stopped) => end({ type: "end", stopped }),
      (error) => end({ type: "failure", ...explainError(error) }),
    );
  };
}

// Type checks and tests import this file as well; only a Worker has somewhere to post to.
if ("WorkerGlobalScope" in globalThis) listen(globalThis as unknown as WorkerScope);
