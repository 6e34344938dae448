/** From a file of rows to tokenized training and validation data, with an account of every row. */
import type { DataSource } from "./byte_source.ts";
import { DataError } from "./error.ts";
import { checkUse, type DataForm, detectForm, readRow } from "./formats.ts";
import type { Example, RowReader, RowUse } from "./formats.ts";
import { openJsonLines, type RowDataset } from "./jsonl.ts";
import { ExampleHash, PackedExamples } from "./packed_examples.ts";
import { splitRows } from "./sampler.ts";
import { parseSubset, resolveSubset } from "./subset.ts";
import { type TokenizedExample, tokenizeExample, type TokenLimits } from "./tokenize.ts";
import type { TextTokenizer } from "./tokenizer.ts";

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
  /** Renders conversations by the tokenizer's chat template; default false. */
  readonly chatTemplate?: boolean;
  readonly limits?: TokenLimits;
  /** Called now and then with rows done and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Token ids kept in memory, in bytes; rows beyond are tokenized again when asked for. */
  readonly memoryBytes?: number;
}

/** Usable rows, in file order. */
export interface TokenizedDataset {
  readonly length: number;
  /** Token ids of the i-th usable row. */
  get(i: number): TokenizedExample;
  /** Texts of the i-th usable row. */
  text(i: number): Example;
  /** Changes with any token, boundary or row number of the dataset: a key for caches. */
  readonly fingerprint: string;
}

/** Account of one dataset; lengths in tokens. */
export interface DataReport {
  readonly name: string;
  readonly form: DataForm;
  /** Rows read, after `subset` and split. */
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
 * validation file go on after the last row of `source`.
 *
 * @throws DataError when a file is broken or leaves no usable training row, or a chat template is asked
 * for and the tokenizer has none.
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
      ? await store.load(held, Uint32Array.from({ length: held.length }, (_, i) => i), file.length)
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

/** Reads rows with one set of options; the datasets of a run share its memory. */
class Store {
  #options: LoadOptions;
  #memory: number;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#memory = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
    if (options.chatTemplate && !options.tokenizer.chatTemplate) {
      throw new DataError(
        `Rendering conversations: the tokenizer of "${options.tokenizer.name}" has no chat ` +
          `template, set "dataset.chat_template: false" or add one to its tokenizer_config.json`,
      );
    }
  }

  async load(
    file: RowDataset,
    rows: Uint32Array,
    rowOffset: number,
  ): Promise<{ data: TokenizedDataset; report: DataReport }> {
    const { form = "auto", use, tokenizer, limits, onProgress } = this.#options;
    const reader: RowReader = {
      form: form === "auto" ? detectForm(file.get(0), file.place(0)) : form,
      use,
      chat: this.#options.chatTemplate ? tokenizer.chatTemplate : undefined,
      eosToken: tokenizer.eosToken,
    };
    checkUse(reader.form, use, file.place(0));
    const counts = new ReportBuilder(file, reader.form);
    const packed = new PackedExamples();
    const hash = new ExampleHash();
    const kept: number[] = [];
    for (const [done, row] of rows.entries()) {
      if (done % 512 === 511) {
        onProgress?.(done, rows.length);
        // Lets messages and signals through; a large file takes minutes.
        await new Promise((resolve) => setTimeout(resolve));
      }
      const parts = readRow(file.get(row), reader);
      const result = "drop" in parts
        ? parts
        : tokenizeExample({ row: row + rowOffset, ...parts }, tokenizer, limits);
      counts.add(row, result);
      if ("drop" in result) continue;
      kept.push(row);
      hash.add(result.example);
      // The first rows stay in memory; once one did not fit, no later one is stored.
      if (packed.length === kept.length - 1 && packed.bytes <= this.#memory) {
        packed.push(result.example);
      }
    }
    if (rows.length > 511) onProgress?.(rows.length, rows.length);
    this.#memory = Math.max(0, this.#memory - packed.bytes);
    const text = (i: number): Example => {
      const parts = readRow(file.get(kept[i]), reader);
      if ("drop" in parts) throw new DataError(changedMessage(file.place(kept[i])));
      return { row: kept[i] + rowOffset, ...parts };
    };
    const retokenize = (i: number) => {
      const result = tokenizeExample(text(i), tokenizer, limits);
      if ("drop" in result) throw new DataError(changedMessage(file.place(kept[i])));
      return result.example;
    };
    const data: TokenizedDataset = {
      length: kept.length,
      get: (i) => i < packed.length ? packed.get(i) : retokenize(i),
      text,
      fingerprint: hash.digest(),
    };
    return { data, report: counts.finish() };
  }
}

function changedMessage(place: string): string {
  return `Reading dataset "${place}": the row was usable when the run began and is not any more, ` +
    `do not change the file during a run`;
}

/** Adds up a report. */
class ReportBuilder {
  #file: RowDataset;
  #report;

  constructor(file: RowDataset, form: DataForm) {
    this.#file = file;
    this.#report = {
      name: file.name,
      form,
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
    };
  }

  add(row: number, result: ReturnType<typeof tokenizeExample>): void {
    const report = this.#report;
    report.rows++;
    if ("drop" in result) {
      report.dropped[result.drop] = (report.dropped[result.drop] ?? 0) + 1;
      report.droppedAt[result.drop] ??= this.#file.place(row);
      return;
    }
    const { prompt, answers } = result.example;
    report.kept++;
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
