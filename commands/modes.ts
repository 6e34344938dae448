/** `modes`: the loss modes and pair losses with their options, read from the plug-ins. */
import { parseArgs } from "@std/cli/parse-args";
import { builtInModes } from "../modes/mod.ts";
import { UsageError } from "./exit_code.ts";
import {
  type Catalog,
  changedNeeds,
  type ModeEntry,
  needsInWords,
  type OptionEntry,
  pairNeedsInWords,
  readCatalog,
} from "./mode_catalog.ts";

const HELP = `Lists every loss mode and pair loss: what it does, what it needs, its options.

  deno task modes [NAME...] [--json]

NAME   only these modes and pair losses
--json the same as JSON, for other programs`;

const WIDTH = 100;

/** Built-in modes, and whatever else lies in the folder. */
function modeNames(): string[] {
  const folder = new URL("../modes/", import.meta.url);
  const names = [...Deno.readDirSync(folder)].map((entry) => entry.name)
    .filter((name) => name.endsWith(".ts")).map((name) => name.slice(0, -3));
  return [...new Set([...builtInModes, ...names])].filter((name) => name !== "mod").sort();
}

/** Words in lines of at most 100 columns; the first begins with `first`, the others with blanks. */
function wrap(text: string, first: string): string[] {
  const lines: string[] = [];
  const indent = " ".repeat(first.length);
  let line = first;
  let empty = true;
  for (const word of text.split(" ")) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = indent + word;
    } else {
      line += (empty ? "" : " ") + word;
    }
    empty = false;
  }
  return [...lines, line];
}

function optionLines(options: readonly OptionEntry[]): string[] {
  return options.flatMap((option) => {
    const kind = option.range && option.type === "string" ? "one of" : option.type;
    const values = `${kind} ${option.range}`.trimEnd() +
      `, default ${option.default === "" ? '""' : option.default}`;
    const also = option.from.length > 0 ? ` (also ${option.from.join(", ")})` : "";
    return [
      ...wrap(values, `      ${option.name.padEnd(24)} `),
      ...wrap(option.help + also, " ".repeat(10)),
    ];
  });
}

function modeLines(mode: ModeEntry): string[] {
  const needs = Object.values(needsInWords(mode.needs)).join("; ");
  const loss = mode.ownLoss ? "its own; loss_type is not read" : "the pair losses of loss_type";
  return [
    `  ${mode.name} (version ${mode.version})`,
    ...wrap(mode.help, "    "),
    ...wrap(needs, "    needs  "),
    ...mode.otherNeeds.flatMap(({ option, value, needs }) =>
      wrap(`with ${option}: ${value}: ${changedNeeds(mode.needs, needs)}`, "           ")
    ),
    ...wrap(loss, "    loss   "),
    ...mode.options.length > 0 ? ["    options", ...optionLines(mode.options)] : [],
    "",
  ];
}

/** The catalogue as text of at most 100 columns. */
export function catalogText({ modes, broken, pairLosses }: Catalog): string {
  const lines: string[] = [];
  if (modes.length + broken.length > 0) {
    lines.push("Modes: choose with `mode: NAME`; options stand in a section of that name", "");
  }
  for (const mode of modes) lines.push(...modeLines(mode));
  for (const { name, error } of broken) {
    lines.push(`  ${name} cannot be used`, ...wrap(error.replaceAll("\n", " "), "    "), "");
  }
  if (pairLosses.length > 0) {
    lines.push(
      "Pair losses: choose with `loss_type: NAME`, or a list of them with `loss_weights`; options",
      "stand beside loss_type",
      "c and r: log-ratio of policy and reference of the chosen and the rejected answer; h = c - r;",
      "P: log-probability under the policy; L: number of tokens; s: the logistic function",
      "",
    );
  }
  for (const loss of pairLosses) {
    lines.push(
      `  ${loss.name}`,
      ...wrap(loss.help, "    "),
      ...wrap(pairNeedsInWords(loss.needs), "    needs  "),
      ...loss.options.length > 0 ? ["    options", ...optionLines(loss.options)] : [],
      "",
    );
  }
  return lines.join("\n").trimEnd();
}

/** Only the entries of these names; all of them where there are none. */
function select(catalog: Catalog, names: readonly string[]): Catalog {
  if (names.length === 0) return catalog;
  const wanted = <T extends { name: string }>(entries: readonly T[]) =>
    entries.filter(({ name }) => names.includes(name));
  const { modes, broken, pairLosses } = catalog;
  const known = [...modes, ...broken, ...pairLosses].map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(
      `There is no mode or pair loss "${unknown}": known are ${[...new Set(known)].join(", ")}`,
    );
  }
  return { modes: wanted(modes), broken: wanted(broken), pairLosses: wanted(pairLosses) };
}

/** Runs the command; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  const options = parseArgs(args, {
    boolean: ["help", "json"],
    alias: { h: "help" },
    unknown: (argument, key) => {
      if (key === undefined) return;
      throw new UsageError(`modes: unknown option "${argument}"; see "deno task modes --help"`);
    },
  });
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const catalog = select(await readCatalog(modeNames()), options._.map(String));
  console.log(options.json ? JSON.stringify(catalog, null, 2) : catalogText(catalog));
  return 0;
}
