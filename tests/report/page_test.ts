// The page as a file: what it lets run, and that no text of a run becomes markup.
import { createHash } from "node:crypto";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CHART_GROUPS, UNCHARTED } from "../../report/page/charts.ts";
import { contentSecurityPolicy, pageHtml, scriptJson } from "../../report/page/page.ts";
import { HOSTILE } from "./a_run.ts";

const empty = { step: [], columns: {} };
const data = {
  tables: { metrics: empty, evaluations: empty, timings: empty, margins: empty },
  samples: [{ step: 1, prompt: HOSTILE, reference: HOSTILE, policy: HOSTILE }],
  dots: [],
  broken: 0,
};
const html = pageHtml({
  kind: "run",
  title: HOSTILE,
  subtitle: HOSTILE,
  runs: [{ name: HOSTILE, config: HOSTILE, data }],
});

Deno.test("a hostile text comes back as it was and ends no element", () => {
  const scripts = [...html.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)];
  assertEquals(scripts.length, 2);
  const page = JSON.parse(scripts[0][1]);
  assertEquals([page.title, page.runs[0].config, page.runs[0].data.samples[0].policy], [
    HOSTILE,
    HOSTILE,
    HOSTILE,
  ]);
  assertEquals(html.match(/<img/g), null);
  assertEquals(scriptJson({ a: "</script>\u2028" }), '{"a":"\\u003c/script>\\u2028"}');
});

Deno.test("the policy names the very script and style of the page, and no network", () => {
  const hash = (text: string) => createHash("sha256").update(text).digest("base64");
  const script = /<script>([\s\S]*?)<\/script>\n<\/body>/.exec(html)![1];
  const style = /<style>([\s\S]*?)<\/style>/.exec(html)![1];
  const policy = contentSecurityPolicy(false);
  assertStringIncludes(policy, `script-src 'sha256-${hash(script)}'`);
  assertStringIncludes(policy, `style-src 'sha256-${hash(style)}'`);
  assertStringIncludes(policy, "default-src 'none'");
  assertStringIncludes(policy, "connect-src 'none'");
  assertStringIncludes(contentSecurityPolicy(true), "connect-src 'self'");
  assertStringIncludes(html, policy.replaceAll("'", "'").split(";")[0]);
});

Deno.test("the script neither makes markup of texts nor keeps imports", () => {
  const own = html.slice(html.lastIndexOf('"use strict"'));
  for (const word of ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]) {
    assertEquals(own.includes(word), false, word);
  }
  assertEquals(own.match(/^(import|export) .*/gm), null);
  assert(own.length > 10_000);
});

Deno.test("every chart has an id of its own and sentences on how to read it", () => {
  const charts = CHART_GROUPS.flatMap(({ charts }) => charts);
  assertEquals(new Set(charts.map(({ id }) => id)).size, charts.length);
  for (const { how } of charts) assertMatch(how, /^[A-Z][^]{40,}\.$/);
  const drawn = new Set(charts.flatMap(({ series }) => series.map(({ key }) => key)));
  // What a chart names is not among what no chart shows, but for sigma, an area, and the margin's stand-in.
  assertEquals(UNCHARTED.filter((key) => drawn.has(key)), ["dpo/margin_mean"]);
});
