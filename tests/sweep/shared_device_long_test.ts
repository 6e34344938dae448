/** Runs that follow each other on one device: each as if it were alone, and nothing is left behind. */
import { assertEquals } from "@std/assert";
import { preparePlatform } from "../../commands/platform.ts";
import { openGpu } from "../../gpu/device.ts";
import { executeRun } from "../../tools/sweep/execute.ts";
import { planSweep } from "../../tools/sweep/plan.ts";
import { readSweep } from "../../tools/sweep/sweep_file.ts";

const SWEEP = `
config: config_world.yaml
set: { max_steps: 3, dpo_training.batch_size: 8 }
example: { pairs: 24, flipped: 0.2 }
measure: { prompts: 8, samples: 2, max_new_tokens: 8 }
axes: { mode: [dpo, epsilon_dpo, simpo], seed: [0] }
`;

const MAY = (await Promise.all(
  (["read", "write", "env"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");

Deno.test({
  name: "runs on one device are the same bytes in any order, and give its memory back " +
    "(needs --allow-read, --allow-write and --allow-env)",
  ignore: !MAY,
  fn: async () => {
    preparePlatform();
    const config = "configs/config_world.yaml";
    const file = readSweep(SWEEP, "s.yaml");
    const { runs } = planSweep(file, Deno.readTextFileSync(config));
    const gpu = await openGpu();
    const folder = await Deno.makeTempDir();
    try {
      const order = async (name: string, indices: readonly number[]) => {
        const shared = { gpu, file, config, out: `${folder}/${name}` };
        const bytes: number[] = [];
        for (const i of indices) {
          await executeRun(shared, runs[i]);
          bytes.push(gpu.bytes);
        }
        const results = runs.map((run) =>
          Deno.readTextFileSync(`${shared.out}/${run.name}/result.json`)
        );
        return { bytes, results };
      };
      const first = await order("forwards", [0, 1, 2]);
      // The reference of the measurements stays, and nothing else: the first run's rest is all of it.
      assertEquals(first.bytes, [first.bytes[0], first.bytes[0], first.bytes[0]]);
      const second = await order("backwards", [2, 1, 0]);
      assertEquals(second.results, first.results);
    } finally {
      gpu.destroy();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
