/**
 * `deno task example`: makes everything in `examples/` again.
 *
 *     deno task example [--seed N] [--pairs N] [--heldout N] [--sft N] [--flipped SHARE] [--out FOLDER]
 */
import { parseArgs } from "@std/cli";
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
): { readonly options: ExampleOptions; readonly out: string } {
  const parsed = parseArgs([...args], {
    string: [...numberNames, "out"],
    default: { out: "examples" },
    unknown: (argument) => {
      const known = [...numberNames, "out"].map((name) => `--${name}`).join(", ");
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
  return { options, out: parsed.out };
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

/** The whole program; returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const { options, out } = parseOptions(args);
    await writeFiles(exampleFiles(options), out);
    // The place of the first stage: train `${out}/model` from random weights with the `sft` mode on
    // `${out}/sft.jsonl`, and write its `model.safetensors` beside the files above.
    return 0;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(error.message);
    return 2;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
