/** Finds a loss mode by name. Nothing but modes and this file lives in the folder. */
import type { LossMode } from "../losses/loss_mode.ts";
import { ModeError, reasonOf } from "../losses/mode_error.ts";
import { nearestName } from "../losses/nearest_name.ts";

/** The modes that come with the program; a folder cannot be listed without read permission. */
export const builtInModes: readonly string[] = [
  "alpha_dpo",
  "bco",
  "beta_dpo",
  "cpo",
  "dpo",
  "dpop",
  "epsilon_dpo",
  "kto",
  "margin",
  "orpo",
  "risk",
  "sft",
  "simpo",
  "slic_hf",
  "tr_dpo",
];

function builtInHint(name: string): string {
  const nearest = nearestName(name, builtInModes);
  return (nearest ? `did you mean "${nearest}"? ` : "") +
    `Built in are ${builtInModes.map((mode) => `"${mode}"`).join(", ")}`;
}

/** Whether a value has the members of a mode; their types are checked when the project is. */
function isLossMode(value: unknown): value is LossMode {
  if (typeof value !== "object" || value === null) return false;
  const mode = value as Partial<Record<keyof LossMode, unknown>>;
  return typeof mode.name === "string" && Number.isInteger(mode.version) &&
    typeof mode.options === "object" && mode.options !== null &&
    typeof mode.needs === "function" && typeof mode.init === "function" &&
    typeof mode.decide === "function";
}

async function importMode(name: string): Promise<{ default?: unknown }> {
  try {
    return await import(`./${name}.ts`);
  } catch (cause) {
    // A file that is absent, or came after the start and may not be read, is an unknown name; all
    // else is a fault inside the file.
    const message = cause instanceof Error ? cause.message : String(cause);
    const absent = new RegExp(
      `(Module not found|Requires (read|import) access to) "[^"]*modes/${name}\\.ts"`,
      "i",
    ).test(message);
    throw new ModeError(
      absent
        ? `Unknown mode "${name}": there is no file "modes/${name}.ts"; ${builtInHint(name)}`
        : `Cannot load mode "${name}" from "modes/${name}.ts": ${reasonOf(cause)}`,
      { path: "mode", cause },
    );
  }
}

/**
 * The mode `modes/<name>.ts` exports by default.
 *
 * @throws ModeError for a name that is not lower-case snake_case, no such file, or a default export
 * that is no mode of that name
 */
export async function loadMode(name: string): Promise<LossMode> {
  // Checked first, because the name goes into an import: no path, no package, no address.
  if (!/^[a-z][a-z0-9_]*$/.test(name) || name === "mod") {
    throw new ModeError(
      `"${name}" cannot name a mode: use small letters, digits and "_", and not "mod"; ${
        builtInHint(name)
      }`,
      { path: "mode" },
    );
  }
  const { default: mode } = await importMode(name);
  if (!isLossMode(mode)) {
    throw new ModeError(
      `The default export of "modes/${name}.ts" is no loss mode: export an object with name, version, options, needs, init and decide, as in "modes/dpo.ts"`,
      { path: "mode" },
    );
  }
  if (mode.name !== name) {
    throw new ModeError(
      `The mode in "modes/${name}.ts" calls itself "${mode.name}": name and file must be equal`,
      { path: "mode" },
    );
  }
  return mode;
}
