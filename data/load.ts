/** From files of rows to tokenized training and validation data, with an account of every row. */
import type { DataSource } from "./byte_source.ts";
import type { ChatRenderer } from "./chat_template.ts";
import { type DataReport, describeDrops, ReportBuilder } from "./data_report.ts";
import { DataError } from "./error.ts";
import type { DataForm, Example, RowUse } from "./formats.ts";
import { mixRows } from "./mix.ts";
import type { FileSet } from "./open_rows.ts";
import { ExampleHash, PackedExamples } from "./packed_examples.ts";
import {
  type DatasetPart,
  findRow,
  nextId,
  type OpenPart,
  openPart,
  type PartOptions,
  readTexts,
} from "./parts.ts";
import { splitRows } from "./sampler.ts";
import { parseSubset, resolveSubset } from "./subset.ts";
import { type TokenizedExample, tokenizeExample, type TokenLimits } from "./tokenize.ts";
import type { TextTokenizer } from "./tokenizer.ts";
import type { UnpackOptions } from "./unpack.ts";

export { type DataReport, describeDrops };

/** What to load and how; the keys of `DatasetPart` are of the one dataset, where it is one. */
export interface LoadOptions extends Omit<DatasetPart, "source" | "weight">, UnpackOptions {
  /** One dataset, or several to be mixed. */
  readonly source: DataSource | FileSet | readonly DatasetPart[];
  /** Held-out rows from files of their own, read as the first dataset is; `valRatio` is then not used. */
  readonly validation?: DataSource | FileSet;
  readonly use: RowUse;
  /** `generated_data: true` is `explicit`; default `auto`: a known set's own, else by the first row. */
  readonly form?: DataForm | "auto";
  /** Share of the rows of each dataset held out, in [0, 1); default 0. */
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

/** Rows of an open part that are used, ascending. */
interface Selection {
  readonly part: OpenPart;
  readonly rows: Uint32Array;
}

/**
 * Loads, splits and tokenizes datasets. Every row is read once, so that bad rows are found and drops are
 * counted before training begins.
 *
 * Row numbers (`Example.row`) count the rows of the first dataset from 0, whatever the subset and the
 * weights; those of the next one go on after its last row, those of a validation file after all. Where
 * pairs are used as single answers with a label, a row gives two numbers: the even one is its chosen
 * answer, the next the rejected one. Both are on the same side of the split, which is made of rows of
 * files, as the subset is. A pair that cannot be read drops both; a length limit drops the answer that
 * breaks it. Each dataset is split by itself, then mixed: no weight moves a row into training.
 *
 * @throws DataError when a file is broken or leaves no usable training row.
 */
export async function loadDataset(options: LoadOptions): Promise<LoadedData> {
  const opened: OpenPart[] = [];
  const close = () => opened.forEach(({ file }) => file.close());
  try {
    const { parts, held } = await openAll(options, opened);
    const { training, validation } = select(parts, held, options);
    const store = new Store(options);
    const train = await store.load(training);
    const others = await store.load(validation);
    if (train.data.length === 0) {
      throw new DataError(
        `Reading dataset "${train.report.name}": no usable row, all ${train.report.rows} were dropped: ` +
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

/** A part as asked for, beside its open files. */
interface Asked {
  readonly part: OpenPart;
  readonly asked: DatasetPart;
}

/** @param opened takes in whatever is open, also when this throws. */
async function openAll(
  options: LoadOptions,
  opened: OpenPart[],
): Promise<{ parts: Asked[]; held?: OpenPart }> {
  const { source, subset, columns, reading, knownAs } = options;
  const asked: readonly DatasetPart[] = Array.isArray(source)
    ? source
    : [{ source: source as DataSource | FileSet, subset, columns, reading, knownAs }];
  const how: PartOptions = {
    use: options.use,
    form: options.form,
    chat: options.chatTemplate,
    eosToken: options.tokenizer.eosToken,
    cacheFolder: options.cacheFolder,
  };
  let id = 0;
  const open = async (part: DatasetPart) => {
    const one = await openPart(part, how, id);
    opened.push(one);
    id = nextId(one);
    return one;
  };
  const parts: Asked[] = [];
  for (const one of asked) parts.push({ part: await open(one), asked: one });
  const held = options.validation && await open({ ...asked[0], source: options.validation });
  return { parts, held };
}

/** Which rows are for training and which for validation. */
function select(
  parts: readonly Asked[],
  held: OpenPart | undefined,
  { seed, valRatio = 0 }: LoadOptions,
): { training: Selection[]; validation: Selection[] } {
  const splits = parts.map(({ part, asked: { subset } }) => {
    const { file } = part;
    const range = subset === undefined
      ? { from: 0, to: file.length }
      : resolveSubset(parseSubset(subset), file.length);
    if (range.to === range.from) {
      throw new DataError(
        `Reading dataset "${file.name}": subset "${subset}" selects none of its ${file.length} rows`,
      );
    }
    const { train, validation } = splitRows(range.to - range.from, held ? 0 : valRatio, seed);
    const rows = (side: Uint32Array) => side.map((row) => row + range.from);
    return { train: rows(train), validation: rows(validation) };
  });
  const mix = (side: "train" | "validation"): Selection[] => {
    const sets = parts.map(({ asked: { weight } }, i) => ({ rows: splits[i][side], weight }));
    return mixRows(sets, seed).map((rows, i) => ({ part: parts[i].part, rows }));
  };
  return {
    training: mix("train"),
    validation: held
      ? [{ part: held, rows: Uint32Array.from({ length: held.file.length }, (_, i) => i) }]
      : mix("validation"),
  };
}

/** Tokenizes rows with one set of options; the datasets of a run share its memory. */
class Store {
  #options: LoadOptions;
  #memory: number;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#memory = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
  }

  async load(
    selections: readonly Selection[],
  ): Promise<{ data: TokenizedDataset; report: DataReport }> {
    const { tokenizer, limits, onProgress, use } = this.#options;
    const parts = selections.map(({ part }) => part);
    const counts = new ReportBuilder(parts, use);
    const packed = new PackedExamples();
    const hash = new ExampleHash();
    // Numbers of the usable examples.
    const kept: number[] = [];
    const total = selections.reduce((sum, { rows }) => sum + rows.length, 0);
    let done = 0;
    for (const { part, rows } of selections) {
      for (const row of rows) {
        if (done++ % 512 === 511) {
          onProgress?.(done - 1, total);
          // Lets messages and signals through; a large file takes minutes.
          await new Promise((resolve) => setTimeout(resolve));
        }
        const texts = readTexts(part, row);
        for (let answer = 0; answer < part.perRow; answer++) {
          const id = part.firstId + part.perRow * row + answer;
          const result = "drop" in texts
            ? texts
            : tokenizeExample({ row: id, ...texts[answer] }, tokenizer, limits);
          counts.add(part.file, row, result);
          if ("drop" in result) continue;
          kept.push(id);
          hash.add(result.example);
          // The first rows stay in memory; once one did not fit, no later one is stored.
          if (packed.length === kept.length - 1 && packed.bytes <= this.#memory) {
            packed.push(result.example);
          }
        }
      }
    }
    if (total > 511) onProgress?.(total, total);
    this.#memory = Math.max(0, this.#memory - packed.bytes);
    const data = this.#dataset(parts, kept, packed, hash.digest());
    return { data, report: counts.finish() };
  }

  /** Examples from memory, or read again from their files. */
  #dataset(
    parts: readonly OpenPart[],
    kept: readonly number[],
    packed: PackedExamples,
    fingerprint: string,
  ): TokenizedDataset {
    const { tokenizer, limits } = this.#options;
    const text = (i: number): Example => {
      const { part, row, answer } = findRow(parts, kept[i])!;
      const texts = readTexts(part, row);
      if ("drop" in texts) throw new DataError(changedMessage(part.file.place(row)));
      return { row: kept[i], ...texts[answer] };
    };
    const retokenize = (i: number) => {
      const result = tokenizeExample(text(i), tokenizer, limits);
      if (!("drop" in result)) return result.example;
      const { part, row } = findRow(parts, kept[i])!;
      throw new DataError(changedMessage(part.file.place(row)));
    };
    return {
      length: kept.length,
      get: (i) => i < packed.length ? packed.get(i) : retokenize(i),
      text,
      fingerprint,
    };
  }
}

function changedMessage(place: string): string {
  return `Reading dataset "${place}": the row was usable when the run began and is not any more, ` +
    `do not change the file during a run`;
}
