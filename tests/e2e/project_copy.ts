/** A copy of the project, to which a test may add a mode. */
import { ROOT } from "./program.ts";

const PARTS = [
  "commands",
  "configs",
  "data",
  "deno.json",
  "deno.lock",
  "examples",
  "gpu",
  "losses",
  "main.ts",
  "model",
  "modes",
  "report",
  "std",
  "trainer",
];

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) await copy(`${from}/${name}`, `${to}/${name}`);
}

/** Copies what a training needs to a new folder, with more files by their path in the project. */
export async function copyProject(
  root: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  await Deno.mkdir(root);
  for (const part of PARTS) await copy(`${ROOT}/${part}`, `${root}/${part}`);
  for (const [path, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${root}/${path}`, text);
  }
}
