// Modes that never end or reach for what they may not, in the program's own Worker.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { MAY_RUN, NEEDS, program, withFolder } from "./program.ts";
import { copyProject } from "./project_copy.ts";

/** DPO that does something else at its third decision. */
const mode = (name: string, deed: string) => `
import dpo from "./dpo.ts";

export default {
  ...dpo,
  name: "${name}",
  decide(...given: Parameters<typeof dpo.decide>) {
    if (given[3].training && given[3].microStep === 2) {
      ${deed}
    }
    return dpo.decide(...given);
  },
};
`;

const CONFIG = `
policy_name: examples/model
dataset:
  dataset_name: examples/preferences.jsonl
  subset: train[:32]
dpo_training:
  batch_size: 4
  save_steps: 1
  learning_rate: 1e-4
max_steps: 4
mode_time_limit: 3
samples:
  prompts: 0
`;

const DEEDS = {
  endless: ["for (;;) { /* never ends */ }", "did not end within 3 seconds"],
  reader: ['Deno.readTextFileSync("/etc/passwd");', "which a mode does not get"],
  starter: ['new Deno.Command("id").outputSync();', "which a mode does not get"],
} as const;

Deno.test({
  name: `a mode that never ends, reads or runs what it may not ends the run ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const root = `${folder}/project`;
      const files = Object.entries(DEEDS).map(([name, [deed]]) => [
        `modes/${name}.ts`,
        mode(name, deed),
      ]);
      await copyProject(root, { ...Object.fromEntries(files), "my.yaml": CONFIG });
      for (const [name, [, reason]] of Object.entries(DEEDS)) {
        const args = [
          "train",
          "--config",
          "my.yaml",
          "--output_dir",
          name,
          "--set",
          `mode=${name}`,
        ];
        const { code, stderr } = await program(args, { root });
        assertEquals(code, 2, stderr);
        assertStringIncludes(stderr, `Mode "${name}" at optimizer step 2, decision 2`);
        assertStringIncludes(stderr, reason);
        const kept = [...Deno.readDirSync(`${root}/${name}/checkpoints`)].map((entry) =>
          entry.name
        );
        assertEquals(kept.sort(), ["step-000001", "step-000002"]);
      }
      // The checkpoint is whole: with the mode mended the run goes on from it.
      await Deno.writeTextFile(`${root}/modes/endless.ts`, mode("endless", ""));
      const resumed = await program(
        [
          "train",
          "--config",
          "my.yaml",
          "--output_dir",
          "endless",
          "--set",
          "mode=endless",
          "--resume",
        ],
        { root },
      );
      assertEquals(resumed.code, 0, resumed.stderr);
    }),
});
