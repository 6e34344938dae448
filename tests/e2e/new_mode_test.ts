// A mode is added by one file in modes/ and its name in a config: done here in a copy of the project.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { MAY_RUN, NEEDS, program, readMetrics } from "./program.ts";
import { withProject } from "./project_copy.ts";

const MY_MODE = `
import type { LossMode } from "../losses/loss_mode.ts";

/** Beta halves every two training calls. */
const myMode: LossMode<{ calls: number }> = {
  name: "my_mode",
  help: "Halving beta, for a test",
  version: 1,
  options: { start: { type: "number", default: 0.4, above: 0, help: "First beta" } },
  needs: () => ({ reference: "logps", scope: "pair", rows: "pairs" }),
  init: () => ({ calls: 0 }),
  baseBeta: (options) => options.start as number,
  decide(_batch, state, options) {
    const beta = (options.start as number) * 0.5 ** Math.floor(state.calls / 2);
    return { beta, state: { calls: state.calls + 1 }, metrics: { "my_mode/beta": beta } };
  },
};
export default myMode;
`;

const CONFIG = `
policy_name: examples/model
mode: my_mode
my_mode:
  start: 0.8
dataset:
  dataset_name: examples/preferences.jsonl
  subset: train[:64]
  val_ratio: 0.1
dpo_training:
  batch_size: 8
  learning_rate: 1e-4
max_steps: 5
samples:
  prompts: 0
`;

Deno.test({
  name: `a file in modes/ and its name in a config add a mode ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withProject(async (root) => {
      await Deno.writeTextFile(`${root}/modes/my_mode.ts`, MY_MODE);
      await Deno.writeTextFile(`${root}/my.yaml`, CONFIG);
      const args = ["train", "--config", "my.yaml", "--output_dir", "out"];
      const { code, stderr } = await program(args, { root });
      assertEquals(code, 0, stderr);
      const betas = readMetrics(`${root}/out`).map((line) => line["my_mode/beta"]);
      assertEquals(betas, [0.8, 0.8, 0.4, 0.4, 0.2]);

      const wrong = await program([...args.slice(0, 3), "--set", "my_mode.strat=1"], { root });
      assertEquals(wrong.code, 2);
      assertStringIncludes(wrong.stderr, 'did you mean "my_mode.start"');
    }),
});
