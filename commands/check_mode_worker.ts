/** The Worker of `check-mode`: gets the name of a mode, answers with what is wrong with it. */
import { checkContract } from "../losses/contract.ts";
import type { LossMode } from "../losses/loss_mode.ts";
import { loadMode } from "../modes/mod.ts";
import { explainFindings } from "./explain_findings.ts";

/** What `check-mode` prints, and the number of faults. */
export interface CheckAnswer {
  readonly faults: number;
  readonly text: string;
}

/** The answer for a mode that could be loaded from `modes/<name>.ts`. */
export function checkLoaded(mode: LossMode, name: string): CheckAnswer {
  const findings = checkContract(mode, { fileName: name });
  const file = `modes/${name}.ts`;
  if (findings.length === 0) {
    const seeds = !mode.loss
      ? "it decides beta and weights, loss_type says the loss"
      : "it has a loss of its own";
    return { faults: 0, text: `${file} keeps the contract of a loss mode: ${seeds}` };
  }
  const lines = explainFindings(mode, findings);
  const head = `${file} breaks the contract of a loss mode:`;
  return { faults: findings.length, text: [head, "", ...lines].join("\n").trimEnd() };
}

async function answer(name: string): Promise<CheckAnswer> {
  try {
    return checkLoaded(await loadMode(name), name);
  } catch (error) {
    return { faults: 1, text: error instanceof Error ? error.message : String(error) };
  }
}

const scope = globalThis as unknown as {
  onmessage?: (event: MessageEvent<string>) => void;
  postMessage?(answer: CheckAnswer): void;
};
// Tests import this file as well; only a Worker has somewhere to post to.
if (scope.postMessage) {
  scope.onmessage = async ({ data }) => scope.postMessage!(await answer(data));
}
