/**
 * A course over the steps of a run as a few lines of text: braille patterns, two by four dots a
 * character, from the first step on the left to the last one of the run on the right.
 */

/** Rows of a chart, and dots of a character. */
const ROWS = 4, DOTS_ACROSS = 2, DOTS_DOWN = 4;
/** Bits of the dots of a braille character by row and column (Unicode block 2800). */
const DOTS = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
/** Parts of the run that a course keeps a mean of: its memory does not grow with the run. */
const PARTS = 512;

/** Means of a metric over equal parts of a run. */
export class Course {
  readonly #totalSteps: number;
  readonly #sums = new Float64Array(PARTS);
  readonly #counts = new Float64Array(PARTS);

  constructor(totalSteps: number) {
    this.#totalSteps = Math.max(1, totalSteps);
  }

  /** Adds the value of a step, 1-based; one that is not finite has no place in a chart. */
  add(step: number, value: number): void {
    if (!Number.isFinite(value)) return;
    // Rounded up: rounded down again for fewer parts, a step stays where it belongs.
    const part = Math.min(PARTS - 1, Math.ceil((step - 1) / this.#totalSteps * PARTS));
    this.#sums[part] += value;
    this.#counts[part]++;
  }

  /** Means over `count` parts of the run; undefined where there is no value. */
  means(count: number): (number | undefined)[] {
    const sums = new Float64Array(count), counts = new Float64Array(count);
    for (let part = 0; part < PARTS; part++) {
      const at = Math.floor(part / PARTS * count);
      sums[at] += this.#sums[part];
      counts[at] += this.#counts[part];
    }
    return Array.from(sums, (sum, i) => counts[i] === 0 ? undefined : sum / counts[i]);
  }
}

export interface ChartOptions {
  readonly title: string;
  /** Characters across. */
  readonly width: number;
  /** An ANSI colour (30 to 37) of the curve; absent: none. */
  readonly colour?: number;
}

/** The lines of a chart, all of `width` characters: the curve, its title, largest and smallest value. */
export function chartLines(course: Course, { title, width, colour }: ChartOptions): string[] {
  const label = Math.max(title.length, 9) + 1;
  const columns = Math.max(4, width - label - 1);
  const points = connected(course.means(columns * DOTS_ACROSS));
  const known = points.filter((value) => value !== undefined);
  const high = Math.max(...known), low = Math.min(...known);
  const bits = curve(points, low, high, columns);
  const [top, bottom] = known.length > 0 ? [short(high), short(low)] : ["", ""];
  const labels = [top, title, "", bottom];
  return bits.map((row, r) => {
    const line = String.fromCodePoint(...row.map((bit) => 0x2800 + bit));
    const drawn = colour === undefined ? line : `\x1b[${colour}m${line}\x1b[0m`;
    return `${labels[r].padStart(label - 1)} │${drawn}`;
  });
}

/** Values between those that are known, on straight lines. */
function connected(values: readonly (number | undefined)[]): (number | undefined)[] {
  const result = [...values];
  let last = -1;
  values.forEach((value, i) => {
    if (value === undefined) return;
    const from = last < 0 ? value : values[last]!;
    for (let j = last + 1; last >= 0 && j < i; j++) {
      result[j] = from + (value - from) * (j - last) / (i - last);
    }
    last = i;
  });
  return result;
}

/** Bits of the characters, [ROWS][columns]. */
function curve(
  points: readonly (number | undefined)[],
  low: number,
  high: number,
  columns: number,
): number[][] {
  const bits = Array.from({ length: ROWS }, () => new Array<number>(columns).fill(0));
  const dots = ROWS * DOTS_DOWN;
  const levelOf = (value: number) =>
    high > low ? Math.round((high - value) / (high - low) * (dots - 1)) : dots >> 1;
  let before: number | undefined;
  points.forEach((value, x) => {
    if (value === undefined) return;
    const level = levelOf(value);
    // No holes where the curve is steep.
    const from = before === undefined || before === level
      ? level
      : before + Math.sign(level - before);
    for (let y = Math.min(from, level); y <= Math.max(from, level); y++) {
      bits[Math.floor(y / DOTS_DOWN)][Math.floor(x / DOTS_ACROSS)] |=
        DOTS[y % DOTS_DOWN][x % DOTS_ACROSS];
    }
    before = level;
  });
  return bits;
}

function short(value: number): string {
  const text = value.toPrecision(4);
  return text.length <= 9 ? text : value.toExponential(2);
}
