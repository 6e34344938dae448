/**
 * Where names of the Hub lie on this machine, and the commits of them that a run notes in its folder, so
 * that going on with it uses the same weights and rows. Reaches no network.
 */
import { optionalText } from "../hub/cache.ts";
import { HubError } from "../hub/error.ts";

/** File in a run's folder: the commits that the run uses. */
export const PINS = "hub.json";

/** Where a name of the config lies on this machine. */
export interface HubInput {
  /** A folder; of a data set with one file, the file. */
  readonly path: string;
  /** The repository's folder in the cache: what links in `path` point into. */
  readonly repo: string;
  readonly commit: string;
}

/** By name, as the config has it. */
export type HubInputs = Readonly<Record<string, HubInput>>;

/** The pins of a run's folder; none where it has no such file. */
export function readPins(folder: string): Record<string, string> {
  const path = `${folder}/${PINS}`;
  const text = optionalText(path);
  if (text === undefined) return {};
  try {
    const pins = JSON.parse(text);
    const commits = Object.values(pins);
    if (commits.every((commit) => /^[0-9a-f]{40}$/.test(String(commit)))) return pins;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
  throw new HubError(
    `Cannot read "${path}": it is not what training wrote; remove it to go on with what the Hub has ` +
      `now`,
    { exitCode: 2 },
  );
}

/** Notes in a run's folder which commits it uses. */
export function writePins(folder: string, inputs: HubInputs): void {
  const pins = Object.entries(inputs).map(([name, { commit }]) => [name, commit]);
  if (pins.length === 0) return;
  Deno.writeTextFileSync(
    `${folder}/${PINS}`,
    `${JSON.stringify(Object.fromEntries(pins), null, 2)}\n`,
  );
}
