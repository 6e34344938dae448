/**
 * Writes `docs/models.md`: runs the checks of every architecture against the goldens of transformers and
 * makes the table of what they found.
 *
 *     deno task models
 *
 * @module
 */
import { openGpu } from "../gpu/device.ts";
import { ARCHITECTURES, CHECKS, NAMES, runCheck } from "../tests/model/architectures.ts";

const HEAD = `<!-- deno-fmt-ignore-file -->
<!-- Written by "deno task models" from what the tests find: change those, then run it again -->

# Models

Each architecture below is a tiny random model that transformers saved and ran there in float64, whose
norms and softmax it takes through float32 (\`tests/goldens/architectures\`). **load**: its config and tensors are taken as they are. **logits**:
within 1e-4 times max(1, |logit|), the answers' log-probabilities too, with the prompt run once for both
answers and with a prompt each. **gradients**: of every parameter, by a DPO loss, within 1e-4 of its length.
**save**: what this program writes has the names, shapes, types and bits of what it read.
`;

const TAIL = `
A field of \`config.json\` that would change the arithmetic and is not implemented is an error that names it.
Not there: rotary scalings other than \`llama3\` and \`linear\` (\`yarn\`, \`longrope\`, \`dynamic\`), quantised
weights, mixtures of experts, images (Gemma 3 with a vision tower), attention in both directions. Heads are
multiples of 4 up to 256 wide; where only a part of a head turns, it is a multiple of 4 too. Weights keep the names and shapes
of their files, fused and transposed ones too, in checkpoints and in what is saved; a GPT-2 file whose names
lack their \`transformer.\` is read, and written with it.
`;

/** "ok", or "no" where the check failed. */
export type Verdict = "ok" | "no";

/** The text of docs/models.md for these verdicts, by architecture and check. */
export function modelsPage(verdicts: ReadonlyMap<string, Verdict>): string {
  const rows = NAMES.map((name) => {
    const cells = CHECKS.map((check) => verdicts.get(`${name} ${check}`) ?? "not run");
    return `| ${ARCHITECTURES[name]} | ${cells.join(" | ")} |`;
  });
  const head = `| architecture | ${CHECKS.join(" | ")} |`;
  const rule = `| --- |${CHECKS.map(() => " --- |").join("")}`;
  return [HEAD, head, rule, ...rows].join("\n") + "\n" + TAIL;
}

if (import.meta.main) {
  const gpu = await openGpu();
  const verdicts = new Map<string, Verdict>();
  for (const name of NAMES) {
    for (const check of CHECKS) {
      const failure = await runCheck(gpu, name, check).then(() => undefined, (error) => error);
      if (failure) console.error(`${name}, ${check}: ${failure.message}`);
      verdicts.set(`${name} ${check}`, failure ? "no" : "ok");
    }
  }
  Deno.writeTextFileSync(new URL("../docs/models.md", import.meta.url), modelsPage(verdicts));
  gpu.destroy();
}
