/** `modes`: the loss modes and pair losses with their options, read from the plug-ins. */
import type { OptionTable } from "../losses/loss_mode.ts";
import { pairLosses } from "../losses/pair_losses.ts";
import { builtInModes, loadMode } from "../modes/mod.ts";
import { UsageError } from "./exit_code.ts";

function modeNames(): string[] {
  const folder = new URL("../modes/", import.meta.url);
  const names = [...Deno.readDirSync(folder)].map((entry) => entry.name.replace(/\.ts$/, ""));
  return [...new Set([...builtInModes, ...names])].filter((name) => name !== "mod").sort();
}

function optionLines(options: OptionTable): string[] {
  return Object.entries(options).map(([name, spec]) =>
    `    ${name.padEnd(18)} ${String(spec.default).padEnd(14)} ${spec.help}`
  );
}

/** Runs the command; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log("Lists every loss mode and pair loss with its options.\n\n  deno task modes");
    return 0;
  }
  if (args.length > 0) throw new UsageError(`modes: unknown argument "${args[0]}"`);
  console.log("Modes (select with `mode: NAME`; options go into a section of that name)\n");
  for (const name of modeNames()) {
    const mode = await loadMode(name);
    console.log(`  ${name}: ${mode.help}`);
    for (const line of optionLines(mode.options)) console.log(line);
    console.log();
  }
  console.log("Pair losses (select with `loss_type: NAME`)\n");
  for (const loss of pairLosses) {
    console.log(`  ${loss.name}: ${loss.help}`);
    for (const line of optionLines(loss.options)) console.log(line);
  }
  return 0;
}
