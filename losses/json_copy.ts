/**
 * A mode's state as a checkpoint would give it back. What a mode returns is not trusted: a state may
 * be part of itself, share parts without end or be too large for a checkpoint of every few steps.
 */
import type { Json } from "./loss_mode.ts";
import { ModeError } from "./mode_error.ts";

/** Most bytes a mode's state may have as JSON, about: it is written with every checkpoint. */
export const STATE_LIMIT = 16 * 2 ** 20;

/** Deeper than any state is; the call stack must hold it. */
const DEPTH_LIMIT = 100;

/** What a number takes at the least, with its comma. */
const ITEM_BYTES = 2;

/** Counts on the way, so that a state without end is refused before memory is. */
class Copier {
  #bytes = 0;
  readonly #above: object[] = [];

  constructor(readonly root: string) {}

  copy(value: unknown, path: string): Json {
    if (typeof value === "string") {
      this.#count(value.length + ITEM_BYTES);
      return value;
    }
    this.#count(ITEM_BYTES);
    if (value === null || typeof value === "boolean") return value;
    if (typeof value === "number" && Number.isFinite(value)) {
      this.#count(String(value).length - 1);
      return value + 0;
    }
    if (Array.isArray(value)) {
      // An array of holes has a length and no bytes.
      this.#count(value.length);
      return this.#inside(
        value,
        path,
        () => Array.from(value, (item, i) => this.copy(item, `${path}[${i}]`)),
      );
    }
    if (typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
      return this.#inside(value, path, () =>
        Object.fromEntries(
          Object.entries(value).map(([key, item]) => {
            this.#count(key.length + ITEM_BYTES);
            return [key, this.copy(item, `${path}.${key}`)];
          }),
        ));
    }
    const shown = typeof value === "object" ? value.constructor?.name ?? "object" : String(value);
    throw new ModeError(
      `"${path}" is "${shown}", which JSON cannot hold: use finite numbers, text, true, false, null, arrays and plain objects`,
    );
  }

  #inside(value: object, path: string, copy: () => Json): Json {
    if (this.#above.includes(value)) {
      throw new ModeError(`"${path}" is a part of itself, which JSON cannot hold`);
    }
    if (this.#above.length >= DEPTH_LIMIT) {
      throw new ModeError(`"${this.root}" has more than ${DEPTH_LIMIT} levels, make it flatter`);
    }
    this.#above.push(value);
    const result = copy();
    this.#above.pop();
    return result;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= STATE_LIMIT) return;
    throw new ModeError(
      `"${this.root}" has more than ${
        STATE_LIMIT / 2 ** 20
      } MiB as JSON, the most that a checkpoint keeps of a mode: keep sums instead of every value`,
    );
  }
}

/**
 * A plain copy of a JSON value, with -0 as 0, as a checkpoint would give it back.
 *
 * @throws ModeError naming the place of anything JSON cannot hold, or the limit that is passed
 */
export function jsonCopy(value: unknown, path: string): Json {
  return new Copier(path).copy(value, path);
}
