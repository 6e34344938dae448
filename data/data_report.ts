/** The account of a dataset: every row, drop and token, and what the labels are. */
import type { RowUse } from "./formats.ts";
import type { OpenPart } from "./parts.ts";
import type { RowDataset } from "./row_dataset.ts";
import type { TokenizeResult } from "./tokenize.ts";

/** Account of one dataset; lengths in tokens. */
export interface DataReport {
  /** File, folder or pattern; several joined by " + ". */
  readonly name: string;
  /** A `DataForm`; several joined by " + ". */
  readonly form: string;
  /** Rows read, after `subset` and split; a pair used as two single answers with a label is two. */
  readonly rows: number;
  readonly kept: number;
  /** Dropped rows by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** `file:line` of the first row dropped for each reason. */
  readonly droppedAt: Readonly<Record<string, string>>;
  /** Kept rows that a length limit cut. */
  readonly truncated: number;
  /** Kept pairs whose two answers are the same tokens: they teach nothing. */
  readonly equal: number;
  /** Tokens of all sequences, the prompt counted for each answer. */
  readonly tokens: number;
  readonly scoredTokens: number;
  /** Tokens that are run through a model when the common prompt is run once. */
  readonly sharedTokens: number;
  readonly maxSequence: number;
  readonly maxPrompt: number;
  readonly maxAnswer: number;
  /** Kept rows with label 1 and with label 0; present where rows have labels. */
  readonly desirable?: number;
  readonly undesirable?: number;
}

/**
 * Drops as one line of text: `4 unlike prompts (file:12), 4 empty answer (file:96)`; empty when
 * nothing was dropped. The most frequent reason comes first.
 */
export function describeDrops(report: DataReport): string {
  return Object.entries(report.dropped)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${count} ${reason} (first at ${report.droppedAt[reason]})`)
    .join(", ");
}

/** A report while it is added up. */
type Counts = {
  -readonly [K in keyof DataReport]: DataReport[K] extends Readonly<Record<string, infer V>>
    ? Record<string, V>
    : DataReport[K];
};

/** Adds up a report. */
export class ReportBuilder {
  #report: Counts;

  constructor(parts: readonly Pick<OpenPart, "file" | "reader">[], use: RowUse) {
    const joined = (words: string[]) => [...new Set(words)].join(" + ");
    this.#report = {
      name: joined(parts.map(({ file }) => file.name)),
      form: joined(parts.map(({ reader }) => reader.form)),
      rows: 0,
      kept: 0,
      // Reasons may hold words of the data, such as a role: no inherited keys.
      dropped: Object.create(null) as Record<string, number>,
      droppedAt: Object.create(null) as Record<string, string>,
      truncated: 0,
      equal: 0,
      tokens: 0,
      scoredTokens: 0,
      sharedTokens: 0,
      maxSequence: 0,
      maxPrompt: 0,
      maxAnswer: 0,
      ...use === "unpaired" && { desirable: 0, undesirable: 0 },
    };
  }

  /** Takes in what one example of a row of the file became. */
  add(file: RowDataset, row: number, result: TokenizeResult): void {
    const report = this.#report;
    report.rows++;
    if ("drop" in result) {
      report.dropped[result.drop] = (report.dropped[result.drop] ?? 0) + 1;
      report.droppedAt[result.drop] ??= file.place(row);
      return;
    }
    const { prompt, answers, label } = result.example;
    report.kept++;
    if (label === 1) report.desirable!++;
    if (label === 0) report.undesirable!++;
    if (result.truncated) report.truncated++;
    if (answers.length === 2 && equalIds(answers[0].ids, answers[1].ids)) report.equal++;
    report.sharedTokens += prompt.length;
    for (const { ids, scoredFrom } of answers) {
      const scored = ids.length - scoredFrom;
      report.tokens += prompt.length + ids.length;
      report.sharedTokens += ids.length;
      report.scoredTokens += scored;
      report.maxSequence = Math.max(report.maxSequence, prompt.length + ids.length);
      report.maxPrompt = Math.max(report.maxPrompt, prompt.length + scoredFrom);
      report.maxAnswer = Math.max(report.maxAnswer, scored);
    }
  }

  finish(): DataReport {
    return this.#report;
  }
}

function equalIds(a: Uint32Array, b: Uint32Array): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
