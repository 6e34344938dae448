// The written pages in a real browser: every chart with its last value, every control, hostile texts.
import { assert, assertEquals, assertGreater, assertNotEquals } from "@std/assert";
import { run as compare } from "../../commands/compare.ts";
import { run as pairs } from "../../commands/pairs.ts";
import { writeReport } from "../../commands/run_page.ts";
import {
  configText,
  FILES_ALLOWED,
  HOSTILE,
  STEPS,
  withFolder,
  writeRows,
  writeRun,
} from "../report/a_run.ts";
import { lastValues, shownCharts, wrongValues } from "./charts.ts";
import { findBrowser, type Page, withPage } from "./devtools.ts";

const NET = (await Deno.permissions.query({ name: "net", host: "127.0.0.1" })).state === "granted";
const browser = FILES_ALLOWED && NET ? findBrowser() : undefined;

function test(name: string, fn: (page: Page, folder: string) => Promise<void>): void {
  Deno.test({
    name: `${name} (needs Chromium, files, --allow-run and --allow-net=127.0.0.1)`,
    ignore: browser === undefined,
    fn: () => withFolder((folder) => withPage(browser!, (page) => fn(page, folder))),
  });
}

/** A run under a name that needs encoding in an address. */
function aRun(folder: string): string {
  const run = `${folder}/a run #1`;
  writeRun(run, HOSTILE);
  return run;
}

function address(path: string): string {
  return `file://${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** Nothing of the data has become markup or script, and the browser has nothing to complain about. */
async function assertUnharmed(page: Page): Promise<void> {
  assertEquals(await page.evaluate("window.broken ?? null"), null);
  assertEquals(await page.evaluate("document.querySelectorAll('img, iframe').length"), 0);
  assertEquals(page.problems, []);
}

const text = (page: Page, selector: string) =>
  page.evaluate<string>(`document.querySelector(${JSON.stringify(selector)}).textContent`);

test("the report draws every chart with its last value", async (page, folder) => {
  const run = aRun(folder);
  await page.look(1280, 900, "light");
  await page.open(address(writeReport(run)));
  await page.click("summary");
  await page.look(1280, 900, "light");
  const charts = await shownCharts(page);
  assertEquals(charts.map(({ id }) => id), [
    "loss",
    "accuracy",
    "logps",
    "rewards",
    "margin",
    "margins",
    "beta",
    "selection",
    "keep_ratio",
    "learning_rate",
    "grad_norm",
    "tokens",
    "memory",
    "own-metric",
  ]);
  const files = ["logs/margins/margins.jsonl", "timings.jsonl", "metrics.jsonl"];
  assertEquals(wrongValues(charts, lastValues(files.map((name) => `${run}/${name}`))), []);
  assertEquals(charts.find(({ id }) => id === "memory")!.values.map(([, shown]) => shown), [
    "64.0 MiB",
    "1.00 GiB",
  ]);
  assertEquals(await text(page, "#config pre"), configText(HOSTILE));
  await assertUnharmed(page);
});

test("every control of the report does what it says", async (page, folder) => {
  await page.look(1280, 900, "light");
  await page.open(address(writeReport(aRun(folder))));
  const background = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
  const light = await background();
  await page.click("#theme");
  assertEquals([await text(page, "#theme"), await background()], ["Theme: light", light]);
  await page.click("#theme");
  assertEquals(await text(page, "#theme"), "Theme: dark");
  assertNotEquals(await background(), light);
  await page.click("#theme");
  // Its middle is a strong smoothing: the raw line stays beside the smooth one.
  const before = (await shownCharts(page))[0].painted;
  await page.click("#smoothing");
  assertEquals(await page.evaluate("document.getElementById('smoothing').value > 0.3"), true);
  await page.look(1280, 900, "light");
  assertNotEquals((await shownCharts(page))[0].painted, before);
  await page.click("#chart-loss .legend button");
  assertEquals(
    await page.evaluate("document.querySelector('#chart-loss button').ariaPressed"),
    "false",
  );
  await page.click("#chart-loss .legend button");
  // The newest samples are shown; another evaluation can be chosen.
  assertEquals(
    await text(page, "#samples .answers"),
    `referencebefore${HOSTILE}policyafter ` +
      `${STEPS}${HOSTILE}`,
  );
  await page.evaluate(`(() => {
    const select = document.getElementById("sample-step");
    select.value = "0";
    select.dispatchEvent(new Event("change"));
  })()`);
  assert((await text(page, "#samples .answers")).includes(`after 0${HOSTILE}`));
  await assertUnharmed(page);
});

test("pointing at a chart shows the values there", async (page, folder) => {
  await page.look(1280, 900, "light");
  await page.open(address(writeReport(aRun(folder))));
  const [x, y] = await page.evaluate<number[]>(`(() => {
    const { left, top, height } = document.querySelector("#chart-loss .u-over")
      .getBoundingClientRect();
    return [left + 1, top + height / 2];
  })()`);
  await page.send("Input.dispatchMouseEvent", { type: "mouseMoved", x: x + 40, y });
  await page.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
  // At step 0 there is an evaluation, and no training step yet.
  await page.until(
    "document.querySelector('#chart-loss b').textContent === '–'",
    "step 0 is shown",
  );
  assertEquals(await text(page, "#chart-loss button:nth-child(2) b"), "0.6931");
});

test("the report fits a phone and is white on paper", async (page, folder) => {
  await page.look(390, 844, "dark");
  await page.open(address(writeReport(aRun(folder))));
  await page.look(390, 844, "dark");
  assertEquals(await page.evaluate("document.documentElement.scrollWidth"), 390);
  const { data } = await page.send("Page.printToPDF", { printBackground: true });
  assertGreater((data as string).length, 50_000);
  assertEquals(await page.evaluate("document.documentElement.dataset.theme ?? 'auto'"), "auto");
  await assertUnharmed(page);
});

test("runs are overlaid, and pairs come with their texts", async (page, folder) => {
  const [one, two] = [aRun(folder), `${folder}/other`];
  writeRun(two, HOSTILE);
  const log = console.log;
  console.log = () => {};
  try {
    await compare([one, two, "--output", `${folder}/both.html`]);
    writeRows(`${folder}/rows.jsonl`, HOSTILE);
    const config = configText(HOSTILE, `${folder}/rows.jsonl`);
    Deno.writeTextFileSync(`${one}/config.yaml`, config);
    await pairs([one]);
  } finally {
    console.log = log;
  }
  await page.look(1280, 900, "dark");
  await page.open(address(`${folder}/both.html`));
  const charts = await shownCharts(page);
  assertEquals(charts[0].values.map(([key]) => key), ["loss", "eval_loss", "loss", "eval_loss"]);
  assertEquals(await page.evaluate("document.querySelectorAll('#runs tbody tr').length"), 2);
  await assertUnharmed(page);

  await page.open(address(`${one}/pairs.html`));
  const rows = "[...document.querySelectorAll('article.pair')].filter((a) => !a.hidden)" +
    ".map((a) => a.dataset.row).join()";
  assertEquals(await page.evaluate(rows), "1,2,3");
  assert((await text(page, "article.pair")).includes(`good 1${HOSTILE}`));
  await page.click("#pair-filter");
  await page.send("Input.insertText", { text: "good 2" });
  assertEquals(await page.evaluate(rows), "2");
  await page.click("#theme");
  await assertUnharmed(page);
});
