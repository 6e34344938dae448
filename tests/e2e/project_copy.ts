/** A copy of the project in which a test may add modes, run with the flags of `deno task train`. */
import { networkPermission } from "../../tools/network.ts";
import { finish, type Finished, ROOT, withFolder } from "./program.ts";

const PARTS = [
  "commands",
  "configs",
  "data",
  "deno.json",
  "deno.lock",
  "examples",
  "gpu",
  "hub",
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

/** Gives `work` the folder of a copy of the project, which is removed at the end. */
export async function withProject(work: (root: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const root = `${folder}/project`;
    await Deno.mkdir(root);
    for (const part of PARTS) await copy(`${ROOT}/${part}`, `${root}/${part}`);
    await work(root);
  });
}

/** What `deno task train` gives to `deno run`, without quotes; what a tool prints, as it prints it. */
function trainFlags(root: string): string[] {
  const { command } = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`)).tasks.train;
  const [, flags] = /deno run (.*) main\.ts train$/.exec(command)!;
  const network = networkPermission((name) => ({ WANDB_MODE: "disabled" })[name]);
  return flags.replace(/\$\(.* tools\/network\.ts\)/, network).split(" ").map((flag: string) =>
    flag.replace(/^'(.*)'$/, "$1")
  );
}

/** Runs `train` in a copy of the project with exactly the flags of its task. */
export async function trainTask(root: string, args: readonly string[]): Promise<Finished> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...trainFlags(root), "main.ts", "train", ...args],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return await finish(child);
}
