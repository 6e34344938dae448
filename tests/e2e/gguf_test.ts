// A model exported to GGUF and trained from there is the same run.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { hashes, MAY_RUN, NEEDS, program, withFolder } from "./program.ts";

const SHORT = [
  "dataset.subset=train[:24]",
  "dataset.validation_name=null",
  "eval_at_start=false",
  "max_steps=2",
  "samples.prompts=0",
  "max_shard_size=16MiB",
].flatMap((pair) => ["--set", pair]);

const FILES = ["metrics.jsonl", "final/model.safetensors", "final/tokenizer.json"];

Deno.test({
  name: `training from a GGUF file gives the bytes of training from its folder ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const file = `${folder}/model.gguf`;
      const exported = await program([
        "export",
        ...["--model", "examples/model", "--dtype", "f32", "--out", file],
      ]);
      assertEquals(exported.code, 0, exported.stderr);
      assertStringIncludes(exported.stdout, "38 tensors, 722048 parameters");
      const results = [];
      for (const [name, model] of [["own", "examples/model"], ["gguf", file]]) {
        const run = `${folder}/${name}`;
        const names = ["--set", `policy_name=${model}`, "--set", `ref_name=${model}`];
        const args = ["train", "--config", "config_dpo.yaml", "--output_dir", run];
        const { code, stderr } = await program([...args, ...SHORT, ...names]);
        assertEquals(code, 0, stderr);
        results.push(await hashes(run, FILES));
      }
      assertEquals(results[1], results[0]);
    }),
});
