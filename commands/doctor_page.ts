/** The doctor's report as a page of text. */
import type { DataReport } from "../data/load.ts";
import type { Findings } from "./doctor_findings.ts";
import { rowLines, type ShownRow } from "./doctor_tokens.ts";

/** What was found in one dataset. */
export interface DatasetExam {
  readonly report: DataReport;
  readonly findings: Findings;
}

/** Everything the doctor says; printed as it is with `--json`. */
export interface Diagnosis {
  readonly config: string;
  readonly mode: string;
  /** Whether training could begin. */
  readonly trainable: boolean;
  /** Why not. */
  readonly problems: readonly string[];
  /** What does not keep a run from starting, but should be looked at. */
  readonly warnings: readonly string[];
  readonly train?: DatasetExam;
  readonly validation?: DatasetExam;
  /** Mean tokens of an optimizer step; prompts count for each answer. */
  readonly tokensPerStep?: number;
  /** The plan that training would print; the part on memory needs a GPU. */
  readonly plan?: readonly string[];
  readonly rows?: readonly ShownRow[];
}

/** The page; `color` allows ANSI colours. */
export function pageLines(diagnosis: Diagnosis, color: boolean): string[] {
  const { config, mode, trainable, problems, warnings, plan, tokensPerStep, rows } = diagnosis;
  const lines = [`${config}, mode ${mode}`, ""];
  if (plan) lines.push(...plan);
  if (tokensPerStep !== undefined) {
    lines.push(`Tokens a step: ${Math.round(tokensPerStep)} on average`);
  }
  for (const [title, exam] of examsOf(diagnosis)) lines.push("", title, ...examLines(exam));
  if (rows) {
    lines.push("", "Rows as the model sees them; [scored] tokens are those that are learned");
    rows.forEach((row) => lines.push("", ...rowLines(row, color)));
  }
  if (warnings.length > 0) lines.push("", "Worth a look", ...warnings.map((text) => `  ${text}`));
  if (problems.length > 0) lines.push("", "Problems", ...problems.map((text) => `  ${text}`));
  lines.push("", trainable ? "Ready to train" : "Not ready to train");
  return lines;
}

/** The datasets that were looked at, with their titles. */
export function examsOf({ train, validation }: Diagnosis): [string, DatasetExam][] {
  const all: [string, DatasetExam | undefined][] = [["Training rows", train], [
    "Validation rows",
    validation,
  ]];
  return all.filter((entry): entry is [string, DatasetExam] => entry[1] !== undefined);
}

function examLines({ report, findings }: DatasetExam): string[] {
  const { duplicates, lengths, truncation } = findings;
  const lines = [
    fact("dropped", share(report.rows - report.kept, report.rows)),
    fact("repeated rows", share(duplicates.rows, report.kept)),
    fact("repeated prompts", share(duplicates.prompts, report.kept)),
  ];
  if (lengths) {
    lines.push(
      fact("reversed pairs", share(duplicates.reversed, report.kept)),
      fact("identical answers", share(findings.identical, lengths.pairs)),
      fact(
        "chosen is longer",
        `${share(lengths.chosenLonger, lengths.pairs)}; as long: ${lengths.sameLength}; ` +
          `mean ${lengths.meanChosen.toFixed(1)} tokens, rejected ` +
          lengths.meanRejected.toFixed(1),
      ),
    );
  }
  lines.push(
    fact("merged borders", share(findings.mergedBorders, report.kept)),
    fact(
      "BOS and EOS",
      `${findings.bosTwice} rows with two BOS, ${findings.bosMissing} with none, ` +
        `${findings.eosInside} answers with EOS inside`,
    ),
    fact(
      "cut",
      `${share(truncation.rows, report.kept)}; ${truncation.tokens} tokens lost, at most ` +
        `${truncation.most} of one sequence; ${truncation.endsLost} answers lost their end`,
    ),
  );
  return lines;
}

function fact(name: string, text: string): string {
  return `  ${name.padEnd(20)}${text}`;
}

function share(count: number, whole: number): string {
  return `${count} of ${whole} (${(100 * count / Math.max(1, whole)).toFixed(1)} %)`;
}
