/**
 * Files of rows that are wrong in every way that comes to mind, made from a seed, and what must hold for
 * each: it is refused by one DataError that names it, or read as a second, plainer reader reads it.
 */
import { assert, assertEquals } from "@std/assert";
import { parquetWriteBuffer } from "hyparquet-writer";
import { DataError } from "../../data/error.ts";
import { loadDataset } from "../../data/load.ts";
import { openRows } from "../../data/open_rows.ts";
import { uniformStream } from "../../data/philox.ts";
import { tinyTokenizer } from "./tiny_tokenizer.ts";
import goldenText from "./parquet_files.json" with { type: "text" };

/** Random choices, from a seed and the number of an input. */
export class Choices {
  #next: () => number;

  constructor(seed: number, input: number) {
    const random = uniformStream(seed, `malformed/${input}`);
    let i = 0;
    this.#next = () => random(i++);
  }

  below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  happens(share: number): boolean {
    return this.#next() < share;
  }
}

const encoder = new TextEncoder();
const NAME = "rows.x";

/** Values that a row may have where a text belongs, as they are written in JSON. */
const JSON_VALUES = [
  '"yes"',
  '"no"',
  '""',
  '" "',
  '"\\n\\nHuman: a\\n\\nAssistant: b"',
  '"\\ud800"',
  '"\\u0000"',
  '"caf\u00e9 \u{1f600}"',
  "null",
  "true",
  "0",
  "1e309",
  "-0.0",
  "[]",
  "{}",
  "[null]",
  '[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]',
  '[{"role":"user"}]',
  '[{"from":"gpt","value":"b"}]',
  '{"role":"assistant","content":"b"}',
  '{"__proto__":{"a":1}}',
  "NaN",
  "'a'",
  "[1,]",
];
const KEYS = ["prompt", "chosen", "rejected", "completion", "label", "messages", "text", "tools"];

function jsonRow(choices: Choices): string {
  if (choices.happens(0.7)) return '{"prompt":"a","chosen":"b","rejected":"c"}';
  if (choices.happens(0.02)) {
    const depth = choices.of([10, 900, 1100, 100_000]);
    return `{"prompt":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  }
  const keys = [...KEYS, "prompt", "chosen", "rejected"];
  const members = Array.from(
    { length: choices.below(5) },
    () => `"${choices.of(keys)}":${choices.of(JSON_VALUES)}`,
  );
  return `{${members.join(",")}}`;
}

export function jsonLines(choices: Choices): Uint8Array {
  const ends = ["\n", "\n", "\r\n", "\n\n", "\n \t\n", "\r", ""];
  const lines = Array.from(
    { length: 1 + choices.below(5) },
    () => jsonRow(choices) + (choices.happens(0.8) ? "\n" : choices.of(ends)),
  );
  return damage(encoder.encode((choices.happens(0.1) ? "\ufeff" : "") + lines.join("")), choices);
}

export function jsonArray(choices: Choices): Uint8Array {
  const rows = Array.from({ length: choices.below(5) }, () => jsonRow(choices));
  const list = `[${rows.join(choices.of([",", ", ", ",\n", "\n,", choices.of(["", ",,"])]))}]`;
  const text = choices.happens(0.3)
    ? `{"data": ${list}, "version": 1}`
    : list + choices.of(["", "\n"]);
  return damage(encoder.encode((choices.happens(0.1) ? "\ufeff" : "") + text), choices);
}

export function csv(choices: Choices): Uint8Array {
  const fields = [
    "a",
    "b c",
    "",
    '""',
    '"x"',
    '"x,y"',
    '"x\ny"',
    '"x""y"',
    'x"y',
    '"x',
    "\u00e9",
    "1",
  ];
  const record = () =>
    Array.from(
      { length: choices.happens(0.9) ? 3 : choices.below(5) },
      () => choices.happens(0.6) ? "w" : choices.of(fields),
    ).join(",");
  const header = choices.happens(0.8) ? "prompt,chosen,rejected" : record();
  const ends = ["\n", "\r\n", "\n\n", "\r"];
  const lines = [header, ...Array.from({ length: choices.below(5) }, record)]
    .map((line) => line + (choices.happens(0.8) ? "\n" : choices.of(ends)));
  return damage(encoder.encode((choices.happens(0.1) ? "\ufeff" : "") + lines.join("")), choices);
}

/** Nothing, or a few changes of bytes. */
export function damage(whole: Uint8Array, choices: Choices, share = 0.6): Uint8Array {
  let bytes = whole;
  if (!choices.happens(share)) return bytes;
  for (let changes = 1 + choices.below(3); changes > 0 && bytes.length > 0; changes--) {
    const at = choices.below(bytes.length), length = 1 + choices.below(8);
    const before = bytes.subarray(0, at), after = bytes.subarray(at);
    const parts: Uint8Array[][] = [
      [before, Uint8Array.of(bytes[at] ^ 1 << choices.below(8)), after.subarray(1)],
      [
        before,
        Uint8Array.of(choices.of([0, 10, 13, 34, 44, 91, 92, 93, 123, 125, 255])),
        after.subarray(1),
      ],
      [before, Uint8Array.from({ length }, () => choices.below(256)), after],
      [before, after.subarray(length)],
      [before, after.subarray(0, length), after],
      [before],
      [before, new Uint8Array(4).fill(choices.of([0, 127, 128, 255])), after.subarray(4)],
    ];
    bytes = Uint8Array.from(choices.of(parts).flatMap((part) => [...part]));
  }
  return bytes;
}

/** Rows as a plain reader reads them; undefined where it refuses the file. */
export type Oracle = (bytes: Uint8Array) => unknown[] | undefined;

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const deeperThan = (value: unknown, depth: number): boolean =>
  depth === 0
    ? typeof value === "object" && value !== null
    : typeof value === "object" && value !== null &&
      Object.values(value).some((member) => deeperThan(member, depth - 1));
const accepted = (rows: unknown[]) =>
  rows.length > 0 && rows.every((row) => isObject(row) && !deeperThan(row, 1000))
    ? rows
    : undefined;

export const readJsonLines: Oracle = (bytes) => {
  const lines = textOf(bytes)?.split("\n").filter((line) => /[^ \t\r]/.test(line));
  return lines && accepted(lines.map(parse));
};

export const readJsonArray: Oracle = (bytes) => {
  const text = textOf(bytes);
  if (text === undefined) return undefined;
  const whole = parse(text);
  const wrapped = /^[ \t\r\n]*\{[ \t\r\n]*"data"[ \t\r\n]*:[ \t\r\n]*\[/.test(text);
  if (wrapped) {
    // The first of equal keys is the one that is read.
    const again = (whole as { data?: unknown })?.data;
    return Array.isArray(again) ? accepted(again) : undefined;
  }
  if (/^[ \t\r\n]*\[/.test(text)) return Array.isArray(whole) ? accepted(whole) : undefined;
  return readJsonLines(bytes);
};

/** One character after the other, over the whole file. */
export const readCsv: Oracle = (bytes) => {
  const text = textOf(bytes);
  if (text === undefined || text.includes("\0")) return undefined;
  const records: (string | null)[][] = [];
  let record: (string | null)[] = [], field = "", state: "start" | "plain" | "in" | "out" = "start";
  const endField = () => {
    record.push(state === "start" ? null : field);
    [field, state] = ["", "start"];
  };
  const endRecord = () => {
    const blank = record.length === 0 && state === "start";
    if (!blank) {
      endField();
      records.push(record);
    }
    record = [];
  };
  const characters = [...text];
  for (const [i, char] of characters.entries()) {
    const ending = char === "\r" && (characters[i + 1] === "\n" || i + 1 === characters.length);
    if (state === "in") {
      if (char === '"') state = "out";
      else field += char;
    } else if (char === "\n") endRecord();
    else if (ending) continue;
    else if (char === ",") endField();
    else if (char === '"' && state === "start") state = "in";
    else if (char === '"' && state === "out") {
      field += '"';
      state = "in";
    } else if (state === "out" || char === '"' || char === "\r") return undefined;
    else {
      field += char;
      state = "plain";
    }
  }
  if (state === "in") return undefined;
  endRecord();
  const [header, ...rows] = records;
  const names = header?.map((name) => name?.trim() ?? "");
  if (!names || names.includes("") || new Set(names).size < names.length) return undefined;
  if (rows.length === 0 || rows.some((row) => row.length !== names.length)) return undefined;
  return rows.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i]])));
};

/** The rows of a file, every value looked at; undefined where it is refused as it should be. */
export async function readRows(bytes: Uint8Array, name = NAME): Promise<unknown[] | undefined> {
  return await refused(async () => {
    const rows = await openRows({ name, bytes });
    return Array.from({ length: rows.length }, (_, i) => ({ ...rows.get(i) }));
  });
}

const tokenizer = tinyTokenizer();

/** The whole way to tokens, which may not crash either. */
export async function loadRows(bytes: Uint8Array, choices: Choices, name = NAME): Promise<void> {
  const use = choices.of(["pairs", "single", "unpaired"] as const);
  await refused(async () => {
    const { train } = await loadDataset({ source: { name, bytes }, use, seed: 1, tokenizer });
    for (let i = 0; i < train.length; i++) assert(train.get(i).answers.length > 0);
  });
}

async function refused<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    assert(error instanceof DataError, `${error}\n${(error as Error).stack}`);
    assert(/rows\.[a-z]+/.test(error.message), error.message);
    assert(error.message.length < 1000, error.message);
    return undefined;
  }
}

/** Equal as JSON, which knows no negative zero. */
export function assertSameRows(
  actual: unknown[] | undefined,
  expected: unknown[] | undefined,
): void {
  assertEquals(actual === undefined, expected === undefined);
  assertEquals(JSON.stringify(actual), JSON.stringify(expected));
}

export const golden: { files: Record<string, string>; rows: Record<string, unknown>[] } = JSON
  .parse(
    goldenText,
  );

/** Whole Parquet files to be damaged, by two writers. */
export function parquetFiles(): { name: string; bytes: Uint8Array }[] {
  const rows = 40;
  const texts = (word: string) => Array.from({ length: rows }, (_, i) => `${word} ${i % 9} \u00e9`);
  const written = (codec: "SNAPPY" | "UNCOMPRESSED") =>
    new Uint8Array(parquetWriteBuffer({
      columnData: ["prompt", "chosen", "rejected"].map((name) => ({ name, data: texts(name) })),
      rowGroupSize: 16,
      pageSize: 64,
      codec,
    }));
  return [
    { name: "written", bytes: written("SNAPPY") },
    { name: "written plain", bytes: written("UNCOMPRESSED") },
    ...Object.entries(golden.files).map(([name, base64]) => ({
      name,
      bytes: Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)),
    })),
  ];
}
