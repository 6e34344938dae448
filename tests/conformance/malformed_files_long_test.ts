/** Damaged model files, all cases. */
import { GGUF } from "./gguf_cases.ts";
import { CONFIG, TOKENIZER } from "./json_cases.ts";
import { runCases } from "./run_cases.ts";
import { SAFETENSORS } from "./safetensors_cases.ts";

for (
  const [kind, share] of [[SAFETENSORS, 0.5], [GGUF, 0.5], [CONFIG, 0.3], [TOKENIZER, 0.2]] as const
) {
  Deno.test(`${kind.name}: ${kind.count} damaged files are read or refused by name`, () => {
    runCases(kind, kind.count, share);
  });
}
