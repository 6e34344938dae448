// Adapters from the command line: trained, evaluated, gone on from, merged.
import { assertAlmostEquals, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { MAY_RUN, NEEDS, program, readMetrics, withFolder } from "./program.ts";

const CONFIG = ["--config", "config_dpo_beta.yaml"];
const SET = [
  ...["dataset.subset=train[:160]", "dataset.validation_name=null", "eval_at_start=false"],
  ...["max_steps=4", "dpo_training.save_steps=2", "dpo_training.eval_steps=4"],
  ...["dpo_training.learning_rate=1e-2", "dpo_training.warmup_steps=0", "samples.max_new_tokens=4"],
].flatMap((change) => ["--set", change]);
const LORA = ["--set", "lora.r=6", "--set", "lora.lora_alpha=12"];

Deno.test({
  name: `an adapter is trained, evaluated, gone on from and merged ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const run = `${folder}/run`;
      const trained = await program(["train", ...CONFIG, ...SET, ...LORA, "--output_dir", run]);
      assertEquals(trained.code, 0, trained.stderr);
      assertStringIncludes(trained.stdout, "Adapters: rank 6, scale 2, on 28 modules");
      const metrics = readMetrics(run);
      assertAlmostEquals(metrics[0].loss, Math.LN2, 1e-12);
      assertLess(metrics.at(-1)!.eval_loss, Math.LN2);
      // A checkpoint holds adapters and their moments, not the model.
      const { size } = Deno.statSync(`${run}/checkpoints/step-000004/model.safetensors`);
      assertLess(size, Deno.statSync("examples/model/model.safetensors").size / 2);

      const evaluate = async (model: string) => {
        const done = await program(["eval", ...CONFIG, ...SET, "--model", model, "--json"]);
        assertEquals(done.code, 0, done.stderr);
        return JSON.parse(done.stdout).eval_loss as number;
      };
      const loss = await evaluate(`${run}/final`);
      const shown = /Evaluation of the written model: loss (?:\S+ -> )?(\S+)/.exec(trained.stdout)!;
      assertAlmostEquals(loss, Number(shown[1]), 1e-4);

      const merged = `${folder}/merged`;
      const done = await program(["merge", "--adapter", `${run}/final`, "--out", merged]);
      assertEquals(done.code, 0, done.stderr);
      assertAlmostEquals(await evaluate(merged), loss, 1e-5);

      const from = ["--set", `lora.adapter_name_or_path=${run}/final`];
      const on = await program([
        ...["train", ...CONFIG, ...SET, ...from, "--set", "max_steps=1"],
        ...["--output_dir", `${folder}/on`],
      ]);
      assertEquals(on.code, 0, on.stderr);
      // The reference is the base, which the adapter has left already.
      assertLess(readMetrics(`${folder}/on`)[0].loss, Math.LN2 - 0.01);

      const wrong = ["--set", "lora.target_modules=[c_attn]", "--output_dir", `${folder}/wrong`];
      const refused = await program(["train", ...CONFIG, ...SET, ...wrong]);
      assertEquals(refused.code, 2);
      assertStringIncludes(refused.stderr, 'Cannot adapt module "c_attn"');
    }),
});
