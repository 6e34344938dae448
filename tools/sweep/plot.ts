/**
 * Charts as SVG text: bars with error bars, lines, and points with errors in both directions. Colours are
 * those of Okabe and Ito, which people with colour-blind eyes can tell apart; marks differ as well.
 */

export interface Point {
  readonly x: number;
  readonly y: number;
  /** Standard errors. */
  readonly xError?: number;
  readonly yError?: number;
  readonly label?: string;
}

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Labels {
  readonly title: string;
  readonly x: string;
  readonly y: string;
}

const COLOURS = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#5b5b5b",
  "#8c6d00",
  "#7a3db8",
  "#b22222",
];
const SIZE = { width: 760, height: 380, left: 70, right: 190, top: 34, bottom: 48 };
const INNER = {
  width: SIZE.width - SIZE.left - SIZE.right,
  height: SIZE.height - SIZE.top - SIZE.bottom,
};

export function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length];
}

/** Text that is safe inside markup. */
export function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** Round steps that cut a range into at most about six parts. */
export function ticksOf(low: number, high: number): number[] {
  const raw = (high - low || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw)!;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from(
    { length: last - first + 1 },
    (_, i) => Number(((first + i) * step).toPrecision(12)),
  );
}

interface Scale {
  (value: number): number;
  readonly ticks: readonly number[];
}

function scaleOf(values: readonly number[], from: number, to: number, log = false): Scale {
  const through = log ? Math.log10 : (value: number) => value;
  let [low, high] = [Math.min(...values.map(through)), Math.max(...values.map(through))];
  const pad = (high - low || Math.abs(high) || 1) * 0.06;
  [low, high] = [low - pad, high + pad];
  const ticks = log
    ? [1, 2, 5].flatMap((factor) => Array.from({ length: 14 }, (_, i) => factor * 10 ** (i - 8)))
      .filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high)
    : ticksOf(low, high);
  const scale = (value: number) => from + (through(value) - low) / (high - low) * (to - from);
  return Object.assign(scale, { ticks: ticks.map((tick) => Number(tick.toPrecision(6))) });
}

function text(x: number, y: number, words: string, more = ""): string {
  return `<text x="${round(x)}" y="${round(y)}" ${more}>${escapeText(words)}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, more: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map(round);
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" ${more}/>`;
}

function round(value: number): number {
  return Number(value.toFixed(1));
}

function frame(labels: Labels, y: Scale, legend: readonly string[], marks: string): string {
  const { left, top, width, height } = SIZE;
  const bottom = top + INNER.height, right = left + INNER.width;
  const grid = y.ticks.map((tick) =>
    line(left, y(tick), right, y(tick), `stroke="#ddd"`) +
    text(left - 8, y(tick) + 4, String(tick), `text-anchor="end"`)
  );
  const names = legend.map((name, i) =>
    `<rect x="${right + 16}" y="${top + i * 20}" width="12" height="12" fill="${colourOf(i)}"/>` +
    text(right + 34, top + i * 20 + 10, name)
  );
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12" role="img" ` +
    `aria-label="${
      escapeText(labels.title)
    }"><rect width="${width}" height="${height}" fill="white"/>` +
    text(left, 20, labels.title, `font-size="14" font-weight="bold"`) + grid.join("") +
    line(left, top, left, bottom, `stroke="black"`) +
    line(left, bottom, right, bottom, `stroke="black"`) +
    text(left + INNER.width / 2, height - 8, labels.x, `text-anchor="middle"`) +
    text(
      0,
      0,
      labels.y,
      `text-anchor="middle" transform="translate(16 ${top + INNER.height / 2}) rotate(-90)"`,
    ) +
    names.join("") + marks + `</svg>`;
}

/** Vertical error bar with caps. */
function errorBar(x: number, low: number, high: number, colour = "black"): string {
  const stroke = `stroke="${colour}" stroke-width="1.2"`;
  return line(x, low, x, high, stroke) + line(x - 3, low, x + 3, low, stroke) +
    line(x - 3, high, x + 3, high, stroke);
}

/**
 * Groups of bars, which begin at `base`. A point's `x` is the number of its group.
 */
export function barChart(
  labels: Labels,
  groups: readonly string[],
  series: readonly Series[],
  base = 0,
): string {
  const points = series.flatMap((s) => s.points);
  if (points.length === 0) {
    return frame(labels, scaleOf([0, 1], SIZE.top + INNER.height, SIZE.top), [], "");
  }
  const ends = points.flatMap(({ y, yError = 0 }) => [y - yError, y + yError]);
  const bottom = SIZE.top + INNER.height;
  const y = scaleOf([base, ...ends], bottom, SIZE.top);
  const slot = INNER.width / groups.length;
  const width = slot * 0.84 / series.length;
  const marks = series.flatMap((s, i) =>
    s.points.map((point) => {
      const x = SIZE.left + slot * (point.x + 0.08) + width * i;
      const [top, foot] = [Math.min(y(point.y), y(base)), Math.max(y(point.y), y(base))];
      const bar =
        `<rect x="${round(x)}" y="${round(top)}" width="${round(Math.max(1, width - 1))}" ` +
        `height="${round(foot - top)}" fill="${colourOf(i)}"><title>${
          escapeText(`${s.name}, ${groups[point.x]}: ${Number(point.y.toPrecision(4))}`)
        }</title></rect>`;
      const error = point.yError === undefined
        ? ""
        : errorBar(x + width / 2, y(point.y - point.yError), y(point.y + point.yError));
      return bar + error;
    })
  );
  const names = groups.map((name, i) =>
    text(SIZE.left + slot * (i + 0.5), bottom + 18, name, `text-anchor="middle"`)
  );
  return frame(labels, y, series.map(({ name }) => name), marks.join("") + names.join(""));
}

/** Lines through points; with errors, crosses at the points; `log`: a logarithmic vertical axis. */
export function lineChart(
  labels: Labels,
  series: readonly Series[],
  { log = false, marks: dots = true }: { readonly log?: boolean; readonly marks?: boolean } = {},
): string {
  const points = series.flatMap((s) => s.points);
  const bottom = SIZE.top + INNER.height;
  if (points.length === 0) return frame(labels, scaleOf([0, 1], bottom, SIZE.top), [], "");
  const spread = (value: number, error = 0) => log ? [value] : [value - error, value + error];
  const x = scaleOf(
    points.flatMap((p) => [p.x - (p.xError ?? 0), p.x + (p.xError ?? 0)]),
    SIZE.left,
    SIZE.left + INNER.width,
  );
  const y = scaleOf(points.flatMap((p) => spread(p.y, p.yError)), bottom, SIZE.top, log);
  const drawn = series.map((s, i) => {
    const colour = colourOf(i);
    const path = s.points.map((p) => `${round(x(p.x))},${round(y(p.y))}`).join(" ");
    const crosses = dots ? s.points.map((p) => pointMark(p, x, y, colour)).join("") : "";
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.6"/>${crosses}`;
  });
  const names = x.ticks.map((tick) =>
    text(x(tick), bottom + 18, String(tick), `text-anchor="middle"`)
  );
  return frame(labels, y, series.map(({ name }) => name), drawn.join("") + names.join(""));
}

function pointMark(point: Point, x: Scale, y: Scale, colour: string): string {
  const [cx, cy] = [round(x(point.x)), round(y(point.y))];
  const { xError, yError } = point;
  return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"><title>${
    escapeText(point.label ?? `${point.x}, ${point.y}`)
  }</title></circle>` +
    (yError === undefined ? "" : errorBar(cx, y(point.y - yError), y(point.y + yError), colour)) +
    (xError === undefined
      ? ""
      : line(x(point.x - xError), cy, x(point.x + xError), cy, `stroke="${colour}"`)) +
    (point.label === undefined
      ? ""
      : text(cx + 6, cy - 6, point.label, `font-size="10" fill="${colour}"`));
}
