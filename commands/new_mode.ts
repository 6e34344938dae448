/** `new-mode`: writes a commented, working loss mode to start from. */
import { parseArgs } from "@std/cli/parse-args";
import { builtInModes } from "../modes/mod.ts";
import { KNOWN_KEYS } from "../trainer/config/schema.ts";
import { UsageError } from "./exit_code.ts";
import template from "./mode_template.ts" with { type: "text" };

const HELP = `Writes modes/NAME.ts, a commented loss mode that works as it is.

  deno task new-mode NAME

NAME small letters, digits and _, a letter first, e.g. my_mode`;

const MODES = new URL("../modes/", import.meta.url);

/**
 * Why a name cannot be that of a new mode; undefined when it can. The name becomes part of a path and
 * the name of a section of the config.
 */
export function newNameProblem(name: string): string | undefined {
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(name) || name === "mod") {
    return `"${name}" cannot name a mode: use small letters, digits and "_", a letter first, at most 64, and not "mod"`;
  }
  if (builtInModes.includes(name)) {
    return `"${name}" is built in: choose another name`;
  }
  if (KNOWN_KEYS.get("")!.includes(name)) {
    return `"${name}" cannot name a mode: it is a key of the config itself`;
  }
  return undefined;
}

/** The text of a new mode's file. */
export function newModeText(name: string): string {
  const camel = name.replace(/_+([a-z0-9])/g, (_, letter) => letter.toUpperCase())
    .replace(/_+$/, "");
  // A name may be a word of the language, such as "new" or "class".
  const variable = /[A-Z]/.test(camel) ? camel : `${camel}Mode`;
  return template.replaceAll("my_mode", name)
    .replaceAll("myMode", variable);
}

function nextSteps(name: string): string {
  return `Wrote modes/${name}.ts: DPO at a fixed beta, commented, working as it is. Next:

  1. Change it to your loss
  2. deno task check-mode ${name}
  3. deno check modes/${name}.ts
  4. Select it in a config:      mode: ${name}
     and set its options there:  ${name}:
                                   beta: 0.2
  5. deno task train --config YOUR_CONFIG.yaml

docs/write_your_own_loss.md goes through it with an example`;
}

/** Runs the command; returns the exit code. */
export async function run(args: string[], folder: URL = MODES): Promise<number> {
  const options = parseArgs(args, {
    boolean: ["help"],
    alias: { h: "help" },
    unknown: (argument, key) => {
      if (key === undefined) return;
      throw new UsageError(`new-mode: unknown option "${argument}"`);
    },
  });
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options._.length !== 1) {
    throw new UsageError("new-mode: give one name, as in: deno task new-mode my_mode");
  }
  const name = String(options._[0]);
  const problem = newNameProblem(name);
  if (problem) throw new UsageError(problem);
  try {
    await Deno.writeTextFile(new URL(`${name}.ts`, folder), newModeText(name), { createNew: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new UsageError(
      `"modes/${name}.ts" is there already and stays as it is: choose another name, or remove the file first`,
    );
  }
  console.log(nextSteps(name));
  return 0;
}
