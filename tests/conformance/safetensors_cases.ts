/** Damaged safetensors files. */
import { SafetensorsFile } from "../../model/safetensors.ts";
import { encodeSafetensors } from "../../model/safetensors_write.ts";
import { buildFile, CASES, LEGAL, STRICTER } from "../model_files/malformed_safetensors.ts";
import { type Choices, choices, damageBytes, damageJson } from "./random.ts";
import type { Kind } from "./run_cases.ts";

const NAMES = ["a", "model.norm.weight", "__proto__", "constructor", "é", "b"];
const FIXED = [...CASES, ...LEGAL, ...STRICTER];

function whole(): Uint8Array<ArrayBuffer> {
  return encodeSafetensors([
    { name: "model.norm.weight", shape: [3], dtype: "F32", data: Float32Array.of(1, -2, 0.5) },
    { name: "b", shape: [2, 2], dtype: "BF16", data: Float32Array.of(1, 2, 3, 4) },
    { name: "scalar", shape: [], dtype: "F16", data: Float32Array.of(-0.25) },
  ]);
}

/** A header of its own make: mostly consistent, so that one fault is alone. */
function header(random: Choices): Record<string, unknown> {
  const entries: Record<string, unknown> = {};
  let end = 0;
  for (let n = random.below(5); n > 0; n--) {
    const shape = Array.from({ length: random.below(4) }, () => random.below(4));
    const dtype = random.pick(["F32", "F16", "BF16", "F64", "I64", "BOOL", "U8"]);
    const width = { F32: 4, F16: 2, BF16: 2, F64: 8, I64: 8, BOOL: 1, U8: 1 }[dtype]!;
    const begin = end;
    end += width * shape.reduce((product, size) => product * size, 1);
    Object.defineProperty(entries, random.pick(NAMES), {
      value: { dtype, shape, data_offsets: [begin, end] },
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return entries;
}

function make(index: number): Uint8Array {
  if (index < FIXED.length) return FIXED[index].bytes;
  const bytes = whole(), cut = index - FIXED.length;
  if (cut < bytes.length) return bytes.slice(0, cut);
  const random = choices("safetensors", index);
  if (random.below(2) === 0) return damageBytes(bytes, random);
  const made = damageJson(header(random), random);
  const text = JSON.stringify(made, (_, value) => value === 1e308 ? 2 ** 53 : value) ?? "";
  return buildFile(text, random.below(100));
}

/** Reads everything; what is read must be written the same. */
function read(bytes: Uint8Array, file: string): void {
  using opened = SafetensorsFile.fromBytes(bytes, file);
  const tensors = [...opened.tensors].filter(([, { dtype }]) =>
    dtype === "F32" || dtype === "F16" || dtype === "BF16"
  ).map(([name, { dtype, shape }]) => (
    { name, shape, dtype: dtype as "F32" | "F16" | "BF16", data: opened.readF32(name) }
  ));
  // Numbers that are not finite are stored as they are here; models refuse them.
  const finite = tensors.filter(({ data }) => data.every(Number.isFinite));
  using again = SafetensorsFile.fromBytes(encodeSafetensors(finite), file);
  for (const { name, data } of finite) {
    const back = again.readF32(name);
    if (back.length !== data.length || back.some((x, i) => !Object.is(x, data[i]))) {
      throw new Error(`tensor ${JSON.stringify(name)} changed when it was written again`);
    }
  }
}

export const SAFETENSORS: Kind = { name: "x.safetensors", count: 20_000, make, read };
