/**
 * What a mode is given is not the mode's to change. The numbers of a decision set cannot be frozen, so
 * it gets copies that are compared afterwards; plain values are frozen, and a write to them throws.
 */
import type { ScoreBatch } from "./loss_mode.ts";
import { ModeError } from "./mode_error.ts";

/** Freezes a plain value with all its parts; what is frozen already is not looked at again. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}

/** The copy of a decision set that a mode may look at. */
export function shownBatch(batch: ScoreBatch): ScoreBatch {
  return structuredClone(batch);
}

/** Where two values differ, as a path and, inside an array of one number a row, its index. */
function difference(
  before: unknown,
  after: unknown,
  path: string,
): { readonly path: string; readonly index?: number } | undefined {
  if (Object.is(before, after)) return undefined;
  if (ArrayBuffer.isView(before)) {
    const [a, b] = [before as Float64Array, after as Float64Array];
    if (!ArrayBuffer.isView(after) || a.length !== b.length) return { path };
    const index = a.findIndex((value, i) => !Object.is(value, b[i]));
    return index < 0 ? undefined : { path, index };
  }
  const plain = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
  if (!plain(before) || !plain(after)) return { path };
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const inside = path === "" ? key : `${path}.${key}`;
    const found = difference(before[key], after[key], inside);
    if (found) return found;
  }
  return undefined;
}

/**
 * Checks that a mode left the decision set it was shown alone.
 *
 * @throws ModeError naming what it changed
 */
export function checkUnchanged(batch: ScoreBatch, shown: ScoreBatch): void {
  const found = difference(batch, shown, "");
  if (!found) return;
  const row = found.index === undefined ? "" : ` at dataset row ${batch.rows[found.index]}`;
  throw new ModeError(
    `it changed its input "${found.path}"${row}: a mode leaves what it is given alone, copy before you write`,
  );
}

/**
 * Checks that a mode's function gave an object at once.
 *
 * @throws ModeError for a promise, and for anything that is no object
 */
export function checkAnswer(value: unknown): void {
  if (value instanceof Promise) {
    // Nobody waits for it: refused later, it would end the run a second time.
    value.catch(() => {});
    throw new ModeError("it returned a Promise: the functions of a mode answer at once, no async");
  }
  if (typeof value === "object" && value !== null) return;
  throw new ModeError(`it must return an object, but returned "${String(value)}"`);
}
