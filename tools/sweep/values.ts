/** Lists and ranges of an axis, and how a value is written in a run's name. */
import { ConfigError } from "../../trainer/error.ts";

const WHOLE_RANGE = /^(-?\d+)\.\.(-?\d+)$/;
/** Values beyond this are a mistake in a range. */
const MOST_VALUES = 10_000;

interface Range {
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly scale?: "linear" | "log";
}

/**
 * All values of an axis: a list whose members may be whole ranges (`[0..4]` is 0, 1, 2, 3, 4), one
 * value, or `{from, to, count, scale: linear | log}`.
 *
 * @param where opening of messages
 * @throws ConfigError when a range is not one
 */
export function expandValues(values: unknown, where: string): unknown[] {
  if (isRange(values)) return spaced(values, where);
  return [values].flat().flatMap((value) => {
    const found = typeof value === "string" ? WHOLE_RANGE.exec(value) : null;
    return found ? wholeRange(Number(found[1]), Number(found[2]), where) : [value];
  });
}

function wholeRange(from: number, to: number, where: string): number[] {
  if (from > to || to - from >= MOST_VALUES) {
    throw new ConfigError(`${where}: "${from}..${to}" is not a range from low to high`);
  }
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function isRange(values: unknown): values is Range {
  return typeof values === "object" && values !== null && "from" in values;
}

function spaced({ from, to, count, scale = "linear" }: Range, where: string): number[] {
  const numbers = [from, to].every(Number.isFinite) && Number.isInteger(count) && count >= 2;
  const log = scale === "log";
  if (
    !numbers || count > MOST_VALUES || (!log && scale !== "linear") ||
    (log && !(from > 0 && to > 0))
  ) {
    throw new ConfigError(
      `${where}: a range is {from, to, count, scale: linear | log}, with a count of at least 2, and ` +
        `ends above 0 for log`,
    );
  }
  return Array.from({ length: count }, (_, i) => {
    const share = i / (count - 1);
    const value = log ? from * (to / from) ** share : from + (to - from) * share;
    // Powers leave digits behind that nobody wants to read in a name.
    return Number(value.toPrecision(6));
  });
}

/** A value as people write it: `0.1`, `ipo`, `[sigmoid,sft]`. */
export function labelOf(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(labelOf).join(",")}]` : String(value);
}
