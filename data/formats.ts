/**
 * Rows of preference and fine-tuning datasets as examples. What a dataset looks like (its form) is
 * decided once, from its first row or by the config; every row that does not fit is dropped with a
 * reason that can be counted.
 */
import type { Message } from "./chat_template.ts";
import { readMessages, readTools } from "./conversation.ts";
import { labelOfText } from "./columns.ts";
import { DataError } from "./error.ts";
import type { Row } from "./row_dataset.ts";
import {
  ASSISTANT,
  type Content,
  isTranscript,
  type Rendering,
  renderParts,
  Unusable,
} from "./row_text.ts";

/**
 * - `explicit`: {prompt, chosen, rejected}; `prompt_messages` or ShareGPT's `conversations` is read for
 *   `prompt`
 * - `implicit`: {chosen, rejected}, two full texts or conversations with a common beginning
 * - `hh`: {chosen, rejected}, Anthropic-HH transcripts
 * - `completion`: {prompt, completion}, with `label` for unpaired preferences
 * - `messages`: {messages} or {conversations}, one conversation that ends with the assistant
 * - `text`: {text}
 */
export type DataForm = "explicit" | "implicit" | "hh" | "completion" | "messages" | "text";

/**
 * What a mode needs of a row: two answers, one answer, or one answer with a label. A pair gives two
 * answers with a label, see `splitPair`.
 */
export type RowUse = "pairs" | "single" | "unpaired";

/** A row as text. The answers of a pair are chosen, then rejected. */
export interface Example {
  /** Stable number of the row, see `loadDataset`. */
  readonly row: number;
  readonly prompt: string;
  readonly answers: readonly string[];
  /** 1 desirable, 0 undesirable; rows of single answers with a label only. */
  readonly label?: 0 | 1;
}

/** How rows are read. */
export interface RowReader extends Rendering {
  readonly form: DataForm;
  readonly use: RowUse;
  /** Brings a row of a file into this form; may throw Unusable. Absent: it is. */
  readonly read?: (row: Row) => Row;
  /** All values of a file are texts, so a label may be one. */
  readonly untyped?: boolean;
}

/** The texts of an example, before it has a number. */
export type RowTexts = Omit<Example, "row">;

/** A row's texts, or why the row is dropped. */
export type RowResult = RowTexts | { readonly drop: string };

/**
 * The form of a dataset, judged by one row.
 *
 * @param place `file:line` of the row, for the error.
 * @throws DataError when the row has none of the known forms.
 */
export function detectForm(row: Row, place: string): DataForm {
  const has = (key: string) => Object.hasOwn(row, key) && row[key] !== null;
  const prompted = PROMPT_KEYS.some(has);
  if (prompted && has("chosen")) return "explicit";
  if (prompted && has("completion")) return "completion";
  if (has("conversations") && !has("prompt")) return "messages";
  if (has("chosen")) return isTranscript(row.chosen) ? "hh" : "implicit";
  if (has("messages")) return "messages";
  if (has("text")) return "text";
  throw new DataError(
    `Reading dataset "${place}": no known form in the keys "${Object.keys(row).join(", ")}", ` +
      `give {prompt, chosen, rejected}, {chosen, rejected}, {prompt, completion}, {messages}, {conversations} or ` +
      `{text}`,
  );
}

/** Columns that may hold the prompt; the first one written counts. */
const PROMPT_KEYS = ["prompt", "prompt_messages", "conversations"];

/**
 * Whether rows of a form can be used so; checked once before reading.
 *
 * @throws DataError when pairs are needed and the form has single answers, or labels and it has none.
 */
export function checkUse(form: DataForm, use: RowUse, place: string): void {
  const ok = isPaired(form) || use === "single" || (use === "unpaired" && form === "completion");
  if (ok) return;
  const needed = use === "pairs"
    ? "pairs of chosen and rejected"
    : "{prompt, completion, label} or pairs of chosen and rejected";
  throw new DataError(
    `Reading dataset "${place}": the mode needs ${needed}, the rows have the form "${form}"; ` +
      `give a dataset of such rows or another mode`,
  );
}

function isPaired(form: DataForm): boolean {
  return form === "explicit" || form === "implicit" || form === "hh";
}

/** Examples that a row of this form gives: two where pairs are used as single answers with a label. */
export function examplesPerRow(form: DataForm, use: RowUse): 1 | 2 {
  return use === "unpaired" && isPaired(form) ? 2 : 1;
}

/** A pair as two single answers: chosen with label 1, then rejected with label 0. */
export function splitPair({ prompt, answers }: RowTexts): [RowTexts, RowTexts] {
  const [chosen, rejected] = answers;
  return [{ prompt, answers: [chosen], label: 1 }, { prompt, answers: [rejected], label: 0 }];
}

/**
 * Reads one row.
 *
 * @returns prompt and answers, ready to be tokenized, or a drop reason. There are two answers (chosen,
 * rejected) for `pairs`, and for `unpaired` where the form is one of pairs (a `label` beside a pair is
 * not read); else one, for `unpaired` with its label. Texts are well-formed Unicode; no answer is blank.
 */
export function readRow(fileRow: Row, reader: RowReader): RowResult {
  try {
    const row = reader.read ? reader.read(fileRow) : fileRow;
    const tools = readTools(row.tools);
    const { prompt, answers } = readParts(row, tools ? { ...reader, tools } : reader);
    const pair = readsPair(reader);
    if (pair && prompt.trim() === "") throw new Unusable("empty prompt");
    if (answers.some((answer) => answer.trim() === "")) throw new Unusable("empty answer");
    return reader.use === "unpaired" && !pair
      ? { prompt, answers, label: readLabel(row, reader.untyped) }
      : { prompt, answers };
  } catch (error) {
    if (error instanceof Unusable) return { drop: error.message };
    throw error;
  }
}

/** Whether both answers of a pair are used. */
function readsPair({ form, use }: RowReader): boolean {
  return use === "pairs" || examplesPerRow(form, use) === 2;
}

/** Which answers of a pair are used. */
function answerKeys(reader: RowReader): string[] {
  return readsPair(reader) ? ["chosen", "rejected"] : ["chosen"];
}

function readParts(row: Row, reader: RowReader): { prompt: string; answers: string[] } {
  switch (reader.form) {
    case "explicit":
      return readExplicit(row, reader);
    case "completion":
      return renderParts(readPrompt(row), [content(row, "completion")], reader);
    case "hh":
      return readTranscriptPair(row, reader);
    case "implicit":
      return readImplicit(row, reader);
    case "messages": {
      const key = isWritten(row, "messages") ? "messages" : "conversations";
      const messages = content(row, key);
      if (typeof messages === "string") throw new Unusable(`"${key}" is no conversation`);
      const last = messages.findLastIndex((message) => message.role === "assistant");
      if (last < 0) throw new Unusable("no assistant message");
      return renderParts(messages.slice(0, last), [[messages[last]]], reader);
    }
    case "text":
      return { prompt: "", answers: [text(row, "text")] };
  }
}

function readExplicit(row: Row, reader: RowReader): { prompt: string; answers: string[] } {
  const answers = answerKeys(reader).map((key) => content(row, key));
  const opening = answers[0];
  // Some datasets repeat the whole conversation in the answers, beside a prompt in plain text.
  if (typeof opening !== "string" && opening.length > 1 && opening[0].role !== "assistant") {
    return readImplicit(row, reader);
  }
  return renderParts(readPrompt(row), answers, reader);
}

function readPrompt(row: Row): Content {
  return content(row, PROMPT_KEYS.find((key) => isWritten(row, key)) ?? "prompt");
}

function isWritten(row: Row, key: string): boolean {
  return Object.hasOwn(row, key) && row[key] !== undefined && row[key] !== null;
}

/**
 * The rule for Anthropic-HH: the prompt ends after the last `\n\nAssistant:` of chosen, rejected must
 * begin with it, one leading newline is stripped from each response.
 */
function readTranscriptPair(row: Row, reader: RowReader): { prompt: string; answers: string[] } {
  const texts = answerKeys(reader).map((key) => text(row, key).replace(/\r\n?/g, "\n"));
  const end = texts[0].lastIndexOf(ASSISTANT);
  if (end < 0) throw new Unusable(`no "Assistant:" turn`);
  const prompt = texts[0].slice(0, end + ASSISTANT.length);
  const answers = texts.map((whole) => {
    if (!whole.startsWith(prompt)) throw new Unusable("unlike prompts");
    return whole.slice(prompt.length).replace(/^\n/, "");
  });
  if (answers.some((answer) => answer.trim() === "")) throw new Unusable("empty answer");
  return reader.chat ? renderParts(prompt, answers, reader) : { prompt, answers };
}

/**
 * Two full texts or conversations: the prompt is their longest common beginning. Texts stay as they
 * are, also with a chat template: nothing tells their turns.
 */
function readImplicit(row: Row, reader: RowReader): { prompt: string; answers: string[] } {
  const chosen = content(row, "chosen");
  const paired = readsPair(reader) || (row.rejected !== undefined && row.rejected !== null);
  const whole = paired ? [chosen, content(row, "rejected")] : [chosen];
  const used = answerKeys(reader).length;
  if (whole.every((part) => typeof part === "string")) {
    const end = paired ? commonText(whole[0], whole[1]) : 0;
    return {
      prompt: whole[0].slice(0, end),
      answers: whole.slice(0, used).map((part) => part.slice(end)),
    };
  }
  if (!whole.every((part) => typeof part !== "string")) {
    throw new Unusable("a text beside a conversation");
  }
  const end = paired ? commonMessages(whole[0], whole[1]) : whole[0].length - 1;
  const prompt = whole[0].slice(0, end);
  return renderParts(prompt, whole.slice(0, used).map((part) => part.slice(end)), reader);
}

/** UTF-16 length of the common beginning; a space before the difference goes to the answers. */
function commonText(a: string, b: string): number {
  let end = 0;
  while (end < a.length && end < b.length && a[end] === b[end]) end++;
  // Not between the halves of a character beyond the basic plane.
  if (end > 0 && a.charCodeAt(end - 1) >> 10 === 0x36) end--;
  if (end > 0 && end < a.length && end < b.length && a[end - 1] === " ") end--;
  return end;
}

function commonMessages(a: readonly Message[], b: readonly Message[]): number {
  let end = 0;
  while (
    end < a.length && end < b.length && JSON.stringify(a[end]) === JSON.stringify(b[end])
  ) end++;
  return end;
}

/** A text of a row, well-formed. */
function text(row: Row, key: string): string {
  const value = content(row, key);
  if (typeof value !== "string") throw new Unusable(`"${key}" is not text`);
  return value;
}

/** A text, one message or a list of messages of a row. */
function content(row: Row, key: string): Content {
  const value = Object.hasOwn(row, key) ? row[key] : undefined;
  if (value === undefined || value === null) throw new Unusable(`"${key}" is missing`);
  if (typeof value === "string") return value.toWellFormed();
  return readMessages(key, value);
}

/** A label as JSON has it; numbers and texts that only look like one are not guessed at. */
function readLabel(row: Row, untyped = false): 0 | 1 {
  const written = Object.hasOwn(row, "label") ? row.label : undefined;
  const value = untyped ? labelOfText(written) : written;
  if (value === undefined || value === null) throw new Unusable(`"label" is missing`);
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  throw new Unusable(`"label" is not true, false, 1 or 0`);
}
