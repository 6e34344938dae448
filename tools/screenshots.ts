/**
 * Makes the pictures in `docs/` of a run's pages: report, live page and pair microscope.
 *
 *     deno run -A tools/screenshots.ts RUN
 *
 * RUN is a finished run with `report.html` and `pairs.html`; needs Chromium. The committed pictures were
 * reduced to 128 colours afterwards.
 *
 * @module
 */
import { openLivePage } from "../report/live_page.ts";
import { findBrowser, type Page, withPage } from "../tests/browser/devtools.ts";

const WIDE = [1180, 820] as const;
const PHONE = [390, 780] as const;

async function shoot(
  page: Page,
  name: string,
  url: string,
  size: readonly [number, number],
  scheme: "light" | "dark",
  scrollTo = "body",
): Promise<void> {
  await page.look(...size, scheme);
  await page.open(url);
  await page.evaluate("new Promise((done) => setTimeout(done, 800))");
  await page.evaluate(`document.querySelector("${scrollTo}").scrollIntoView()`);
  await page.look(...size, scheme);
  const path = new URL(`../docs/${name}.png`, import.meta.url);
  await Deno.writeFile(path, await page.screenshot());
  if (page.problems.length > 0) throw new Error(`${name}: ${page.problems.join("\n")}`);
}

async function main(run: string): Promise<void> {
  const browser = findBrowser();
  if (!browser) throw new Error("Taking pictures: there is no Chromium");
  const folder = await Deno.realPath(run);
  const file = (name: string) => `file://${folder}/${name}`;
  const live = openLivePage({
    host: "127.0.0.1",
    port: 0,
    folder,
    name: "beta_dpo_example",
    order: () => {},
  });
  live.accept({ type: "start", step: 70, totalSteps: 150 });
  await withPage(browser, async (page) => {
    await shoot(page, "report_light", file("report.html"), WIDE, "light");
    await shoot(page, "report_dark", file("report.html"), WIDE, "dark", "section:nth-of-type(2)");
    await shoot(page, "report_phone", file("report.html"), PHONE, "light");
    await shoot(page, "live_page", live.url, WIDE, "dark");
    await shoot(page, "pairs", file("pairs.html"), WIDE, "light");
  });
  await live.end("");
}

if (import.meta.main) {
  if (Deno.args.length !== 1) throw new RangeError("Taking pictures: which run? Give its folder");
  await main(Deno.args[0]);
  Deno.exit(0);
}
