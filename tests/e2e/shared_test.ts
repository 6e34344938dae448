// A real trained model on real preference data, with each mode: the loss falls.
import { assertEquals, assertLess } from "@std/assert";
import { MAY_RUN, program, readMetrics, ROOT, withFolder } from "./program.ts";
import { sharedFile } from "./paths.ts";

const model = MAY_RUN ? sharedFile(ROOT, "models/stories260K-hf") : undefined;
const data = MAY_RUN ? sharedFile(ROOT, "data/hh_harmless_base_test.jsonl.gz") : undefined;

for (const mode of ["dpo", "risk", "beta_dpo", "sft"]) {
  Deno.test({
    name: `stories260K learns from HH transcripts with mode ${mode} ` +
      "(needs ../shared and all permissions)",
    ignore: !model || !data,
    fn: () =>
      withFolder(async (folder) => {
        const section = mode === "sft" ? "sft_training" : "dpo_training";
        await Deno.writeTextFile(
          `${folder}/c.yaml`,
          `policy_name: ${model}
mode: ${mode}
dataset: { dataset_name: ${data}, subset: "train[:40]", val_ratio: 0.1, max_length: 192 }
${section}: { batch_size: 12, learning_rate: 5e-4, epochs: 4, warmup_steps: 0 }
samples: { prompts: 0 }
eval_at_start: true
`,
        );
        const run = `${folder}/run`;
        const result = await program([
          "train",
          "--config",
          `${folder}/c.yaml`,
          "--output_dir",
          run,
        ]);
        assertEquals(result.code, 0, result.stderr);
        // Whole epochs are compared: single batches differ more than training moves them.
        const losses = readMetrics(run).filter((line) => line.step > 0).map((line) => line.loss);
        assertEquals(losses.length, 12);
        const mean = (part: number[]) => part.reduce((a, b) => a + b) / part.length;
        assertLess(mean(losses.slice(-3)), mean(losses.slice(0, 3)));
      }),
  });
}
