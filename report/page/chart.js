/** One chart: uPlot over the lines of a chart's description, with a legend of last or pointed-at values. */
import { color, element } from "./dom.js";
import { drawDots, drawLevels, extent } from "./chart_marks.js";
import { bytesText, chartLines, numberText, smoothed, valueAt } from "./series.js";

const HEIGHT = 240;
/** Width of a chart on paper, CSS pixels. */
const PRINT_WIDTH = 640;
const COLORS = 8;

export class Chart {
  #spec;
  #runs;
  #settings;
  #plot;
  #lines = [];
  #shape = "";
  #hidden = new Set();
  #body = element("div", { class: "plot" });
  #legend = element("div", { class: "legend" });

  /** `settings.smoothing` is read at every update. */
  constructor(spec, runs, settings) {
    this.#spec = spec;
    this.#runs = runs;
    this.#settings = settings;
    this.element = element(
      "figure",
      { class: "chart", id: `chart-${spec.id}`, hidden: true },
      element("figcaption", {}, spec.title),
      this.#legend,
      this.#body,
      element("p", { class: "how" }, spec.how),
    );
    new ResizeObserver(() => this.#fit()).observe(this.#body);
  }

  /** Draws the runs as they are now. */
  update() {
    this.#lines = chartLines(this.#spec, this.#runs);
    this.element.hidden = this.#lines.length === 0;
    if (this.#lines.length === 0) return;
    const drawn = this.#drawn();
    const shape = JSON.stringify([drawn.map(({ id }) => id), this.#logarithmic()]);
    const data = globalThis.uPlot.join(drawn.map(({ steps, values }) => [steps, values]));
    if (shape === this.#shape) this.#plot.setData(data);
    else this.#build(drawn, data);
    this.#shape = shape;
    this.#showValues(undefined);
  }

  /** Colours have changed. */
  redraw() {
    this.#plot?.redraw(false, true);
  }

  /** On paper every chart has the same width. */
  print(on) {
    if (on) this.#plot?.setSize({ width: PRINT_WIDTH, height: HEIGHT });
    else this.#fit();
  }

  /** What uPlot draws: each line, its smoothed form, and the edges of a spread. */
  #drawn() {
    const weight = this.#settings.smoothing;
    const drawn = [];
    for (const line of this.#lines) {
      const id = `${line.run}/${line.table}/${line.key}`;
      const smooth = weight > 0 && !line.exact;
      drawn.push({ ...line, id, faint: smooth || line.faint });
      if (smooth) {
        drawn.push({ ...line, id: `${id}/smooth`, values: smoothed(line.values, weight) });
      }
    }
    const { spread } = this.#spec;
    const center = spread && this.#lines.find((line) => line.key === spread.center);
    const width = center && this.#runs[center.run].data.tables.metrics.columns[spread.width];
    if (width && this.#runs.length === 1) {
      for (const [id, sign] of [["upper", 1], ["lower", -1]]) {
        const values = center.values.map((v, i) => v === null ? null : v + sign * (width[i] ?? 0));
        drawn.push({ ...center, id, key: id, values, faint: true });
      }
    }
    return drawn;
  }

  #build(drawn, data) {
    this.#plot?.destroy();
    const series = drawn.map((line) => ({
      label: line.label,
      show: !this.#hidden.has(line.label),
      stroke: () => color(`c${line.color % COLORS}`) + (line.faint ? "55" : ""),
      width: line.faint ? 1 : 2,
      dash: line.dash,
      spanGaps: true,
      points: { show: Boolean(line.points), size: 7 },
    }));
    const axis = { stroke: () => color("muted"), grid: { stroke: () => color("grid"), width: 1 } };
    const format = this.#spec.unit === "bytes" ? bytesText : numberText;
    this.#plot = new globalThis.uPlot(
      {
        width: this.#body.clientWidth || PRINT_WIDTH,
        height: HEIGHT,
        legend: { show: false },
        cursor: { sync: { key: "steps" }, points: { size: 6 } },
        scales: { x: { time: false }, y: this.#yScale() },
        axes: [
          { ...axis, ticks: { show: false }, size: 34 },
          {
            ...axis,
            ticks: { show: false },
            size: 64,
            values: (_, at) => at.map(axisText(format)),
          },
        ],
        series: [{}, ...series],
        bands: this.#bands(drawn),
        hooks: {
          draw: [(plot) => this.#mark(plot)],
          setCursor: [({ cursor }) => this.#showValues(cursor.idx ?? undefined)],
        },
      },
      data,
      this.#body,
    );
    this.#buildLegend();
  }

  #yScale() {
    if (this.#logarithmic()) return { distr: 3 };
    return { range: (_, low, high) => extent(low, high, this.#spec, this.#dots()) };
  }

  #logarithmic() {
    return Boolean(this.#spec.logarithmic) &&
      this.#lines.every(({ values }) => values.every((value) => value === null || value > 0));
  }

  #dots() {
    return this.#spec.dots && this.#runs.length === 1 ? this.#runs[0].data.dots : [];
  }

  #bands(drawn) {
    const place = (key) => drawn.findIndex((line) => line.key === key) + 1;
    const areas = this.#runs.length > 1 ? [] : [...this.#spec.areas ?? [], ["upper", "lower"]];
    return areas.map(([high, low]) => [place(high), place(low)])
      .filter(([high, low]) => high > 0 && low > 0)
      .map((pair) => ({ series: pair, fill: () => color("c0") + "22" }));
  }

  #mark(plot) {
    drawLevels(plot, this.#spec.levels ?? [], color("muted"));
    drawDots(plot, this.#dots(), { kept: color("c1"), dropped: color("c3") });
  }

  #buildLegend() {
    const dots = this.#dots().length > 0
      ? [
        element("span", { class: "key" }, "● kept"),
        element("span", { class: "key" }, "× dropped"),
      ]
      : [];
    const entries = this.#lines.map((line) => {
      const swatch = element("span", { class: `swatch s${line.color % COLORS}` });
      const value = element("b", { "data-key": line.key, "data-run": String(line.run) });
      return element(
        "button",
        { type: "button", "aria-pressed": "true", onclick: (event) => this.#toggle(line, event) },
        swatch,
        `${line.label} `,
        value,
      );
    });
    this.#legend.replaceChildren(...entries, ...dots);
  }

  #toggle({ label }, event) {
    const hide = !this.#hidden.has(label);
    if (hide) this.#hidden.add(label);
    else this.#hidden.delete(label);
    event.currentTarget.setAttribute("aria-pressed", String(!hide));
    this.#plot.series.forEach((series, at) => {
      if (at > 0 && series.label === label) this.#plot.setSeries(at, { show: !hide });
    });
  }

  /** The values at a place of the joined steps; the last ones without. */
  #showValues(place) {
    const format = this.#spec.unit === "bytes" ? bytesText : numberText;
    const step = place === undefined ? undefined : this.#plot?.data[0][place];
    this.#legend.querySelectorAll("b").forEach((value, at) => {
      const line = this.#lines[at];
      const row = step === undefined ? Infinity : line.steps.findLastIndex((one) => one <= step);
      value.textContent = format(valueAt(line.values, row));
    });
  }

  #fit() {
    const width = this.#body.clientWidth;
    if (this.#plot && width > 0 && width !== this.#plot.width) {
      this.#plot.setSize({ width, height: HEIGHT });
    }
  }
}

function axisText(format) {
  return (value) =>
    value === null ? "" : format === numberText ? shortNumber(value) : format(value);
}

function shortNumber(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(0);
  return String(Number(value.toPrecision(4)));
}
