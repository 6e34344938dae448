/** The texts of single rows of a dataset, for people to read: nothing is tokenized or dropped. */
import type { DataForm } from "./formats.ts";
import { type DatasetPart, findRow, nextId, type OpenPart, openPart, readTexts } from "./parts.ts";
import type { UnpackOptions } from "./unpack.ts";

export interface RowTextReader {
  /** Rows of all datasets. */
  readonly length: number;
  /**
   * Prompt, chosen and rejected of a row, by the number that a run gives it; undefined where there is no
   * such row or it is no pair. Conversations are shown as transcripts.
   */
  pair(row: number): { prompt: string; chosen: string; rejected: string } | undefined;
  close(): void;
}

/**
 * Opens datasets of pairs, in the order in which a run reads them.
 *
 * @throws DataError when one cannot be opened, or a row asked for is broken
 */
export async function openRowTexts(
  datasets: readonly DatasetPart[],
  form: DataForm | "auto",
  options: UnpackOptions = {},
): Promise<RowTextReader> {
  const parts: OpenPart[] = [];
  const close = () => parts.forEach(({ file }) => file.close());
  const next = () => parts.length === 0 ? 0 : nextId(parts.at(-1)!);
  try {
    for (const dataset of datasets) {
      parts.push(await openPart(dataset, { ...options, form, use: "pairs" }, next()));
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    length: next(),
    pair(row) {
      const found = findRow(parts, row);
      const texts = found && readTexts(found.part, found.row);
      if (!texts || "drop" in texts) return undefined;
      const [chosen, rejected] = texts[0].answers;
      return { prompt: texts[0].prompt, chosen, rejected };
    },
    close,
  };
}
