/**
 * Prints the logits that this program computes for a model: `deno run -A print_logits.ts MODEL 5,9,3`, a
 * JSON list of one list for each position. `check_saved.py` compares them with those of transformers.
 */
import { LlamaEngine } from "../../model/llama.ts";
import { openModelFolder } from "../../model/model_folder.ts";
import { openForTests } from "../model/small_engine.ts";

const [place, list] = Deno.args;
const ids = Uint32Array.from(list.split(","), Number);
using folder = openModelFolder(place);
const engine = await LlamaEngine.create(
  await openForTests(),
  folder.config,
  { budget: 5e8, tokens: 4096, scored: 512, leastTokens: 64, leastScored: 64, sharePrompt: true },
  (name) => folder.readParameter(name),
);
const rows: number[][] = [];
for (let end = 1; end <= ids.length; end++) {
  rows.push([...await engine.nextLogits([ids.subarray(0, end)])]);
}
console.log(JSON.stringify(rows));
Deno.exit(0);
