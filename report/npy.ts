/** Reads the one-dimensional float32 arrays of the margin logs (NumPy format 1.0, numpy.lib.format). */
import { attemptReport } from "./json_lines.ts";

const MAGIC = "\x93NUMPY\x01\x00";
const PREFIX = 10;

/**
 * The values of a file.
 *
 * @throws ReportFileError when it cannot be read or holds something else
 */
export function readNpy(path: string): Float32Array {
  return attemptReport("read", path, () => decodeNpy(Deno.readFileSync(path)));
}

/** @throws Error when the bytes are no float32 array of one dimension, or end too early */
export function decodeNpy(bytes: Uint8Array): Float32Array {
  const text = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  if (text(0, MAGIC.length) !== MAGIC) throw new Error("it is no NumPy file of format 1.0");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = PREFIX + view.getUint16(MAGIC.length, true);
  const header = text(PREFIX, start);
  const length = /'descr': '<f4', 'fortran_order': False, 'shape': \((\d+),\)/.exec(header)?.[1];
  if (length === undefined) throw new Error(`it holds no list of float32 but ${header.trim()}`);
  const values = new Float32Array(Number(length));
  if (start + 4 * values.length !== bytes.length) {
    throw new Error(`it should have ${start + 4 * values.length} bytes and has ${bytes.length}`);
  }
  values.forEach((_, i) => values[i] = view.getFloat32(start + 4 * i, true));
  return values;
}
