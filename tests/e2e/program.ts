/** Runs the program as a user does, in a process of its own. */
import { fromFileUrl } from "./paths.ts";

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** True when processes may be started and files written; the reason stands in the test's name. */
export const MAY_RUN = (await Promise.all(
  (["run", "read", "write"] as const).map((name) => Deno.permissions.query({ name })),
)).every(({ state }) => state === "granted");

/** The suffix of a test's name that says why it may be left out. */
export const NEEDS = "(needs --allow-run, --allow-read and --allow-write)";

export interface ProgramOptions {
  readonly root?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A command of the program, not waited for; `root` is another copy of the project. */
export function start(args: readonly string[], options: ProgramOptions = {}) {
  const root = options.root ?? ROOT;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--cached-only", `${root}/main.ts`, ...args],
    cwd: options.cwd ?? root,
    // A key in the environment of the tests must not send their runs anywhere.
    env: { NO_COLOR: "1", WANDB_MODE: "disabled", ...options.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

export async function finish(child: Deno.ChildProcess): Promise<Finished> {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Runs a command to its end. */
export async function program(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Finished> {
  return await finish(start(args, options));
}

/** The lines of a run's metrics, parsed. */
export function readMetrics(run: string): Record<string, number>[] {
  return Deno.readTextFileSync(`${run}/metrics.jsonl`).trim().split("\n").map((l) => JSON.parse(l));
}

/** sha256 of files of a run, by name. */
export async function hashes(run: string, files: readonly string[]) {
  const result: Record<string, string> = {};
  for (const file of files) {
    const digest = await crypto.subtle.digest("SHA-256", Deno.readFileSync(`${run}/${file}`));
    result[file] = new Uint8Array(digest).toHex();
  }
  return result;
}

/** A folder that is removed when the test ends. */
export async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
