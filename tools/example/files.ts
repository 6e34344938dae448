/** All files of `examples/` that the generator makes, as names and texts, in the order of writing. */
import { type ExampleOptions, jsonLines, makeExample } from "./datasets.ts";
import { modelFiles } from "./model_files.ts";

/** The files kept in the project; `deno task example` without options makes these bytes. */
export const defaultOptions = {
  seed: 1,
  pairs: 2400,
  heldout: 240,
  sft: 5000,
  flipped: 0,
} satisfies ExampleOptions;

/** Each text of the default data once; held-out pairs are not looked at. */
function tokenizerTexts(): string[] {
  const data = makeExample(defaultOptions);
  return [
    ...data.sft.map((row) => row.prompt + row.completion),
    ...data.pairs.flatMap((row) => [row.chosen, row.rejected]),
  ];
}

/**
 * Paths below the output folder and their texts. The files of the model are always those of the default
 * data, so that data of any seed, size and share of flipped labels fits the model kept in the project.
 *
 * Throws a `RangeError` when more rows are asked for than the world has prompts.
 */
export function exampleFiles(options: ExampleOptions): ReadonlyMap<string, string> {
  const data = makeExample(options);
  const files = new Map<string, string>([
    ["preferences.jsonl", jsonLines(data.pairs)],
    ["preferences_heldout.jsonl", jsonLines(data.heldout)],
    ["sft.jsonl", jsonLines(data.sft)],
  ]);
  for (const [name, content] of Object.entries(modelFiles(tokenizerTexts()))) {
    files.set(`model/${name}`, JSON.stringify(content, null, 2) + "\n");
  }
  return files;
}
