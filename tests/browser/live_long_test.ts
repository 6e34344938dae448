// A run with --dashboard in a real browser: followed from its start, paused, saved, resumed, reloaded,
// stopped; then its report. The files are those of the run, so every value can be looked up.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MAY_RUN, start } from "../e2e/program.ts";
import { withFolder } from "../report/a_run.ts";
import { lastValues, shownCharts, wrongValues } from "./charts.ts";
import { findBrowser, type Page, withPage } from "./devtools.ts";

const NET = (await Deno.permissions.query({ name: "net", host: "127.0.0.1" })).state === "granted";
const browser = MAY_RUN && NET ? findBrowser() : undefined;

const SETTINGS = [
  "report_to=[jsonl, html]",
  "dataset.subset=train[:480]",
  "dataset.validation_name=null",
  "dpo_training.epochs=99",
  "dpo_training.eval_steps=4",
  "max_steps=2000",
  "samples.prompts=2",
  "samples.max_new_tokens=6",
];

const status = (words: RegExp) => `${words}.test(document.getElementById("status").textContent)`;
const state = (name: string) => `document.getElementById("status").dataset.state === "${name}"`;

/** Reads the link from what the run prints, and goes on reading so that the run is not held up. */
async function linkOf(stdout: ReadableStream<Uint8Array<ArrayBuffer>>) {
  const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let link: string | undefined;
  while (link === undefined) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The run ended before it told its page:\n${text}`);
    text += value;
    link = /http:\S+token=[0-9a-f]{32}/.exec(text)?.[0];
  }
  const rest = (async () => {
    while (true) {
      const { value, done } = await reader.read();
      if (done) return text;
      text += value;
    }
  })();
  return { link, rest };
}

/** For a test that has failed: a run that has ended, as it should, cannot be killed. */
function endIfRunning(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/** All charts agree with the files, which the run is not writing at the moment. */
async function assertCharts(page: Page, run: string): Promise<void> {
  const files = ["logs/beta_dpo_margins/margins.jsonl", "timings.jsonl", "metrics.jsonl"];
  const last = lastValues(files.map((name) => `${run}/${name}`));
  const wrong = async () => wrongValues(await shownCharts(page), last);
  // The page looks at the files twice a second.
  for (let attempt = 0; attempt < 40 && (await wrong()).length > 0; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertEquals(await wrong(), []);
  const charts = (await shownCharts(page)).map(({ id }) => id);
  assertEquals(charts.length >= 13, true, charts.join());
}

async function follow(page: Page, run: string, link: string): Promise<void> {
  await page.look(1280, 900, "light");
  await page.open(link);
  await page.until(status(/Step [1-9]/), "the first step is shown", 120);
  await page.click("#pause");
  await page.until(state("paused"), "the run is paused");
  await assertCharts(page, run);
  const paused = await page.evaluate("document.getElementById('status').textContent");
  // A reload shows the same; so does a second viewer.
  await page.open(link);
  await page.until(state("paused"), "the reloaded page knows of the pause");
  await assertCharts(page, run);
  const step = Number(/\d+/.exec(String(paused)));
  await page.click("#save");
  await page.until(status(/saved/), "the checkpoint is told");
  assert(Deno.statSync(`${run}/checkpoints/step-${String(step).padStart(6, "0")}`).isDirectory);
  await page.click("#resume");
  await page.until(status(new RegExp(`Step (?!${step} )`)), "the run goes on");
  await page.click("#theme");
  await page.click("#smoothing");
  await page.click("#chart-loss .legend button");
  await page.click("#stop");
  await page.until("document.getElementById('stop').textContent === 'Stop: sure?'", "it asks");
  await page.click("#stop");
  await page.until(state("ended"), "the end is told");
  assertEquals(await page.evaluate("document.getElementById('pause').disabled"), true);
}

Deno.test({
  name: "a run is followed and steered from its live page, and leaves a report (needs Chromium, " +
    "files, --allow-run and --allow-net=127.0.0.1)",
  ignore: browser === undefined || Deno.build.os === "windows",
  fn: () =>
    withFolder((folder) =>
      withPage(browser!, async (page) => {
        const run = `${folder}/run`;
        const sets = SETTINGS.flatMap((one) => ["--set", one]);
        const child = start([
          "train",
          ...["--config", "config_dpo_beta.yaml", "--output_dir", run, "--dashboard", "0"],
          ...sets,
        ]);
        let output = "";
        try {
          const { link, rest } = await linkOf(child.stdout);
          assertStringIncludes(link, "http://127.0.0.1:");
          await follow(page, run, link);
          output = await rest;
        } finally {
          endIfRunning(child);
        }
        const [{ code }, errors] = await Promise.all([child.status, child.stderr.text()]);
        assertEquals([code, errors.includes("Error")], [130, false], errors);
        assertStringIncludes(output, "Stopped by its page after step");
        assertStringIncludes(output, `Report: ${run}/report.html`);
        await page.open(`file://${run}/report.html`);
        await page.click("summary");
        await assertCharts(page, run);
        assertEquals(page.problems, []);
      })
    ),
});
