/** What the charts of an open page show, and what they should show. */
import { numberText } from "../../report/page/series.js";
import type { Page } from "./devtools.ts";

/** A visible chart. */
export interface ShownChart {
  readonly id: string;
  /** Column and text of each line's value. */
  readonly values: readonly (readonly [string, string])[];
  /** Painted pixels that are neither transparent nor grey: lines and areas. */
  readonly painted: number;
}

export function shownCharts(page: Page): Promise<ShownChart[]> {
  return page.evaluate(`[...document.querySelectorAll("figure.chart:not([hidden])")]
    .filter((figure) => figure.offsetParent !== null)
    .map((figure) => {
      const canvas = figure.querySelector("canvas");
      // Read from a copy: the chart's own canvas is not made for it.
      const copy = new OffscreenCanvas(canvas.width, canvas.height)
        .getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let painted = 0;
      for (let i = 0; i < data.length; i += 4) {
        const [r, g, b, a] = data.subarray(i, i + 4);
        if (a > 40 && Math.max(r, g, b) - Math.min(r, g, b) > 50) painted++;
      }
      const values = [...figure.querySelectorAll(".legend b")]
        .map((value) => [value.dataset.key, value.textContent]);
      return { id: figure.id.slice("chart-".length), values, painted };
    })`);
}

/** The last value of each column of JSON lines. */
export function lastValues(paths: readonly string[]): Record<string, number> {
  const last: Record<string, number> = {};
  for (const path of paths) {
    for (const line of Deno.readTextFileSync(path).trim().split("\n")) {
      for (const [key, value] of Object.entries(JSON.parse(line))) {
        if (typeof value === "number") last[key] = value;
      }
    }
  }
  return last;
}

/** Differences between charts and files; none when all is right. Bytes are left to the unit tests. */
export function wrongValues(
  charts: readonly ShownChart[],
  last: Readonly<Record<string, number>>,
): string[] {
  return charts.flatMap(({ id, values, painted }) => {
    const wrong = values
      .filter(([key]) => !key.startsWith("memory/"))
      .filter(([key, text]) => text !== numberText(Number(last[key]?.toPrecision(7))))
      .map(([key, text]) => `${id}: ${key} is shown as ${text} and is ${last[key]}`);
    return painted > 50 ? wrong : [...wrong, `${id}: only ${painted} pixels are painted`];
  });
}
