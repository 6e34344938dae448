/**
 * What TensorBoard reads: events with scalars, histograms and texts, as protocol buffers of
 * `event.proto` and `summary.proto`, framed as TFRecords.
 */
import { maskedCrc32c } from "../checksum.ts";
import { bucketsOf } from "../histogram.ts";
import { MessageWriter } from "../protobuf.ts";

/** Fields of `tensorboard.Event`. */
const WALL_TIME = 1, STEP = 2, FILE_VERSION = 3, SUMMARY = 5, SESSION_LOG = 7;
/** Fields of `Summary.Value`. */
const TAG = 1, SIMPLE_VALUE = 2, HISTOGRAM = 5, TENSOR = 8, METADATA = 9;
/** `SessionLog.SessionStatus.START`, and `DataType.DT_STRING`. */
const SESSION_START = 1, STRING = 7;

/** One value at a step. */
export type SummaryValue =
  | { readonly kind: "scalar"; readonly tag: string; readonly value: number }
  | { readonly kind: "histogram"; readonly tag: string; readonly values: Float64Array }
  /** Markdown. */
  | { readonly kind: "text"; readonly tag: string; readonly text: string };

/** The event that opens every file. */
export function versionEvent(wallTime: number): Uint8Array {
  return new MessageWriter().double(WALL_TIME, wallTime).text(FILE_VERSION, "brain.Event:2")
    .finish();
}

/**
 * The event that tells a reader that training goes on at `step`: what an earlier file has from that
 * step on was undone by the resume, and is to be forgotten.
 */
export function sessionStartEvent(wallTime: number, step: number): Uint8Array {
  return new MessageWriter().double(WALL_TIME, wallTime).integer(STEP, step)
    .message(SESSION_LOG, new MessageWriter().integer(1, SESSION_START)).finish();
}

/** An event with the values of one step; `wallTime` in seconds since 1970. */
export function summaryEvent(
  wallTime: number,
  step: number,
  values: readonly SummaryValue[],
): Uint8Array {
  const summary = new MessageWriter();
  for (const value of values) summary.message(1, valueMessage(value));
  return new MessageWriter().double(WALL_TIME, wallTime).integer(STEP, step)
    .message(SUMMARY, summary).finish();
}

function valueMessage(value: SummaryValue): MessageWriter {
  const message = new MessageWriter().text(TAG, value.tag);
  if (value.kind === "scalar") return message.float(SIMPLE_VALUE, value.value);
  if (value.kind === "histogram") return message.message(HISTOGRAM, histogram(value.values));
  const tensor = new MessageWriter().integer(1, STRING)
    .message(2, new MessageWriter().message(2, new MessageWriter().integer(1, 1)))
    .text(8, value.text);
  const plugin = new MessageWriter().message(1, new MessageWriter().text(1, "text"));
  return message.message(TENSOR, tensor).message(METADATA, plugin);
}

/** `HistogramProto` of the finite values. */
function histogram(values: Float64Array): MessageWriter {
  const finite = values.filter(Number.isFinite);
  const { limits, counts } = bucketsOf(finite);
  const total = (map: (value: number) => number) => finite.reduce((sum, v) => sum + map(v), 0);
  return new MessageWriter()
    .double(1, finite.length === 0 ? 0 : finite.reduce((a, b) => Math.min(a, b)))
    .double(2, finite.length === 0 ? 0 : finite.reduce((a, b) => Math.max(a, b)))
    .double(3, finite.length)
    .double(4, total((value) => value))
    .double(5, total((value) => value * value))
    .doubles(6, limits)
    .doubles(7, counts);
}

/**
 * A TFRecord: length (u64), masked CRC-32C of it, the data, masked CRC-32C of that; all little-endian.
 */
export function framedRecord(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + 4 + data.length + 4);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return bytes;
}
