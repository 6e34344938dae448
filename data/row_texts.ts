/** The texts of single rows of a dataset, for people to read: nothing is tokenized or dropped. */
import type { DataSource } from "./byte_source.ts";
import { type DataForm, readRow } from "./formats.ts";
import { openJsonLines } from "./jsonl.ts";

export interface RowTextReader {
  /** Rows of the file. */
  readonly length: number;
  /**
   * Prompt, chosen and rejected of a row; undefined where there is no such row or it is no pair.
   * Conversations are shown as transcripts.
   */
  pair(row: number): { prompt: string; chosen: string; rejected: string } | undefined;
  close(): void;
}

/**
 * Opens a file of pairs.
 *
 * @throws DataError when it cannot be opened, or a row asked for is broken
 */
export function openRowTexts(source: DataSource, form: DataForm): RowTextReader {
  const file = openJsonLines(source);
  return {
    length: file.length,
    pair(row) {
      if (!(row >= 0 && row < file.length)) return undefined;
      const texts = readRow(file.get(row), { form, use: "pairs" });
      if ("drop" in texts) return undefined;
      const [chosen, rejected] = texts.answers;
      return { prompt: texts.prompt, chosen, rejected };
    },
    close: () => file.close(),
  };
}
