/** Which mode a config selects, in the two spellings it may be written in. */
import type { Problem } from "./explain.ts";
import { type Mapping, sectionOf } from "./read_yaml.ts";
import { BUILT_IN_MODES, KNOWN_KEYS } from "./schema.ts";

/** What {@linkcode resolveMode} found; `mode` is `risk` where there are problems. */
export interface ModeChoice {
  readonly mode: string;
  readonly notices: readonly string[];
  readonly problems: readonly Problem[];
}

/**
 * The selected mode: top-level `mode`, or `beta_dpo.mode_loss`; both and different is a problem. With
 * neither it is `risk`, except that a `beta_dpo` section with no `risk_test` beside it can only mean
 * `beta_dpo`.
 */
export function resolveMode(config: Mapping): ModeChoice {
  const written = config.mode ?? undefined;
  const betaDpo = sectionOf(config, "beta_dpo");
  const switched = typeof betaDpo?.mode_loss === "string"
    ? betaDpo.mode_loss.toLowerCase()
    : undefined;
  if (written !== undefined) {
    const problem = nameProblem(written);
    if (problem) {
      return { mode: "risk", notices: [], problems: [{ path: ["mode"], text: problem }] };
    }
    const mode = written as string;
    if (switched !== undefined && switched !== mode) {
      const text =
        `"mode" is "${mode}" but "beta_dpo.mode_loss" is "${switched}"; keep one of them`;
      return { mode, notices: [], problems: [{ path: ["mode"], text }] };
    }
    return { mode, notices: [], problems: [] };
  }
  if (switched !== undefined) return { mode: switched, notices: [], problems: [] };
  if (betaDpo && !Object.hasOwn(config, "risk_test")) {
    const notice = `The mode is "beta_dpo": the config has a "beta_dpo" section without ` +
      `"mode_loss" and no "risk_test" section`;
    return { mode: "beta_dpo", notices: [notice], problems: [] };
  }
  return { mode: "risk", notices: [], problems: [] };
}

/** Why a value cannot name a mode; the name becomes part of a path, so the rule is narrow. */
function nameProblem(name: unknown): string | undefined {
  if (typeof name !== "string") return "expected the name of a mode";
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(name) || name === "mod") {
    return 'expected the name of a mode: small letters, digits and _, a letter first, not "mod"';
  }
  const taken = KNOWN_KEYS.get("")!;
  if (taken.includes(name) && !BUILT_IN_MODES.includes(name)) {
    return `"${name}" is a key of the config itself and cannot be a mode`;
  }
  return undefined;
}
