/** Slices of a split in the notation of Hugging Face datasets: `train[:30%]`, `test[10:20]`. */
import { DataError } from "./error.ts";

/** A parsed slice; `from` and `to` may be negative (counted from the end) or absent. */
export interface Subset {
  readonly split: string;
  readonly from?: number;
  readonly to?: number;
  readonly unit: "rows" | "percent";
  /** How percentages become rows; `pct1` gives each percent the same number of rows. */
  readonly rounding: "closest" | "pct1";
}

const SLICE =
  /^\s*([\w.-]+)\s*(?:\[\s*(-?\d[\d_]*)?(%)?\s*:\s*(-?\d[\d_]*)?(%)?\s*\])?\s*(?:\((\w+)\))?\s*$/;

/**
 * Reads a slice such as `train`, `train[:30%]`, `train[10:20]` or `train[-5%:]`.
 *
 * As in `datasets`, one percent sign makes both bounds percentages, and `(pct1_dropremainder)` may
 * follow a slice in percent.
 *
 * @throws DataError, which says what was expected, when the text is not such a slice
 */
export function parseSubset(text: string): Subset {
  if (text.includes("+")) {
    throw new DataError(
      `expected one slice like "train[:30%]"; put the parts of a sum into one file`,
    );
  }
  const match = SLICE.exec(text);
  const stray = match && ((match[3] && !match[2]) || (match[5] && !match[4]));
  if (!match || stray) {
    throw new DataError(
      `expected a slice like "train", "train[:30%]" or "train[10:20]"`,
    );
  }
  const [, split, from, fromPercent, to, toPercent, roundingName] = match;
  const unit = fromPercent || toPercent ? "percent" : "rows";
  const bounds = [from, to].map((bound) =>
    bound === undefined ? undefined : Number(bound.replaceAll("_", ""))
  );
  if (bounds.some((bound) => bound !== undefined && !Number.isSafeInteger(bound))) {
    throw new DataError("expected row numbers below 2^53");
  }
  if (unit === "percent" && bounds.some((bound) => Math.abs(bound ?? 0) > 100)) {
    throw new DataError("expected percentages from -100 to 100");
  }
  if (roundingName !== undefined && unit === "rows") {
    throw new DataError("expected bounds in percent before a rounding");
  }
  if (roundingName !== undefined && !["closest", "pct1_dropremainder"].includes(roundingName)) {
    throw new DataError(
      `expected the rounding "closest" or "pct1_dropremainder", got "${roundingName}"`,
    );
  }
  const rounding = roundingName === "pct1_dropremainder" ? "pct1" : "closest";
  return { split, from: bounds[0], to: bounds[1], unit, rounding };
}

/** To the nearest integer, halves to the even one, as Python's `round`. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * The rows `[from, to)` of a split with `length` rows; bounds beyond it are clamped and an inverted
 * slice is empty.
 *
 * @throws DataError for `pct1_dropremainder` on fewer than 100 rows (it would always be empty).
 */
export function resolveSubset(subset: Subset, length: number): { from: number; to: number } {
  if (subset.rounding === "pct1" && length < 100) {
    throw new DataError(
      `Taking a subset of ${length} rows: "pct1_dropremainder" needs at least 100 rows`,
    );
  }
  const toRows = (bound: number) => {
    if (subset.unit === "rows") return bound;
    if (subset.rounding === "pct1") return bound * Math.trunc(length / 100);
    return roundHalfEven(bound * length / 100);
  };
  const clamp = (bound: number) =>
    Math.min(bound < 0 ? Math.max(length + bound, 0) : bound, length);
  const from = subset.from === undefined ? 0 : clamp(toRows(subset.from));
  const to = subset.to === undefined ? length : clamp(toRows(subset.to));
  return { from, to: Math.max(from, to) };
}
