/** `merge`: a base model and an adapter as one model folder. */
import { parseArgs } from "@std/cli/parse-args";
import { mergeAdapter, readAdapter } from "../model/adapter_files.ts";
import type { NamedTensor } from "../model/engine.ts";
import { loraModules, loraScale } from "../model/lora.ts";
import { findGgufFile } from "../model/gguf/model_file.ts";
import { openModelFolder, type Precision, writeModelFolder } from "../model/model_folder.ts";
import { UsageError } from "./exit_code.ts";
import { ownFilesOf } from "./model_source.ts";

const HELP = `Merges an adapter into the model it was trained on: W + scale B A.

  deno task merge --adapter runs/my_run/final --out merged

  --adapter DIR       a folder with adapter_config.json and adapter_model.safetensors
  --base DIR          the model it was trained on; without it the one that the adapter names
  --out DIR           the folder to write: a model that needs no adapter
  --precision TYPE    f32, bf16 or fp16; without it f32`;

const PRECISIONS: readonly string[] = ["f32", "bf16", "fp16"] satisfies Precision[];

/** Runs the command; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  const flags = parseArgs(args, {
    string: ["adapter", "base", "out", "precision"],
    boolean: ["help"],
    alias: { h: "help" },
    unknown: (arg) => {
      throw new UsageError(`merge: unknown argument "${arg}"; see "deno task merge --help"`);
    },
  });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  const { adapter: dir, out, precision = "f32" } = flags;
  if (!dir) throw new UsageError("merge: which adapter? Give --adapter DIR");
  if (!out) throw new UsageError("merge: where to? Give --out DIR");
  if (!PRECISIONS.includes(precision)) {
    throw new UsageError(`merge: --precision is "${precision}", not f32, bf16 or fp16`);
  }
  await merge(dir, flags.base ?? baseOf(dir), out, precision as Precision);
  console.log(`Merged model: ${out}`);
  return 0;
}

/** The base model that an adapter names. */
function baseOf(dir: string): string {
  const path = `${dir}/adapter_config.json`;
  let base: unknown;
  try {
    base = JSON.parse(Deno.readTextFileSync(path)).base_model_name_or_path;
  } catch (error) {
    throw new UsageError(`merge: cannot read "${path}": ${(error as Error).message}`);
  }
  if (typeof base === "string" && isModelPlace(base)) return base;
  throw new UsageError(
    `merge: the adapter in "${dir}" was trained on ${JSON.stringify(base)}, which is no folder ` +
      "here; give the model's with --base DIR",
  );
}

/** Whether a folder or a GGUF file is there. */
function isModelPlace(path: string): boolean {
  try {
    const info = Deno.statSync(path);
    return info.isDirectory || info.isFile && findGgufFile(path) !== undefined;
  } catch {
    return false;
  }
}

async function merge(dir: string, base: string, out: string, precision: Precision): Promise<void> {
  using folder = openModelFolder(base);
  const adapter = readAdapter(dir, folder.config), { settings } = adapter;
  adapter.notices.forEach((text) => console.error(`Note: ${text}`));
  const options = {
    scale: loraScale(settings),
    transposed: folder.config.names.transposed === true,
  };
  const modules = new Map(
    loraModules(folder.config, settings).map(({ name }) => [`${name}.weight`, name]),
  );
  function* tensors(): Iterable<NamedTensor> {
    for (const { name, shape } of folder.parameters) {
      const data = folder.readParameter(name), module = modules.get(name);
      yield {
        name,
        shape,
        data: module === undefined ? data : mergeAdapter(data, module, adapter, options),
      };
    }
  }
  await writeModelFolder(out, {
    configText: folder.configText,
    precision,
    tensors: tensors(),
    filesToCopy: folder.companions.map((name) => `${folder.dir}/${name}`),
    extraFiles: ownFilesOf(folder),
  });
}
