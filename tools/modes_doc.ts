/**
 * Writes `docs/modes.md` from the built-in loss modes and pair losses.
 *
 *     deno task docs
 *
 * @module
 */
import {
  changedNeeds,
  type ModeEntry,
  needsInWords,
  type OptionEntry,
  type PairLossEntry,
  pairNeedsInWords,
  readCatalog,
} from "../commands/mode_catalog.ts";
import { builtInModes } from "../modes/mod.ts";

const HEAD = `<!-- deno-fmt-ignore-file -->
<!-- Written by "deno task docs" from the plug-ins: change those, then run it again -->

# Modes and pair losses

A **mode** decides beta and the weight of each pair; a **pair loss** says what is done with them.
Choose the mode with \`mode: NAME\` and set its options in a section of that name; choose the pair loss
with \`loss_type: NAME\`, or several with a list and \`loss_weights\`. A mode with a loss of its own does
not read \`loss_type\`. The same list, with your own modes in it, is \`deno task modes\`. How to add one:
[write your own loss](write_your_own_loss.md).

Every number is float64. In the formulas c and r are the log-ratios of policy and reference of the
chosen and the rejected answer, h = c - r, P is a log-probability under the policy, L the number of
tokens, s the logistic function.
`;

/** Text for a cell of a table, where a bar would end it. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function optionTable(options: readonly OptionEntry[]): string[] {
  if (options.length === 0) return ["No options.", ""];
  const rows = options.map((option) => {
    const kind = option.range && option.type === "string"
      ? option.range
      : `${option.type} ${option.range}`.trimEnd();
    const also = option.from.map((path) => `\`${path}\``).join(", ");
    const written = option.default === "" ? '""' : String(option.default);
    const cells = [`\`${option.name}\``, kind, written, option.help, also];
    return `| ${cells.map(cell).join(" | ")} |`;
  });
  return [
    "| option | values | default | meaning | also written |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    "",
  ];
}

function papers(urls: readonly string[]): string[] {
  return urls.length > 0 ? [`Paper: ${urls.map((url) => `<${url}>`).join(", ")}`, ""] : [];
}

function modeSection(mode: ModeEntry): string[] {
  return [
    `### ${mode.name}`,
    "",
    mode.help,
    "",
    ...papers(mode.papers),
    `- needs: ${Object.values(needsInWords(mode.needs)).join("; ")}`,
    ...mode.otherNeeds.map(({ option, value, needs }) =>
      `- with \`${option}: ${value}\`: ${changedNeeds(mode.needs, needs)}`
    ),
    `- loss: ${mode.ownLoss ? "its own" : "the pair losses of `loss_type`"}`,
    `- version of its state: ${mode.version}`,
    "",
    ...optionTable(mode.options),
  ];
}

function pairLossSection(loss: PairLossEntry): string[] {
  return [
    `### ${loss.name}`,
    "",
    `${loss.help}. Needs ${pairNeedsInWords(loss.needs)}.`,
    "",
    ...papers(loss.papers),
    ...optionTable(loss.options),
  ];
}

/**
 * The whole page, from the modes that come with the program.
 *
 * @throws Error when one of them cannot be loaded
 */
export async function modesPage(): Promise<string> {
  const { modes, broken, pairLosses } = await readCatalog([...builtInModes].sort());
  if (broken.length > 0) throw new Error(`Cannot list the modes: ${broken[0].error}`);
  return [
    HEAD,
    "## Modes",
    "",
    ...modes.flatMap(modeSection),
    "## Pair losses",
    "",
    "Their options are written at the top level of the config, beside `loss_type`.",
    "",
    ...pairLosses.flatMap(pairLossSection),
  ].join("\n").trimEnd() + "\n";
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("../docs/modes.md", import.meta.url), await modesPage());
  console.log("Wrote docs/modes.md");
}
