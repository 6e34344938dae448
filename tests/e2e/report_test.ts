// Sinks from the command line: chosen by config and environment, and never in training's way.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readLog } from "../../report/wandb/log_file.ts";
import { readRecord } from "../../report/wandb/record.ts";
import { LOCAL_SERVER_ALLOWED, WandbServer } from "../report/wandb_server.ts";
import { hashes, MAY_RUN, NEEDS, program, readMetrics, withFolder } from "./program.ts";

function train(folder: string, ...more: string[]): string[] {
  const set = [
    "dataset.subset=train[:96]",
    "dataset.validation_name=null",
    "eval_at_start=false",
    "max_steps=3",
    "dpo_training.eval_steps=2",
    "samples.max_new_tokens=4",
  ].flatMap((pair) => ["--set", pair]);
  return ["train", "--config", "config_dpo_beta.yaml", "--output_dir", folder, ...set, ...more];
}

const KEY = "5ecret".repeat(7);

Deno.test({
  name: `every sink is written, and training is the same bytes without any ${NEEDS}`,
  ignore: !MAY_RUN || !LOCAL_SERVER_ALLOWED,
  fn: () =>
    withFolder(async (folder) => {
      const server = new WandbServer();
      try {
        const sinks = await program(
          train(`${folder}/sinks`, "--json", "--set", "report_to=[jsonl,tensorboard,wandb]"),
          { env: { WANDB_MODE: "online", WANDB_API_KEY: KEY, WANDB_BASE_URL: server.url } },
        );
        assertEquals([sinks.code, sinks.stderr], [0, ""]);
        const quiet = await program(train(`${folder}/plain`, "--quiet"));
        assertEquals([quiet.code, quiet.stdout, quiet.stderr], [0, "", ""]);
        const files = ["metrics.jsonl", "final/model.safetensors"];
        assertEquals(
          await hashes(`${folder}/sinks`, files),
          await hashes(`${folder}/plain`, files),
        );
        const entries = (name: string) =>
          [...Deno.readDirSync(`${folder}/${name}`)].map((e) => e.name);
        assertEquals(entries("sinks/tensorboard").length, 1);
        assert(!entries("plain").some((name) => name === "tensorboard" || name === "wandb"));

        const metrics = readMetrics(`${folder}/sinks`);
        const [lines] = [...server.history.values()];
        const rows = lines.map((line) => JSON.parse(line));
        assertEquals(rows.map((row) => row._step), metrics.map(({ step }) => step));
        for (const [i, { step: _, ...values }] of metrics.entries()) {
          for (const [key, value] of Object.entries(values)) assertEquals(rows[i][key], value, key);
        }
        for (const name of ["beta_used", "M0", "sigma", "keep_ratio"]) {
          assert(`beta_dpo/${name}` in rows[2], name);
        }
        const events = sinks.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
        const steps = events.filter(({ type }) => type === "step");
        assertEquals(steps.map(({ step, metrics }) => [step, metrics.loss]), [
          [1, metrics[0].loss],
          [2, metrics[1].loss],
          [3, metrics[2].loss],
        ]);
        assert(!sinks.stdout.includes(KEY));
      } finally {
        await server.close();
      }
    }),
});

Deno.test({
  name:
    `a sink that cannot write is told once, and the run ends well; offline is a folder ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      // A file where the folder of a sink should be; the run itself finds its own there.
      const run = `${folder}/run`;
      const args = train(run, "--set", "report_to=[tensorboard,wandb]", "--resume");
      Deno.mkdirSync(run);
      Deno.writeTextFileSync(
        `${run}/config.yaml`,
        "# The config of this run as used, defaults and --set included\n",
      );
      Deno.writeTextFileSync(`${run}/tensorboard`, "");
      const { code, stdout } = await program(args, { env: { WANDB_MODE: "offline" } });
      assertEquals(code, 0, stdout);
      assertEquals(stdout.split("Warning: no TensorBoard files from here on").length, 2);
      assertStringIncludes(stdout, "wandb sync");
      assertEquals(readMetrics(run).length, 3);
      const [{ name }] = [...Deno.readDirSync(`${run}/wandb`)];
      const id = name.split("-").at(-1);
      const steps = [...readLog(`${run}/wandb/${name}/run-${id}.wandb`)]
        .map(({ data }) => readRecord(data))
        .flatMap((record) => record.kind === "history" ? [new Map(record.items).get("_step")] : []);
      assertEquals(steps, ["1", "2", "3"]);
    }),
});
