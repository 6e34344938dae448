/** Every architecture against transformers: logits, log-probabilities, gradients, files. */
import { type ArchitectureName, type Check, CHECKS, NAMES, runCheck } from "./architectures.ts";
import { openForTests, printMarginsAtEnd } from "./small_engine.ts";

const permissions = await Promise.all(
  (["read", "write"] as const).map((name) => Deno.permissions.query({ name })),
);
const MAY = permissions.every(({ state }) => state === "granted");
const gpu = await openForTests();
printMarginsAtEnd();

const WORDS: Readonly<Record<Check, string>> = {
  load: "config and tensors as transformers saves them are taken",
  logits: "logits and log-probabilities are within 1e-4",
  gradients: "the gradient of every parameter is within 1e-4 of its length",
  save: "what is saved has the names, shapes and bits of what was loaded",
};

function architectureTest(name: ArchitectureName, what: string, fn: () => void | Promise<void>) {
  const why = MAY ? "" : " (ignored: needs --allow-read and --allow-write)";
  Deno.test({ name: `${name}: ${what}${why}`, ignore: !MAY, fn });
}

for (const name of NAMES) {
  for (const check of CHECKS) {
    architectureTest(name, WORDS[check], () => runCheck(gpu, name, check));
  }
}
