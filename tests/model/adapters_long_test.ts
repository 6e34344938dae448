/** Adapters on every architecture: log-probabilities, gradients, the base left alone. */
import { checkAdapters } from "./adapters.ts";
import { NAMES } from "./architectures.ts";
import { openForTests, printMarginsAtEnd } from "./small_engine.ts";

const MAY = (await Deno.permissions.query({ name: "read" })).state === "granted";
const gpu = await openForTests();
printMarginsAtEnd();

for (const name of NAMES) {
  Deno.test({
    name: `${name}: adapters amount to W + scale B A, forward and backward (needs --allow-read)`,
    ignore: !MAY,
    fn: () => checkAdapters(gpu, name),
  });
}
