/** The command line: picks the command, and turns errors into one message and an exit code. */
import { parseArgs } from "@std/cli/parse-args";
import { explainError, UsageError } from "./commands/exit_code.ts";
import { preparePlatform } from "./commands/platform.ts";

interface Command {
  readonly help: string;
  /** True when it asks for a GPU, for which the environment must be set first. */
  readonly gpu?: boolean;
  load(): Promise<CommandModule>;
}

const COMMANDS: Record<string, Command> = {
  train: {
    help: "train a model on preference pairs",
    gpu: true,
    load: () => import("./commands/train.ts"),
  },
  eval: {
    help: "evaluate a model on held-out rows",
    gpu: true,
    load: () => import("./commands/eval.ts"),
  },
  merge: {
    help: "merge an adapter into its base model",
    load: () => import("./commands/merge.ts"),
  },
  doctor: {
    help: "read everything and report on it before any training",
    gpu: true,
    load: () => import("./commands/doctor.ts"),
  },
  report: {
    help: "write the page of a run: report.html",
    load: () => import("./commands/report.ts"),
  },
  compare: {
    help: "compare runs: a table, and a page that overlays them",
    load: () => import("./commands/compare.ts"),
  },
  pairs: {
    help: "look at single pairs of a run: which are labelled wrong?",
    load: () => import("./commands/pairs.ts"),
  },
  export: {
    help: "write a model as a GGUF file",
    load: () => import("./commands/export.ts"),
  },
  modes: {
    help: "list the loss modes and pair losses with their options",
    load: () => import("./commands/modes.ts"),
  },
  "new-mode": {
    help: "write a loss mode to start from",
    load: () => import("./commands/new_mode.ts"),
  },
  "check-mode": {
    help: "check a loss mode against the contract",
    load: () => import("./commands/check_mode.ts"),
  },
};

interface CommandModule {
  /** Runs the command; returns the exit code. */
  run(args: string[]): Promise<number>;
}

function help(): string {
  const lines = Object.entries(COMMANDS).map(([name, { help }]) => `  ${name.padEnd(12)}${help}`);
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
  if (command.gpu) preparePlatform();
  return await (await command.load()).run(commandArgs);
}

if (import.meta.main) {
  try {
    // At once: a mode that never returns would keep its Worker, and that the process, for ever.
    Deno.exit(await main(Deno.args));
  } catch (error) {
    const { message, code } = explainError(error);
    console.error(message);
    Deno.exit(code);
  }
}
