/** `export`: a model folder in another file format. */
import { parseArgs } from "@std/cli/parse-args";
import { ggufVocabulary } from "../data/gguf_vocabulary.ts";
import { exportGguf } from "../model/gguf/export.ts";
import type { WrittenType } from "../model/gguf/quantize.ts";
import { openModelFolder } from "../model/model_folder.ts";
import { UsageError } from "./exit_code.ts";
import { modelDir, tokenizerFiles } from "./model_source.ts";

const HELP = `Writes a model as a GGUF file, for llama.cpp, Ollama and others.

  deno task export --model runs/beta_dpo_example/final --format gguf --dtype q8_0 --out model.gguf

  --model DIR      a model folder, or a GGUF file to write again
  --format gguf    the format; the only one
  --dtype TYPE     how matrices are stored: f16, q8_0 or f32; default f16. Norms and biases are f32
  --out FILE       the file to write; it must not exist
  --name NAME      the model's name in the file; default the folder's`;

const TYPES: Readonly<Record<string, WrittenType>> = { f16: "F16", q8_0: "Q8_0", f32: "F32" };

/** Runs the command; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  const flags = parseArgs(args, {
    string: ["model", "format", "dtype", "out", "name"],
    boolean: ["help"],
    alias: { h: "help" },
    default: { format: "gguf", dtype: "f16" },
    unknown: (arg) => {
      throw new UsageError(`export: unknown argument "${arg}"; see "deno task export --help"`);
    },
  });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  const { model, out } = flags;
  if (!model) throw new UsageError("export: which model? Give --model DIR");
  if (!out) throw new UsageError("export: which file to write? Give --out FILE");
  if (flags.format !== "gguf") {
    throw new UsageError(`export: unknown format "${flags.format}"; the only one is gguf`);
  }
  const lines = await exportModel({ model, out, dtype: flags.dtype, name: flags.name });
  console.log(lines.join("\n"));
  return 0;
}

/** Writes the file; returns what was written and what to know about it, a line each. */
export async function exportModel(
  { model, out, dtype, name }: {
    readonly model: string;
    readonly out: string;
    readonly dtype: string;
    readonly name?: string;
  },
): Promise<string[]> {
  if (!Object.hasOwn(TYPES, dtype)) {
    throw new UsageError(
      `export: unknown dtype "${dtype}"; supported are ${Object.keys(TYPES).join(", ")}`,
    );
  }
  refuseExisting(out);
  const dir = await modelDir(model, "--model");
  using folder = openModelFolder(dir);
  const { vocabulary, notices } = ggufVocabulary(tokenizerFiles(folder), folder.config.vocabSize);
  const count = exportGguf(folder, {
    out,
    dtype: TYPES[dtype],
    name: name ?? nameOf(dir),
    vocabulary,
  });
  const sizes = `${count} tensors, ${folder.parameterCount} parameters, ` +
    `${Deno.statSync(out).size} bytes`;
  return [...notices, `Wrote ${out}: ${sizes}`];
}

function refuseExisting(path: string): void {
  try {
    Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  throw new UsageError(`export: "${path}" exists already; choose another name, or remove it first`);
}

/** The last part of a path. */
function nameOf(path: string): string {
  return path.split(/[/\\]/).filter((part) => part !== "" && part !== ".").at(-1) ?? "model";
}
