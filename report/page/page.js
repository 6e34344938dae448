/** Puts a page together from the data inlined in it: a run, several runs beside each other, or pairs. */
import { Chart } from "./chart.js";
import { element, factTable, section } from "./dom.js";
import { followRun } from "./live.js";
import { pairSections } from "./pairs.js";
import { sampleSection } from "./samples.js";
import { bytesText, lastValue, numberText } from "./series.js";

const THEMES = ["auto", "light", "dark"];

/** Numbers at the top of a run's page: name, table, column. */
const CARDS = [
  ["training loss", "metrics", "loss"],
  ["evaluation loss", "evaluations", "eval_loss"],
  ["accuracy", "metrics", "rewards/accuracies"],
  ["evaluation accuracy", "evaluations", "eval_rewards/accuracies"],
  ["margin", "margins", "mean"],
  ["tokens a second", "timings", "time/tokens_per_second"],
  ["GPU memory", "timings", "memory/gpu"],
];

/** Everything on a page that changes with the data. */
class View {
  constructor(data) {
    this.data = data;
    this.settings = { smoothing: 0 };
    this.charts = data.groups.map((group) => ({
      ...group,
      charts: group.charts.map((spec) => new Chart(spec, data.runs, this.settings)),
    }));
    this.others = new Map();
    this.cards = element("dl", { class: "cards" });
    this.otherBox = element("div", { class: "charts" });
    this.samples = sampleSection(data.runs);
    this.about = element("div");
    this.notices = element("div", { class: "notices", role: "status" });
  }

  get allCharts() {
    return [...this.charts.flatMap(({ charts }) => charts), ...this.others.values()];
  }

  /** Draws the data as it is now. */
  update() {
    this.#addOthers();
    this.allCharts.forEach((chart) => chart.update());
    for (const { box, charts } of this.charts) {
      if (box) box.hidden = charts.every((chart) => chart.element.hidden);
    }
    if (this.data.runs.length === 1) this.#showCards(this.data.runs[0]);
    this.samples.update();
    const broken = this.data.runs.reduce((sum, run) => sum + run.data.broken, 0);
    if (broken > 0) {
      this.notices.replaceChildren(
        element("p", {}, `${broken} lines of the run's files could not be read and are left out.`),
      );
    }
  }

  /** What was said once at the start of the run. */
  showAbout() {
    this.about.replaceChildren(
      ...this.data.runs.flatMap((run) => about(run, this.data.runs.length)),
    );
  }

  #showCards({ data: { tables } }) {
    const shown = CARDS.map(([name, table, column]) => {
      const value = lastValue(tables[table].columns[column]);
      if (value === undefined) return undefined;
      const text = column === "memory/gpu" ? bytesText(value) : numberText(value);
      return element("div", {}, element("dt", {}, name), element("dd", {}, text));
    });
    this.cards.replaceChildren(...shown.filter(Boolean));
  }

  /** A chart for every column that none of the others shows. */
  #addOthers() {
    if (this.data.kind !== "run") return;
    const { groups, uncharted, otherHow, runs } = this.data;
    const specs = groups.flatMap(({ charts }) => charts);
    const named = new Set([
      ...uncharted,
      ...specs.flatMap(({ series }) => series.map((s) => s.key)),
    ]);
    const patterns = specs.filter(({ match }) => match).map(({ match }) => new RegExp(match));
    for (const table of ["metrics", "evaluations"]) {
      for (const key of Object.keys(runs[0].data.tables[table].columns).sort()) {
        const shown = named.has(key) || patterns.some((pattern) => pattern.test(key));
        if (shown || this.others.has(key)) continue;
        const series = [{ table, key, label: key, points: table === "evaluations" }];
        const id = key.replaceAll(/[^a-zA-Z0-9]/g, "-");
        const chart = new Chart({ id, title: key, how: otherHow, series }, runs, this.settings);
        this.others.set(key, chart);
        this.otherBox.append(chart.element);
      }
    }
  }
}

/** Config, data and machine of a run, folded where several are shown. */
function about({ name, facts, config }, count) {
  const title = (text) => count > 1 ? `${name}: ${text}` : text;
  const id = (text) => count > 1 ? undefined : text;
  const parts = [];
  if (facts) {
    const { train, validation } = facts.data;
    parts.push(section(
      id("data"),
      title("Data"),
      element("h3", {}, "Training rows"),
      factTable(train),
      ...validation ? [element("h3", {}, "Held-out rows"), factTable(validation)] : [],
    ));
    parts.push(section(id("machine"), title("Machine"), factTable(facts.machine)));
    parts.push(section(
      id("plan"),
      title("Plan"),
      element("ul", {}, facts.plan.map((line) => element("li", {}, line))),
    ));
  }
  if (config) parts.push(section(id("config"), title("Config"), element("pre", {}, config)));
  return parts;
}

function controls(view) {
  const smoothing = element("input", {
    type: "range",
    id: "smoothing",
    min: "0",
    max: "0.98",
    step: "0.02",
    value: "0",
    oninput: (event) => {
      view.settings.smoothing = Number(event.currentTarget.value);
      view.allCharts.forEach((chart) => chart.update());
    },
  });
  return [element("label", { for: "smoothing" }, "Smoothing"), smoothing];
}

function themeButton(view) {
  const button = element("button", { type: "button", id: "theme" }, "Theme: auto");
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "auto";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    setTheme(view, next);
    button.textContent = `Theme: ${next}`;
  });
  return button;
}

function setTheme(view, theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  recolor(view);
}

/** Everything that is painted, and not styled, takes the colours of the theme. */
function recolor(view) {
  view.allCharts.forEach((chart) => chart.redraw());
  document.dispatchEvent(new Event("recolor"));
}

/** Paper is white, and has one width. */
function preparePrint(view) {
  let before = "auto";
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme ?? "auto";
    setTheme(view, "light");
    view.allCharts.forEach((chart) => chart.print(true));
  });
  addEventListener("afterprint", () => {
    setTheme(view, before);
    view.allCharts.forEach((chart) => chart.print(false));
  });
}

function compareTable({ rows, columns }) {
  const head = element("tr", {}, columns.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      row.map((text, at) =>
        element(at === 0 ? "th" : "td", at === 0 ? { scope: "row" } : {}, text)
      ),
    )
  );
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, body));
  return section("runs", "Runs", element("div", { class: "wide" }, table));
}

function build() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const view = new View(data);
  const heading = element("h1", {}, data.title);
  const status = element("p", { id: "status" }, data.subtitle);
  const bar = element("div", { class: "bar" });
  const main = element("main", {}, view.notices);
  if (data.table) main.append(compareTable(data.table));
  if (data.runs.length > 0) {
    bar.append(...controls(view));
    main.append(view.cards);
    for (const group of view.charts) {
      group.box = section(undefined, group.title);
      group.box.append(element("div", { class: "charts" }, group.charts.map((c) => c.element)));
      main.append(group.box);
    }
    if (data.kind === "run") {
      const folded = element(
        "details",
        {},
        element("summary", {}, "Everything else"),
        view.otherBox,
      );
      main.append(folded);
    }
    main.append(view.samples.element, view.about);
  }
  if (data.pairs) main.append(...pairSections(data.pairs));
  bar.append(themeButton(view));
  document.body.append(element("header", {}, element("div", {}, heading, status), bar), main);
  view.showAbout();
  view.update();
  preparePrint(view);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => recolor(view));
  if (data.live) followRun(view, { status, bar });
}

build();
