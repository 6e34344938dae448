/**
 * The watchdog over the calls into a mode. The Worker notes in shared memory which function it enters,
 * where the run stands, and that it left; the main thread looks from time to time. Work of the GPU and
 * of the trainer is never between the two notes, however long it takes.
 */
import type { ModeCall, ModeWatch } from "../losses/watched_mode.ts";

/** Room for one call as JSON. */
const TEXT_BYTES = 4096;

/** Rows of a decision set that a message names. */
const ROWS = 8;

/** Bytes before the text: how many notes were made (odd: inside a function), length of the text. */
const HEAD = 8;

/** Shared memory of one run. */
export function watchMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD + TEXT_BYTES);
}

/** Writes the notes, in the Worker. */
export function modeWatch(memory: SharedArrayBuffer): ModeWatch {
  const head = new Int32Array(memory, 0, 2);
  const text = new Uint8Array(memory, HEAD);
  const encoder = new TextEncoder();
  return {
    enter(call) {
      const rows = call.rows && call.rows.slice(0, ROWS + 1);
      const bytes = encoder.encode(JSON.stringify({ ...call, rows })).subarray(0, TEXT_BYTES);
      text.set(bytes);
      Atomics.store(head, 1, bytes.length);
      Atomics.add(head, 0, 1);
    },
    leave: () => void Atomics.add(head, 0, 1),
  };
}

/** Mode, function and place of a call that does not end, and what to do. */
export function explainEndless(call: ModeCall, seconds: number): string {
  const { mode, part, training, optimizerStep, microStep, rows } = call;
  const place = optimizerStep === undefined
    ? ""
    : `${
      training ? "" : " in evaluation"
    } after optimizer step ${optimizerStep}, decision ${microStep}`;
  const set = rows?.length
    ? `, dataset rows ${rows.slice(0, ROWS).join(", ")}${rows.length > ROWS ? ", ..." : ""}`
    : "";
  const what = part === "load" ? `loading "modes/${mode}.ts"` : `"${part}"`;
  return `Mode "${mode}"${place}${set}: ${what} did not end within ${seconds} seconds: look for a ` +
    `loop without an end, or raise "mode_time_limit" in the config if it needs that long; ` +
    "checkpoints written before are whole, --resume goes on from the newest";
}

/**
 * Watches from the main thread.
 *
 * @param seconds time that one call may take
 * @param onEndless is told once, of the first call that takes longer
 */
export function watchCalls(
  memory: SharedArrayBuffer,
  seconds: number,
  onEndless: (call: ModeCall) => void,
): { close(): void } {
  const head = new Int32Array(memory, 0, 2);
  const interval = Math.min(250, 250 * seconds);
  let seen = -1, spent = 0, last = performance.now();
  const timer = setInterval(() => {
    const notes = Atomics.load(head, 0);
    const now = performance.now();
    // A machine that slept, or a stopped process, must not count as time of the mode.
    const passed = Math.min(now - last, 2 * interval);
    last = now;
    spent = notes === seen ? spent + passed : 0;
    seen = notes;
    if (notes % 2 === 0 || spent < 1000 * seconds) return;
    clearInterval(timer);
    const bytes = new Uint8Array(memory, HEAD, Atomics.load(head, 1)).slice();
    onEndless(JSON.parse(new TextDecoder().decode(bytes)));
  }, interval);
  return { close: () => clearInterval(timer) };
}
