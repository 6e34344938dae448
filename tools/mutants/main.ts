/**
 * Plants one bug after the other in a copy of the project and asks whether the tests that are named
 * for it turn red.
 *
 *     deno task test:mutants [--only TEXT]      mutants whose name contains TEXT
 *
 * Exits with 1 where a mutant survives, where its place is not found, or where the tests are red
 * without any bug. A mutant that does not compile has not been caught by a test and counts as
 * surviving.
 */
import { parseArgs } from "@std/cli/parse-args";
import { fileURLToPath } from "node:url";
import { type Mutant, MUTANTS } from "./list.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** What no test reads. */
const LEFT_OUT = new Set(["node_modules", "runs"]);

type Outcome = "caught" | "survived" | "not found" | "not run";

function copyTree(from: string, to: string): void {
  Deno.mkdirSync(to);
  for (const { name, isDirectory, isFile } of Deno.readDirSync(from)) {
    if (name.startsWith(".") || LEFT_OUT.has(name)) continue;
    if (isDirectory) copyTree(`${from}/${name}`, `${to}/${name}`);
    else if (isFile) Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Runs test files; whether all passed, and how many failed. */
async function runTests(root: string, tests: readonly string[]) {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--no-prompt", "--cached-only", "-A", "--reporter=dot", ...tests],
    cwd: root,
    env: { NO_COLOR: "1", XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR") ?? "/tmp" },
    stdin: "null",
  });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const counts = /(\d+) passed.*\| (\d+) failed/.exec(text);
  return {
    passed: code === 0,
    ran: counts !== null && Number(counts[1]) + Number(counts[2]) > 0,
    failed: Number(counts?.[2] ?? 0),
    text,
  };
}

/** One mutant, planted and taken away again. */
async function tryMutant(root: string, { file, find, replace, tests }: Mutant): Promise<Outcome> {
  const path = `${root}/${file}`, text = Deno.readTextFileSync(path);
  if (text.split(find).length !== 2) return "not found";
  Deno.writeTextFileSync(path, text.replace(find, () => replace));
  try {
    // The first file is the likeliest; the others need not run when it is red.
    for (const test of tests) {
      const result = await runTests(root, [test]);
      if (!result.ran) return "not run";
      if (result.failed > 0) return "caught";
    }
    return "survived";
  } finally {
    Deno.writeTextFileSync(path, text);
  }
}

async function main(): Promise<number> {
  const { only } = parseArgs(Deno.args, { string: ["only"] });
  const mutants = MUTANTS.filter(({ name }) => only === undefined || name.includes(only));
  const folder = Deno.makeTempDirSync(), root = `${folder}/project`;
  try {
    copyTree(ROOT.replace(/[\\/]$/, ""), root);
    const tests = [...new Set(mutants.flatMap((mutant) => mutant.tests))];
    const clean = await runTests(root, tests);
    if (!clean.passed) {
      console.error(`${clean.text}\nThe tests are red without any bug: nothing can be said`);
      return 1;
    }
    let caught = 0;
    for (const mutant of mutants) {
      const started = performance.now();
      const outcome = await tryMutant(root, mutant);
      if (outcome === "caught") caught++;
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      console.log(`${outcome.padEnd(9)} ${mutant.name} (${mutant.file}, ${seconds} s)`);
    }
    console.log(`${caught} of ${mutants.length} planted bugs turned a test red`);
    return caught === mutants.length && mutants.length > 0 ? 0 : 1;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
