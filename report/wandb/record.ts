/**
 * The records of a run's log, as protocol buffers of `wandb_internal.proto`: the few that a run of
 * metrics needs. Values are JSON texts, as they are there.
 */
import { messageFields, MessageWriter } from "../protobuf.ts";

/** Key and JSON text of each value, in order. */
export type Items = readonly (readonly [key: string, json: string])[];

/** Fields of `Record`. */
const NUMBER = 1, HISTORY = 2, SUMMARY = 3, RUN = 17, EXIT = 18, HEADER = 21;
/** Fields of the items of a config, a history row and a summary. */
const KEY = 1, NESTED_KEY = 2, VALUE_JSON = 16;

/** Oldest client that can read these records; what the client itself writes there. */
const MIN_CONSUMER = "0.70.0";

export interface RunFacts {
  readonly id: string;
  readonly entity?: string;
  readonly project: string;
  readonly name?: string;
  /** Top-level keys of the config. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Seconds since 1970. */
  readonly started: number;
}

/** What a record says, as far as it is of use here. */
export type LogRecord =
  | { readonly kind: "history"; readonly items: Items }
  | { readonly kind: "summary"; readonly items: Items }
  | { readonly kind: "exit" }
  | { readonly kind: "other" };

/** JSON as the client writes it: numbers that JSON lacks become their names. */
export function jsonText(value: unknown): string {
  return JSON.stringify(
    value,
    (_, member) => typeof member === "number" && !Number.isFinite(member) ? String(member) : member,
  );
}

function record(number: number, field: number, content: MessageWriter): Uint8Array {
  return new MessageWriter().integer(NUMBER, number).message(field, content).finish();
}

/** The first record of a log. */
export function headerRecord(number: number): Uint8Array {
  const version = new MessageWriter().text(1, "dynamic-dpo").text(2, MIN_CONSUMER);
  return record(number, HEADER, new MessageWriter().message(1, version));
}

export function runRecord(number: number, run: RunFacts): Uint8Array {
  const message = new MessageWriter().text(1, run.id);
  if (run.entity !== undefined) message.text(2, run.entity);
  message.text(3, run.project);
  const config = new MessageWriter();
  for (const [key, value] of Object.entries(run.config)) {
    config.message(1, new MessageWriter().text(KEY, key).text(VALUE_JSON, jsonText(value)));
  }
  message.message(4, config);
  if (run.name !== undefined) message.text(8, run.name);
  const time = new MessageWriter().integer(1, Math.floor(run.started))
    .integer(2, Math.floor(run.started % 1 * 1e9));
  return record(number, RUN, message.message(17, time));
}

function addItems(message: MessageWriter, items: Items): MessageWriter {
  for (const [key, json] of items) {
    message.message(1, new MessageWriter().text(NESTED_KEY, key).text(VALUE_JSON, json));
  }
  return message;
}

/** A row of the history. */
export function historyRecord(number: number, step: number, items: Items): Uint8Array {
  const message = addItems(new MessageWriter(), items);
  return record(number, HISTORY, message.message(2, new MessageWriter().integer(1, step)));
}

/** New last values. */
export function summaryRecord(number: number, items: Items): Uint8Array {
  return record(number, SUMMARY, addItems(new MessageWriter(), items));
}

/** The end of the run; `runtime` in seconds. */
export function exitRecord(number: number, code: number, runtime: number): Uint8Array {
  const exit = new MessageWriter().integer(1, code).integer(2, Math.floor(runtime));
  return record(number, EXIT, exit);
}

/**
 * Reads a record.
 *
 * @throws Error when the bytes are no record
 */
export function readRecord(bytes: Uint8Array): LogRecord {
  for (const { field, value } of messageFields(bytes)) {
    if (field === EXIT) return { kind: "exit" };
    if (typeof value === "number") continue;
    if (field === HISTORY) return { kind: "history", items: readItems(value) };
    if (field === SUMMARY) return { kind: "summary", items: readItems(value) };
  }
  return { kind: "other" };
}

function readItems(bytes: Uint8Array): Items {
  const decoder = new TextDecoder();
  const items: [string, string][] = [];
  for (const { field, value } of messageFields(bytes)) {
    if (field !== 1 || typeof value === "number") continue;
    let key = "", json = "";
    for (const part of messageFields(value)) {
      if (typeof part.value === "number") continue;
      if (part.field === NESTED_KEY) key = decoder.decode(part.value);
      if (part.field === VALUE_JSON) json = decoder.decode(part.value);
    }
    items.push([key, json]);
  }
  return items;
}
