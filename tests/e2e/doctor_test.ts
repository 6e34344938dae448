// The doctor as a user runs it: exit codes, page and JSON.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MAY_RUN, NEEDS, program } from "./program.ts";

Deno.test({
  name: `doctor: a config that can be trained ends with 0, one that cannot with 1 ${NEEDS}`,
  ignore: !MAY_RUN,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      const rows = `${folder}/rows.jsonl`;
      const row = (n: number, chosen = "yes") =>
        JSON.stringify({
          conversations: [{ from: "human", value: `Question ${n}` }],
          chosen: { from: "gpt", value: chosen },
          rejected: { from: "gpt", value: "no" },
        });
      await Deno.writeTextFile(rows, [row(1), row(2), row(2), row(3, ""), row(4)].join("\n"));
      const config = ["doctor", "--config", "config_dpo_beta.yaml", "--set"];
      const changes = [
        `dataset.dataset_name=${rows}`,
        "--set",
        "dataset.validation_name=null",
        "--set",
        "dataset.val_ratio=0",
        "--set",
        "dataset.chat_template=chatml",
      ];
      const json = await program([...config, ...changes, "--json"]);
      assertEquals(json.code, 0, json.stderr);
      const diagnosis = JSON.parse(json.stdout);
      assertEquals(diagnosis.trainable, true);
      assertEquals(diagnosis.train.report.kept, 4);
      assertEquals(diagnosis.train.report.dropped, { "empty answer": 1 });
      assertEquals(diagnosis.train.findings.duplicates, { rows: 1, prompts: 1, reversed: 0 });
      assertEquals(diagnosis.rows.length, 3);
      assertEquals(
        diagnosis.rows[0].prompt,
        "<|im_start|>user\nQuestion 1<|im_end|>\n<|im_start|>assistant\n",
      );
      assert(diagnosis.rows[0].answers[0].tokens.at(-1).scored);
      const page = await program([...config, ...changes]);
      assertEquals(page.code, 0, page.stderr);
      assertStringIncludes(page.stdout, "Ready to train");
      assertStringIncludes(page.stdout, "GPU memory: ");
      assertEquals(page.stdout.includes("\x1b"), false);

      await Deno.writeTextFile(rows, row(1, ""));
      const empty = await program([...config, ...changes]);
      assertEquals(empty.code, 1, empty.stderr);
      assertStringIncludes(empty.stdout, "no usable row, all 1 were dropped: 1 empty answer");
      const small = await program([...config, "memory_budget=16MiB"]);
      assertEquals(small.code, 1, small.stderr);
      assertStringIncludes(small.stdout, "Not ready to train");
      assertStringIncludes(small.stdout, "memory_budget");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
