/**
 * `deno task world`: makes everything in `examples/world/` again: the model that all sweeps start from,
 * held-out pairs, and a few training pairs to read.
 *
 *     deno task world [--out FOLDER] [--data-only]
 */
import { parseArgs } from "@std/cli";
import { preparePlatform } from "../../commands/platform.ts";
import { run as train } from "../../commands/train.ts";
import { jsonLines } from "../example/datasets.ts";
import { modelFiles } from "../example/model_files.ts";
import { defaultWorld, firstStageRows, heldOutPairs, trainingPairs } from "./datasets.ts";

/** A Llama of about 100,000 parameters: a step on 32 pairs takes a fraction of a second on two cores. */
const WORLD_SHAPE = {
  vocabulary: 336,
  maxLength: 64,
  hidden: 64,
  intermediate: 128,
  layers: 2,
  heads: 4,
  keyValueHeads: 4,
};

/** Rows of the first stage: enough that the model cannot learn them by heart. */
const FIRST_STAGE_ROWS = 40_000;
/** Held-out pairs of each set kept as files. */
const HELD_OUT_PAIRS = 256;
/** Rows kept to be read by people. */
const SHOWN_ROWS = 100;

/** Files below the output folder that are drawn, not trained. */
export function worldFiles(): Map<string, string> {
  const files = new Map([
    ["pairs_shown.jsonl", jsonLines(trainingPairs({ ...defaultWorld, pairs: SHOWN_ROWS }))],
    ["validation.jsonl", jsonLines(heldOutPairs("validation", HELD_OUT_PAIRS))],
    ["test.jsonl", jsonLines(heldOutPairs("test", HELD_OUT_PAIRS))],
  ]);
  const texts = firstStageRows(FIRST_STAGE_ROWS).map((row) => row.prompt + row.completion);
  for (const [name, content] of Object.entries(modelFiles(texts, WORLD_SHAPE))) {
    files.set(`model/${name}`, JSON.stringify(content, null, 2) + "\n");
  }
  return files;
}

/** The first stage, from random weights. */
async function trainModel(out: string): Promise<number> {
  const run = await Deno.makeTempDir();
  try {
    // Rows for the tokenizer and the first stage come from a seed in seconds: they are not kept.
    await Deno.writeTextFile(`${run}/sft.jsonl`, jsonLines(firstStageRows(FIRST_STAGE_ROWS)));
    const code = await train([
      "--config=config_sft.yaml",
      `--output_dir=${run}/run`,
      `--set=policy_name=${out}/model`,
      `--set=dataset.dataset_name=${run}/sft.jsonl`,
      "--set=dataset.val_ratio=0.01",
      "--set=sft_training.batch_size=64",
      "--set=sft_training.eval_batch_size=64",
      "--set=sft_training.epochs=4",
      "--set=sft_training.max_length=64",
      "--set=sft_training.eval_steps=500",
    ]);
    if (code !== 0) return code;
    await Deno.copyFile(`${run}/run/final/model.safetensors`, `${out}/model/model.safetensors`);
    console.log(`${out}/model/model.safetensors: the trained weights`);
    return 0;
  } finally {
    await Deno.remove(run, { recursive: true });
  }
}

async function main(args: readonly string[]): Promise<number> {
  const { out, "data-only": dataOnly } = parseArgs([...args], {
    string: ["out"],
    boolean: ["data-only"],
    default: { out: "examples/world" },
    unknown: (argument) => {
      console.error(`Making the world: unknown argument "${argument}"; use --out, --data-only`);
      Deno.exit(2);
    },
  });
  await Deno.mkdir(`${out}/model`, { recursive: true });
  for (const [name, text] of worldFiles()) {
    await Deno.writeTextFile(`${out}/${name}`, text);
    console.log(`${out}/${name}: ${text.length} bytes`);
  }
  return dataOnly ? 0 : await trainModel(out);
}

if (import.meta.main) {
  preparePlatform();
  Deno.exit(await main(Deno.args));
}
