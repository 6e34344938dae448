/** Damaged model files, a twentieth of the cases of the long test, and all that were ever found. */
import { assert } from "@std/assert";
import { GGUF } from "./gguf_cases.ts";
import { CONFIG, TOKENIZER } from "./json_cases.ts";
import { foundFiles, runCases, verdict } from "./run_cases.ts";
import { SAFETENSORS } from "./safetensors_cases.ts";

const readGranted = (await Deno.permissions.query({ name: "read" })).state === "granted";

for (
  const [kind, share] of [[SAFETENSORS, 0.5], [GGUF, 0.5], [CONFIG, 0.3], [TOKENIZER, 0.2]] as const
) {
  const count = kind.count / 20;
  Deno.test(`${kind.name}: ${count} damaged files are read or refused by name`, () => {
    runCases(kind, count, share);
  });

  Deno.test({
    name: `${kind.name}: files once taken wrongly are read or refused` +
      (readGranted ? "" : " (ignored: needs --allow-read)"),
    ignore: !readGranted,
    fn() {
      for (const { name, bytes } of foundFiles(kind)) {
        assert(
          ["read", "refused"].includes(verdict(kind, bytes)),
          `${name}: ${verdict(kind, bytes)}`,
        );
      }
    },
  });
}
