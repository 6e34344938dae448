/** What a run's `metrics.jsonl` says: values over the steps, and the last evaluation. */

type Line = Readonly<Record<string, unknown>>;

function linesOf(path: string): Line[] {
  return Deno.readTextFileSync(path).split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** Numbers of the last evaluation, and of the last step what a mode says about its beta. */
export function lastEvaluation(path: string): Record<string, number> {
  const lines = linesOf(path);
  const evaluation = lines.findLast((line) => "eval_loss" in line) ?? {};
  const last = lines.at(-1) ?? {};
  const numbers = Object.entries(evaluation).filter(([key]) => key.startsWith("eval_"));
  const own = Object.entries(last).filter(([key]) => /^(dpo|beta_dpo|risk|kl)\//.test(key));
  return Object.fromEntries(
    [...numbers, ...own].filter((entry): entry is [string, number] => typeof entry[1] === "number"),
  );
}

/** [step, value] of a key at every step that has it. */
export function seriesOf(path: string, key: string): [number, number][] {
  return linesOf(path).flatMap((line): [number, number][] =>
    typeof line[key] === "number" && typeof line.step === "number" ? [[line.step, line[key]]] : []
  );
}
