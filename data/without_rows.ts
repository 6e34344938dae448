/** Training data without some of its rows: those that a look at the margins has found wanting. */
import { createHash } from "node:crypto";
import type { DataReport } from "./data_report.ts";
import { DataError } from "./error.ts";
import type { LoadedData, TokenizedDataset } from "./load.ts";

/** The reason under which the report counts them. */
const REASON = "left out as asked for";
/** Rows named in an error. */
const NAMED = 5;

/**
 * The same data, its training rows without those of the given numbers. The split is not made again: no
 * held-out row comes into training.
 *
 * @throws DataError when one of them is no training row, or none is left
 */
export function withoutRows(data: LoadedData, rows: readonly number[]): LoadedData {
  if (rows.length === 0) return data;
  const { train, report } = data;
  const out = new Set(rows);
  const kept: number[] = [];
  const left = { kept: 0, tokens: 0, scoredTokens: 0, sharedTokens: 0 };
  for (let i = 0; i < train.length; i++) {
    const { row, prompt, answers } = train.get(i);
    if (!out.delete(row)) {
      kept.push(i);
      continue;
    }
    left.kept++;
    left.sharedTokens += prompt.length;
    for (const { ids, scoredFrom } of answers) {
      left.tokens += prompt.length + ids.length;
      left.sharedTokens += ids.length;
      left.scoredTokens += ids.length - scoredFrom;
    }
  }
  if (out.size > 0) throw unknownRows(report.train.name, [...out]);
  if (kept.length === 0) {
    throw new DataError(`Reading dataset "${report.train.name}": every training row is left out`);
  }
  return {
    ...data,
    train: view(train, kept, rows),
    report: { ...report, train: less(report.train, left) },
  };
}

function unknownRows(name: string, rows: readonly number[]): DataError {
  const named = rows.slice(0, NAMED).join(", ") + (rows.length > NAMED ? ", ..." : "");
  return new DataError(
    `Leaving out rows of dataset "${name}": ${rows.length} of them are no training rows here ` +
      `(${named}); they do not exist, are held out, dropped or outside "subset". Row numbers are ` +
      "those of the margin logs: make the list from a run on the same data",
  );
}

function view(
  train: TokenizedDataset,
  kept: readonly number[],
  rows: readonly number[],
): TokenizedDataset {
  const key = JSON.stringify([train.fingerprint, [...rows].sort((a, b) => a - b)]);
  return {
    length: kept.length,
    get: (i) => train.get(kept[i]),
    text: (i) => train.text(kept[i]),
    fingerprint: createHash("sha256").update(key).digest("hex"),
  };
}

function less(
  report: DataReport,
  left: { kept: number; tokens: number; scoredTokens: number; sharedTokens: number },
): DataReport {
  return {
    ...report,
    kept: report.kept - left.kept,
    tokens: report.tokens - left.tokens,
    scoredTokens: report.scoredTokens - left.scoredTokens,
    sharedTokens: report.sharedTokens - left.sharedTokens,
    dropped: { ...report.dropped, [REASON]: left.kept },
    droppedAt: { ...report.droppedAt, [REASON]: report.name },
  };
}
