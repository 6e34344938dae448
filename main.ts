/** The command line: picks the command, and turns errors into one message and an exit code. */
import { parseArgs } from "@std/cli/parse-args";
import { explainError, UsageError } from "./commands/exit_code.ts";
import { preparePlatform } from "./commands/platform.ts";

const COMMANDS: Record<string, { help: string; load: () => Promise<CommandModule> }> = {
  train: { help: "train a model on preference pairs", load: () => import("./commands/train.ts") },
  eval: { help: "evaluate a model on held-out rows", load: () => import("./commands/eval.ts") },
  modes: {
    help: "list the loss modes and their options",
    load: () => import("./commands/modes.ts"),
  },
};

interface CommandModule {
  /** Runs the command; returns the exit code. */
  run(args: string[]): Promise<number>;
}

function help(): string {
  const lines = Object.entries(COMMANDS).map(([name, { help }]) => `  ${name.padEnd(8)}${help}`);
  return `dynamic-dpo: preference optimization on any GPU

  deno task train --config config_dpo_beta.yaml

Commands (each with --help):
${lines.join("\n")}`;
}

async function main(args: string[]): Promise<number> {
  const { _: rest, help: asked } = parseArgs(args, {
    boolean: ["help"],
    alias: { h: "help" },
    stopEarly: true,
  });
  const [name, ...commandArgs] = rest.map(String);
  if (name === undefined || asked) {
    console.log(help());
    return asked ? 0 : 2;
  }
  const command = COMMANDS[name];
  if (!Object.hasOwn(COMMANDS, name)) {
    throw new UsageError(
      `Unknown command "${name}"; commands are ${Object.keys(COMMANDS).join(", ")}`,
    );
  }
  return await (await command.load()).run(commandArgs);
}

if (import.meta.main) {
  try {
    preparePlatform();
    Deno.exitCode = await main(Deno.args);
  } catch (error) {
    const { message, code } = explainError(error);
    console.error(message);
    Deno.exitCode = code;
  }
}
