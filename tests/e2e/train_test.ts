// The main job from the command line: files, determinism, resuming, evaluation.
import { assertAlmostEquals, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import {
  finish,
  hashes,
  MAY_RUN,
  NEEDS,
  program,
  readMetrics,
  start,
  withFolder,
} from "./program.ts";

/** Fewer rows, for training and for evaluation. */
const FEW_ROWS = [
  "--set",
  "dataset.subset=train[:160]",
  "--set",
  "dataset.validation_name=null",
  "--set",
  "eval_at_start=false",
];

const SHORT = [
  ...FEW_ROWS,
  "--set",
  "max_steps=6",
  "--set",
  "dpo_training.save_steps=2",
  "--set",
  "dpo_training.eval_steps=3",
  "--set",
  "samples.max_new_tokens=8",
];

function train(config: string, folder: string, ...more: string[]): string[] {
  return ["train", "--config", config, "--output_dir", folder, ...SHORT, ...more];
}

const FILES = ["metrics.jsonl", "final/model.safetensors", "final/mode_state.json"];

Deno.test({
  name: `train writes a whole run that eval agrees with ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const run = `${folder}/run`;
      const faster = ["--set", "dpo_training.learning_rate=1e-3"];
      const { code, stdout, stderr } = await program(
        train("config_dpo_beta.yaml", run, ...faster),
      );
      assertEquals([code, stderr.includes("Error")], [0, false], stderr);
      assertStringIncludes(stdout, "Finished 6 steps");
      const metrics = readMetrics(run).filter((line) => line.step > 0);
      assertEquals(metrics.map((line) => line.step), [1, 2, 3, 4, 5, 6]);
      assertAlmostEquals(metrics[0].loss, Math.LN2, 1e-12);
      assertLess(metrics.at(-1)!.eval_loss, metrics[2].eval_loss);
      assertLess(metrics[2].eval_loss, Math.LN2);
      const margins = Deno.readTextFileSync(`${run}/logs/beta_dpo_margins/margins.jsonl`);
      assertEquals(margins.trim().split("\n").length, 6);

      const evaluated = await program([
        "eval",
        "--config",
        "config_dpo_beta.yaml",
        "--model",
        `${run}/final`,
        ...FEW_ROWS,
        "--json",
      ]);
      assertEquals(evaluated.code, 0, evaluated.stderr);
      const { eval_loss: loss } = JSON.parse(evaluated.stdout);
      const shown = /Evaluation of the written model: loss (?:\S+ -> )?(\S+)/.exec(stdout)![1];
      assertAlmostEquals(loss, Number(shown), 1e-4);
    }),
});

Deno.test({
  name: `the same config gives the same bytes, interrupted and resumed or not ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const whole = await program(train("config_dpo.yaml", `${folder}/whole`));
      assertEquals(whole.code, 0, whole.stderr);

      const child = start(train("config_dpo.yaml", `${folder}/parts`));
      // Killed as soon as the first checkpoint is whole.
      while (!exists(`${folder}/parts/checkpoints/step-000002`)) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      child.kill("SIGKILL");
      await finish(child);
      // No byte depends on which activations are kept.
      const again = ["--resume", "--set", "gradient_checkpointing=true"];
      const rest = await program(train("config_dpo.yaml", `${folder}/parts`, ...again));
      assertEquals(rest.code, 0, rest.stderr);
      assertStringIncludes(rest.stdout, "Resuming after step");
      assertStringIncludes(
        rest.stdout,
        "4 of 4 layers compute activations again in the backward pass (4: everything)",
      );
      assertEquals(
        await hashes(`${folder}/parts`, FILES),
        await hashes(`${folder}/whole`, FILES),
      );
    }),
});

Deno.test({
  name: `a signal ends the run after its step with a checkpoint and the signal's code ${NEEDS}`,
  ignore: !MAY_RUN || Deno.build.os === "windows",
  fn: () =>
    withFolder(async (folder) => {
      const run = `${folder}/run`;
      const child = start(
        train("config_dpo.yaml", run, "--set", "max_steps=500", "--set", "dpo_training.epochs=99"),
      );
      while (!exists(`${run}/checkpoints/step-000002`)) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      child.kill("SIGTERM");
      const { code, stdout } = await finish(child);
      assertEquals(code, 143);
      const stopped = Number(/Stopped by a signal after step (\d+)/.exec(stdout)![1]);
      assertEquals(readMetrics(run).at(-1)!.step, stopped);
      const step = String(stopped).padStart(6, "0");
      assertEquals(exists(`${run}/checkpoints/step-${step}/manifest.json`), true);
    }),
});

Deno.test({
  name: `the bytes of a risk run do not depend on a beta_dpo section ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const few = ["--set", "max_steps=3"];
      const plain = await program(train("config_dpo.yaml", `${folder}/plain`, ...few));
      assertEquals(plain.code, 0, plain.stderr);
      const more = [...few, "--set", "beta_dpo.mode_loss=risk", "--set", "beta_dpo.rho=0.5"];
      const beside = await program(train("config_dpo.yaml", `${folder}/beside`, ...more));
      assertEquals(beside.code, 0, beside.stderr);
      assertEquals(
        await hashes(`${folder}/beside`, FILES),
        await hashes(`${folder}/plain`, FILES),
      );
    }),
});

Deno.test({
  name: `storage_dtype: float16 reaches the engine, and is said ${NEEDS}`,
  ignore: !MAY_RUN,
  fn: () =>
    withFolder(async (folder) => {
      const changes = ["max_steps=2", "storage_dtype=float16", "mode=dpo"];
      const sets = changes.flatMap((change) => ["--set", change]);
      const { code, stdout, stderr } = await program(train("config_dpo.yaml", folder, ...sets));
      assertEquals(code, 0, stderr);
      assertStringIncludes(stdout, "activations and the weights of products are stored as f16");
      const state = Deno.readTextFileSync(`${folder}/checkpoints/step-000002/state.json`);
      assertStringIncludes(JSON.parse(state).engine, "f16 storage");
      // Policy and reference are rounded alike.
      assertEquals(readMetrics(folder).find(({ step }) => step === 1)!.loss, Math.LN2);
    }),
});

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
