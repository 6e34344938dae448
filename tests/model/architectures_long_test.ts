/** Every architecture against transformers: logits, log-probabilities, gradients, files; and their table. */
import { assertEquals } from "@std/assert";
import modelsDoc from "../../docs/models.md" with { type: "text" };
import { modelsPage, type Verdict } from "../../tools/models_doc.ts";
import { architectureTest, type Check, CHECKS, NAMES, runCheck } from "./architectures.ts";
import { openForTests, printMarginsAtEnd } from "./small_engine.ts";

const gpu = await openForTests();
printMarginsAtEnd();

const WORDS: Readonly<Record<Check, string>> = {
  load: "config and tensors as transformers saves them are taken",
  logits: "logits and log-probabilities are within 1e-4",
  gradients: "the gradient of every parameter is within 1e-4 of its length",
  save: "what is saved has the names, shapes and bits of what was loaded",
};

const verdicts = new Map<string, Verdict>();

/** Runs a check once, and notes how it ended. */
async function checked(name: typeof NAMES[number], check: Check): Promise<void> {
  const key = `${name} ${check}`;
  verdicts.set(key, "no");
  await runCheck(gpu, name, check);
  verdicts.set(key, "ok");
}

for (const name of NAMES) {
  for (const check of CHECKS) architectureTest(name, WORDS[check], () => checked(name, check));
}

architectureTest(
  "docs/models.md",
  "is what these tests find: run `deno task models` where it is not",
  async () => {
    for (const name of NAMES) {
      for (const check of CHECKS) {
        // Those that a filter left out.
        if (!verdicts.has(`${name} ${check}`)) await checked(name, check).catch(() => {});
      }
    }
    assertEquals(modelsDoc, modelsPage(verdicts));
  },
);
