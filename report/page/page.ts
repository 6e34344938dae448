/**
 * A page as one HTML file: data, charts (uPlot), script and style are inlined, and nothing is fetched. Its
 * content security policy lets exactly this script and this style run, so that a text of a data set or a
 * model that looks like markup stays a text even if the page had a hole.
 */
import { createHash } from "node:crypto";
import uPlotScript from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import uPlotLicense from "uplot/LICENSE" with { type: "text" };
import uPlotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import chartScript from "./chart.js" with { type: "text" };
import marksScript from "./chart_marks.js" with { type: "text" };
import domScript from "./dom.js" with { type: "text" };
import liveScript from "./live.js" with { type: "text" };
import style from "./page.css" with { type: "text" };
import pageScript from "./page.js" with { type: "text" };
import pairsScript from "./pairs.js" with { type: "text" };
import samplesScript from "./samples.js" with { type: "text" };
import seriesScript from "./series.js" with { type: "text" };
import type { RunData } from "../run_reader.ts";
import type { RunFacts } from "../run_facts.ts";
import { CHART_GROUPS, OTHER_HOW, UNCHARTED } from "./charts.ts";
import type { PairGroup } from "./pair_groups.ts";

/** A run on a page. */
export interface PageRun {
  readonly name: string;
  readonly facts?: RunFacts;
  /** YAML. */
  readonly config: string;
  readonly data: RunData;
}

export interface PageContent {
  readonly kind: "run" | "compare" | "pairs";
  readonly title: string;
  readonly subtitle: string;
  /** True when the page is served during a run and follows it. */
  readonly live?: boolean;
  readonly runs: readonly PageRun[];
  /** Figures of several runs. */
  readonly table?: {
    readonly columns: readonly string[];
    readonly rows: readonly (readonly string[])[];
  };
  readonly pairs?: { readonly how: string; readonly groups: readonly PairGroup[] };
}

/** Modules in the order in which they need each other. */
const MODULES = [
  seriesScript,
  domScript,
  marksScript,
  chartScript,
  samplesScript,
  pairsScript,
  liveScript,
  pageScript,
];

const SCRIPT = `/*! uPlot:\n${uPlotLicense}*/\n` + uPlotScript + '\n(() => {\n"use strict";\n' +
  MODULES.map(inlined).join("\n") +
  "\n})();";

const STYLE = uPlotStyle + "\n" + style;

/** A module without its imports and exports: in the page all share one scope. */
function inlined(source: string): string {
  return source
    .replaceAll(/^import [^;]*;\n/gm, "")
    .replaceAll(/^export /gm, "")
    .replaceAll(/^ *\/?\*.*\n/gm, "");
}

function sha256(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** The policy of a page; a live one may talk to the server it came from. */
export function contentSecurityPolicy(live: boolean): string {
  return [
    "default-src 'none'",
    `script-src ${sha256(SCRIPT)}`,
    `style-src ${sha256(STYLE)}`,
    // The empty icon.
    "img-src data:",
    `connect-src ${live ? "'self'" : "'none'"}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** Text inside an element or an attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** JSON that cannot end the script element it stands in, nor begin a comment. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c").replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}

/** The whole page. */
export function pageHtml(content: PageContent): string {
  const data = { ...content, groups: CHART_GROUPS, uncharted: UNCHARTED, otherHow: OTHER_HOW };
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${
    escapeHtml(contentSecurityPolicy(content.live ?? false))
  }">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(content.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<noscript><p>The charts of this page are drawn by its script, which this browser does not run.</p></noscript>
<script type="application/json" id="data">${scriptJson(data)}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}
