/**
 * Label noise found by the margins of single pairs: a pair that the model, late in training, still ranks
 * against its label is taken for mislabelled. How often that is right is known here, because the world
 * knows which labels it swapped.
 */
import type { WorldPair } from "../world/datasets.ts";

interface MarginLine {
  readonly step: number;
  /** One for all pairs of the step, or one for each; null for a mode without beta. */
  readonly beta_used: number | null | readonly (number | null)[];
  readonly rows: readonly number[];
  readonly sample: readonly number[];
}

/** The last margin of each row in a folder's margin log; undefined where the log has none. */
export function lastMargins(folder: string, count: number): (number | undefined)[] | undefined {
  const log = marginLog(`${folder}/logs`);
  if (log === undefined) return undefined;
  const margins: (number | undefined)[] = Array(count).fill(undefined);
  for (const line of Deno.readTextFileSync(log).split("\n")) {
    if (line === "") continue;
    const { rows, sample } = JSON.parse(line) as MarginLine;
    sample.forEach((margin, i) => margins[rows[i]] = margin);
  }
  return margins;
}

function marginLog(logs: string): string | undefined {
  try {
    const folder = [...Deno.readDirSync(logs)].find(({ name }) => name.endsWith("margins"));
    return folder && `${logs}/${folder.name}/margins.jsonl`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Precision and recall of "margin below 0" as a test for swapped labels, and the area under the curve of
 * recall over false alarms: the chance that a swapped pair's margin is below that of one left alone. Empty
 * where a run has no margins or no label was swapped.
 */
export function noiseFound(
  margins: readonly (number | undefined)[],
  swapped: readonly boolean[],
): Record<string, number> {
  const seen = margins.flatMap((margin, i) =>
    margin === undefined ? [] : [{ margin, swapped: swapped[i] }]
  );
  const bad = seen.filter((pair) => pair.swapped);
  if (bad.length === 0 || bad.length === seen.length) return {};
  const flagged = seen.filter(({ margin }) => margin < 0);
  const right = flagged.filter((pair) => pair.swapped).length;
  const found: Record<string, number> = {
    "noise/recall": right / bad.length,
    "noise/auc": rankArea(seen),
    "noise/flagged": flagged.length / seen.length,
  };
  if (flagged.length > 0) found["noise/precision"] = right / flagged.length;
  return found;
}

/** Mann-Whitney's statistic, equal margins counting half. */
function rankArea(pairs: readonly { margin: number; swapped: boolean }[]): number {
  const sorted = pairs.toSorted((a, b) => a.margin - b.margin);
  let below = 0, area = 0, bad = 0;
  for (let i = 0; i < sorted.length;) {
    let end = i;
    while (end < sorted.length && sorted[end].margin === sorted[i].margin) end++;
    const tied = sorted.slice(i, end);
    const tiedBad = tied.filter((pair) => pair.swapped).length;
    const tiedGood = tied.length - tiedBad;
    area += tiedBad * (below + tiedGood / 2);
    below += tiedGood;
    bad += tiedBad;
    i = end;
  }
  // `area` counts unswapped pairs below swapped ones.
  return 1 - area / (bad * below);
}

/**
 * Mean and deviation of the beta that pairs were trained with, over all pairs of all steps: a metric of a
 * step is the mean over its training calls, in which the spread between decisions is lost.
 */
export function betaSpread(betas: readonly number[]): Record<string, number> {
  if (betas.length === 0) return {};
  const mean = betas.reduce((sum, beta) => sum + beta, 0) / betas.length;
  const squares = betas.reduce((sum, beta) => sum + (beta - mean) ** 2, 0);
  return { "beta/pairs:mean": mean, "beta/pairs:sd": Math.sqrt(squares / betas.length) };
}

/** {@linkcode betaSpread} of a run's folder; empty where margins are not logged. */
export function usedBetas(folder: string): Record<string, number> {
  const log = marginLog(`${folder}/logs`);
  if (log === undefined) return {};
  const lines = Deno.readTextFileSync(log).split("\n").filter((line) => line !== "");
  return betaSpread(lines.flatMap((line) => {
    const { rows, beta_used: used } = JSON.parse(line) as MarginLine;
    const betas = Array.isArray(used) ? used : rows.map(() => used as number | null);
    return betas.filter((beta): beta is number => beta !== null);
  }));
}

/** {@linkcode noiseFound} for a run's folder and the pairs it was trained on. */
export function flaggedNoise(folder: string, pairs: readonly WorldPair[]): Record<string, number> {
  const margins = lastMargins(folder, pairs.length);
  return margins ? noiseFound(margins, pairs.map(({ flipped }) => flipped)) : {};
}
