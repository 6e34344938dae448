/** The page of a sweep: its figures, its table and the file that made it, one HTML file with no script. */
import { drawFigure } from "./figures.ts";
import type { OpenedSweep } from "./open_sweep.ts";
import { escapeText } from "./plot.ts";
import type { RunResult } from "./results.ts";
import { tableCells } from "./table.ts";

const STYLE =
  `body{font:15px/1.5 sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:13px}td,th{border:1px solid #ccc;padding:3px 8px;text-align:left}
figure{margin:1.5em 0}svg{max-width:100%;height:auto}pre{background:#f5f5f5;padding:1em;overflow:auto}`;

/** The page as text; runs that are not done are counted in its first line. */
export function sweepPage(sweep: OpenedSweep, results: readonly RunResult[]): string {
  const { plan, file, path } = sweep;
  const [heading, ...rows] = tableCells(plan, results, file.show);
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeText(cell)}</${tag}>`).join("")}</tr>`;
  const figures = file.figures.map((figure) =>
    `<figure>${drawFigure(figure, sweep, results)}</figure>`
  );
  const name = path.split(/[\\/]/).at(-1)!;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sweep ${escapeText(name)}</title>
<meta name="viewport" content="width=device-width"><style>${STYLE}</style></head><body>
<h1>Sweep ${escapeText(name)}${file.isQuick ? " (quick)" : ""}</h1>
<p>${results.length} of ${plan.runs.length} runs are done. Numbers are means over seeds with the standard
error of the mean.</p>
${figures.join("\n")}
<table>${row(heading, "th")}${rows.map((cells) => row(cells, "td")).join("")}</table>
<h2>The file</h2>
<pre>${escapeText(Deno.readTextFileSync(path))}</pre>
</body></html>
`;
}
