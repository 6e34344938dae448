import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  changedNeeds,
  modeEntry,
  needsInWords,
  rangeText,
  readCatalog,
} from "../../commands/mode_catalog.ts";
import { catalogText } from "../../commands/modes.ts";
import modesDoc from "../../docs/modes.md" with { type: "text" };
import { pairLosses } from "../../losses/pair_losses.ts";
import { builtInModes, loadMode } from "../../modes/mod.ts";
import { modesPage } from "../../tools/modes_doc.ts";

Deno.test("docs/modes.md is what the plug-ins say: run `deno task docs` where it is not", async () => {
  assertEquals(modesDoc, await modesPage());
});

Deno.test("the list has every mode, pair loss and option, in 100 columns", async () => {
  const catalog = await readCatalog(builtInModes);
  assertEquals(catalog.modes.map(({ name }) => name), [...builtInModes]);
  assertEquals(catalog.pairLosses.map(({ name }) => name), pairLosses.map(({ name }) => name));
  assertEquals(catalog.broken, []);
  const lines = catalogText(catalog).split("\n");
  assertEquals(lines.filter((line) => line.length > 100), []);
  for (const { name, options } of [...catalog.modes, ...catalog.pairLosses]) {
    const start = lines.findIndex((line) =>
      line.trimEnd().replace(/ \(version.*/, "") === `  ${name}`
    );
    assert(start >= 0, name);
    const end = lines.indexOf("", start);
    const section = lines.slice(start, end < 0 ? undefined : end).join("\n");
    for (const option of options) assertStringIncludes(section, `      ${option.name} `);
  }
  assertEquals(JSON.parse(JSON.stringify(catalog)), catalog);
});

Deno.test("an entry says what a mode needs, and with which option it needs something else", async () => {
  const bco = modeEntry(await loadMode("bco"));
  assertEquals([bco.needs.rows, bco.ownLoss], ["pairs", true]);
  assertEquals(bco.papers, ["https://arxiv.org/abs/2404.04656"]);
  const [{ option, value, needs }] = bco.otherNeeds;
  assertEquals([option, value], ["rows", "unpaired"]);
  assertEquals(changedNeeds(bco.needs, needs), "single answers with a label");
  const [moving, still] = [await loadMode("tr_dpo"), await loadMode("epsilon_dpo")].map(modeEntry);
  const live = "the reference model during training";
  assertEquals(needsInWords(moving.needs).reference, `${live}, which it moves`);
  assertEquals(needsInWords(still.needs).reference, live);
});

Deno.test("ranges in words", () => {
  const text = (range: object) => rangeText({ type: "number", default: 1, help: "x", ...range });
  assertEquals(text({ min: 0, below: 0.5 }), "0 <= x < 0.5");
  assertEquals(text({ above: 0 }), "> 0");
  assertEquals(text({ max: 1 }), "<= 1");
  assertEquals(text({}), "");
  assertEquals(text({ choices: ["", "v1"] }), '"" | v1');
});

Deno.test("a mode that cannot be loaded hides no other", async () => {
  const { modes, broken } = await readCatalog(["dpo", "no_such_mode", "risk"]);
  assertEquals(modes.map(({ name }) => name), ["dpo", "risk"]);
  assertEquals(broken.map(({ name }) => name), ["no_such_mode"]);
  assertStringIncludes(broken[0].error, 'Unknown mode "no_such_mode"');
});
