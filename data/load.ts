/** From a file of rows to tokenized training and validation data, with an account of every row. */
import type { DataSource } from "./byte_source.ts";
import type { ChatRenderer } from "./chat_template.ts";
import { type DataReport, describeDrops, ReportBuilder } from "./data_report.ts";
import { DataError } from "./error.ts";
import { checkUse, detectForm, examplesPerRow, readRow, splitPair } from "./formats.ts";
import type { DataForm, Example, RowReader, RowTexts, RowUse } from "./formats.ts";
import { openJsonLines, type RowDataset } from "./jsonl.ts";
import { ExampleHash, PackedExamples } from "./packed_examples.ts";
import { splitRows } from "./sampler.ts";
import { parseSubset, resolveSubset } from "./subset.ts";
import { type TokenizedExample, tokenizeExample, type TokenLimits } from "./tokenize.ts";
import type { TextTokenizer } from "./tokenizer.ts";

export { type DataReport, describeDrops };

/** What to load and how. */
export interface LoadOptions {
  readonly source: DataSource;
  /** Held-out rows from a file of their own; `valRatio` is then not used. */
  readonly validation?: DataSource;
  readonly use: RowUse;
  /** `generated_data: true` is `explicit`; default `auto`, by the first row. */
  readonly form?: DataForm | "auto";
  /** Slice of the rows of `source`, such as `train[:30%]`; default all. */
  readonly subset?: string;
  /** Share of rows held out, in [0, 1); default 0. */
  readonly valRatio?: number;
  readonly seed: number;
  readonly tokenizer: TextTokenizer;
  /** Renders conversations; absent, they become Anthropic-HH transcripts. */
  readonly chatTemplate?: ChatRenderer;
  readonly limits?: TokenLimits;
  /** Called now and then with rows done and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Token ids kept in memory, in bytes; rows beyond are tokenized again when asked for. */
  readonly memoryBytes?: number;
}

/** Usable rows, in file order; of a pair used as two single answers chosen comes before rejected. */
export interface TokenizedDataset {
  readonly length: number;
  /** Token ids of the i-th usable row. */
  get(i: number): TokenizedExample;
  /** Texts of the i-th usable row. */
  text(i: number): Example;
  /** Changes with any token, boundary, label or row number of the dataset: a key for caches. */
  readonly fingerprint: string;
}

/** Everything a run reads. */
export interface LoadedData {
  readonly train: TokenizedDataset;
  /** Empty when nothing is held out. */
  readonly validation: TokenizedDataset;
  readonly report: { readonly train: DataReport; readonly validation?: DataReport };
  /** Closes the files; rows that are not in memory cannot be read afterwards. */
  close(): void;
}

const DEFAULT_MEMORY_BYTES = 2 ** 28;

/**
 * Loads, splits and tokenizes a dataset. Every row is read once, so that bad lines are found and drops
 * are counted before training begins.
 *
 * Row numbers (`Example.row`) count the rows of `source` from 0, whatever the subset; those of a
 * validation file go on after the last row of `source`. Where pairs are used as single answers with a
 * label, row r of the file gives two examples: 2 r is its chosen answer, 2 r + 1 the rejected one. Both
 * are on the same side of the split, which is made of rows of the file, as the subset is. A pair that
 * cannot be read drops both; a length limit drops the answer that breaks it.
 *
 * @throws DataError when a file is broken or leaves no usable training row.
 */
export async function loadDataset(options: LoadOptions): Promise<LoadedData> {
  const { source, validation, seed, valRatio = 0 } = options;
  const files: RowDataset[] = [];
  const open = (from: DataSource) => {
    const file = openJsonLines(from);
    files.push(file);
    return file;
  };
  const close = () => files.forEach((file) => file.close());
  try {
    const file = open(source);
    const held = validation && open(validation);
    const range = options.subset === undefined
      ? { from: 0, to: file.length }
      : resolveSubset(parseSubset(options.subset), file.length);
    if (range.to === range.from) {
      throw new DataError(
        `Reading dataset "${file.name}": subset "${options.subset}" selects none of ` +
          `its ${file.length} rows`,
      );
    }
    const split = splitRows(range.to - range.from, held ? 0 : valRatio, seed);
    const rows = (part: Uint32Array) => part.map((row) => row + range.from);
    const store = new Store(options);
    const train = await store.load(file, rows(split.train), 0);
    const others = held
      ? await store.load(
        held,
        Uint32Array.from({ length: held.length }, (_, i) => i),
        file.length * train.perRow,
      )
      : await store.load(file, rows(split.validation), 0);
    if (train.data.length === 0) {
      throw new DataError(
        `Reading dataset "${file.name}": no usable row, all ${train.report.rows} were dropped: ` +
          describeDrops(train.report),
      );
    }
    const report = others.report.rows > 0
      ? { train: train.report, validation: others.report }
      : { train: train.report };
    return { train: train.data, validation: others.data, report, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Reads rows with one set of options; the datasets of a run share its memory. */
class Store {
  #options: LoadOptions;
  #memory: number;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#memory = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
  }

  /** @param firstId number of the file's first example. */
  async load(
    file: RowDataset,
    rows: Uint32Array,
    firstId: number,
  ): Promise<{ data: TokenizedDataset; report: DataReport; perRow: number }> {
    const { tokenizer, limits, onProgress } = this.#options;
    const reader = this.#reader(file);
    const counts = new ReportBuilder(file, reader.form, reader.use);
    const packed = new PackedExamples();
    const hash = new ExampleHash();
    const perRow = examplesPerRow(reader.form, reader.use);
    // Numbers of examples from 0; those of row r begin at perRow * r.
    const kept: number[] = [];
    for (const [done, row] of rows.entries()) {
      if (done % 512 === 511) {
        onProgress?.(done, rows.length);
        // Lets messages and signals through; a large file takes minutes.
        await new Promise((resolve) => setTimeout(resolve));
      }
      const texts = readTexts(file, row, reader);
      for (let part = 0; part < perRow; part++) {
        const id = perRow * row + part;
        const result = "drop" in texts
          ? texts
          : tokenizeExample({ row: firstId + id, ...texts[part] }, tokenizer, limits);
        counts.add(row, result);
        if ("drop" in result) continue;
        kept.push(id);
        hash.add(result.example);
        // The first rows stay in memory; once one did not fit, no later one is stored.
        if (packed.length === kept.length - 1 && packed.bytes <= this.#memory) {
          packed.push(result.example);
        }
      }
    }
    if (rows.length > 511) onProgress?.(rows.length, rows.length);
    this.#memory = Math.max(0, this.#memory - packed.bytes);
    const place = (i: number) => file.place(Math.floor(kept[i] / perRow));
    const text = (i: number): Example => {
      const texts = readTexts(file, Math.floor(kept[i] / perRow), reader);
      if ("drop" in texts) throw new DataError(changedMessage(place(i)));
      return { row: firstId + kept[i], ...texts[kept[i] % perRow] };
    };
    const retokenize = (i: number) => {
      const result = tokenizeExample(text(i), tokenizer, limits);
      if ("drop" in result) throw new DataError(changedMessage(place(i)));
      return result.example;
    };
    const data: TokenizedDataset = {
      length: kept.length,
      get: (i) => i < packed.length ? packed.get(i) : retokenize(i),
      text,
      fingerprint: hash.digest(),
    };
    return { data, report: counts.finish(), perRow };
  }

  /** How the rows of a file are read, which its first row decides where the config does not. */
  #reader(file: RowDataset): RowReader {
    const { form = "auto", use, tokenizer, chatTemplate } = this.#options;
    const reader: RowReader = {
      form: form === "auto" ? detectForm(file.get(0), file.place(0)) : form,
      use,
      chat: chatTemplate,
      eosToken: tokenizer.eosToken,
    };
    checkUse(reader.form, use, file.place(0));
    return reader;
  }
}

/** The examples of a row as text, or why it gives none. */
function readTexts(
  file: RowDataset,
  row: number,
  reader: RowReader,
): readonly RowTexts[] | { readonly drop: string } {
  const result = readRow(file.get(row), reader);
  if ("drop" in result) return result;
  return examplesPerRow(reader.form, reader.use) === 2 ? splitPair(result) : [result];
}

function changedMessage(place: string): string {
  return `Reading dataset "${place}": the row was usable when the run began and is not any more, ` +
    `do not change the file during a run`;
}
