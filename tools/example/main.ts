/**
 * `deno task example`: makes everything in `examples/` again.
 *
 *     deno task example [--seed N] [--pairs N] [--heldout N] [--sft N] [--flipped SHARE]
 *                       [--out FOLDER] [--data-only]
 *
 * Data and tokenizer are drawn in seconds; training the model on them takes some minutes and is left
 * out with `--data-only`.
 */
import { parseArgs } from "@std/cli";
import { preparePlatform } from "../../commands/platform.ts";
import { run as train } from "../../commands/train.ts";
import type { ExampleOptions } from "./datasets.ts";
import { defaultOptions, exampleFiles } from "./files.ts";

const numberNames = ["seed", "pairs", "heldout", "sft", "flipped"] as const;

/**
 * Options from the command line, and the folder to write to.
 *
 * Throws a `RangeError` that names the argument when one is unknown or out of range.
 */
export function parseOptions(
  args: readonly string[],
): { readonly options: ExampleOptions; readonly out: string; readonly dataOnly: boolean } {
  const parsed = parseArgs([...args], {
    string: [...numberNames, "out"],
    boolean: ["data-only"],
    default: { out: "examples" },
    unknown: (argument) => {
      const known = [...numberNames, "out", "data-only"].map((name) => `--${name}`).join(", ");
      throw new RangeError(`Making the example: unknown argument "${argument}"; use ${known}`);
    },
  });
  const options = { ...defaultOptions };
  for (const name of numberNames) {
    const text = parsed[name];
    if (text === undefined) continue;
    const value = text.trim() === "" ? NaN : Number(text);
    const [allowed, wanted] = name === "flipped"
      ? [value >= 0 && value <= 1, "a share from 0 to 1"]
      : [Number.isSafeInteger(value) && value >= 0, "a whole number from 0 on"];
    if (!allowed) throw new RangeError(`Making the example: --${name} "${text}" is not ${wanted}`);
    options[name] = value;
  }
  return { options, out: parsed.out, dataOnly: parsed["data-only"] };
}

/** Writes the files of `exampleFiles` below `out` and prints what was written. */
async function writeFiles(files: ReadonlyMap<string, string>, out: string): Promise<void> {
  await Deno.mkdir(`${out}/model`, { recursive: true });
  for (const [name, text] of files) {
    await Deno.writeTextFile(`${out}/${name}`, text);
    const rows = name.endsWith(".jsonl") ? `, ${text.split("\n").length - 1} rows` : "";
    console.log(`${out}/${name}: ${new TextEncoder().encode(text).length} bytes${rows}`);
  }
}

/** The first stage: trains the model below `out` from random weights, with `config_sft.yaml`. */
async function trainModel(out: string): Promise<number> {
  const run = await Deno.makeTempDir();
  try {
    const code = await train([
      "--config=config_sft.yaml",
      `--output_dir=${run}`,
      `--set=policy_name=${out}/model`,
      `--set=dataset.dataset_name=${out}/sft.jsonl`,
    ]);
    if (code === 0) {
      await Deno.copyFile(`${run}/final/model.safetensors`, `${out}/model/model.safetensors`);
      console.log(`${out}/model/model.safetensors: the trained weights`);
    }
    return code;
  } finally {
    await Deno.remove(run, { recursive: true });
  }
}

/** The whole program; returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const { options, out, dataOnly } = parseOptions(args);
    await writeFiles(exampleFiles(options), out);
    return dataOnly ? 0 : await trainModel(out);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(error.message);
    return 2;
  }
}

if (import.meta.main) {
  preparePlatform();
  Deno.exit(await main(Deno.args));
}
