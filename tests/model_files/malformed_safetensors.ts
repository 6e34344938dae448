/**
 * Safetensors files with the verdict of the format's own library (0.8.0): 25 it refuses and one odd
 * one it reads, then further legal oddities.
 */

/** A file and whether it may be read; `says` is a part of our message. */
export interface SafetensorsCase {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly legal: boolean;
  readonly says?: string;
}

/** A file of this header text and as many data bytes; `length` overrides the true header length. */
export function buildFile(
  header: string | Uint8Array,
  dataBytes = 0,
  length?: bigint,
): Uint8Array<ArrayBuffer> {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

function entry(shape: string, begin: number | string, end: number | string, dtype = "F32"): string {
  return `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;
}

function bad(name: string, bytes: Uint8Array, says: string): SafetensorsCase {
  return { name, bytes, legal: false, says };
}

function legal(name: string, bytes: Uint8Array): SafetensorsCase {
  return { name, bytes, legal: true };
}

const one = entry("[1]", 0, 4);
const overlapping = Array.from({ length: 10 }, (_, i) => `"t${i}":${entry("[2,2]", 0, 16)}`);

/** The 26 files: 25 to refuse, 1 legal. */
export const CASES: readonly SafetensorsCase[] = [
  bad("ten tensors on the same bytes", buildFile(`{${overlapping}}`, 16), "begins at byte 0"),
  bad("bytes after the last tensor", buildFile(`{"a":${one}}`, 5), "take 4 bytes"),
  bad("two bytes of data missing", buildFile(`{"a":${one}}`, 2), "ends at byte 4"),
  bad("header length 2^64-1", buildFile("{}", 0, 2n ** 64n - 1n), "18446744073709551615"),
  bad("fewer than 8 bytes", new Uint8Array(4), "too few"),
  bad("header longer than the file", buildFile("{}", 0, 60n), "60 bytes"),
  bad("header not UTF-8", buildFile(Uint8Array.of(0x7b, 0xff, 0x7d)), "UTF-8"),
  bad("header not JSON", buildFile("{"), "JSON"),
  bad("shape does not fit the offsets", buildFile(`{"a":${entry("[2]", 0, 4)}}`, 4), "8 bytes"),
  bad(
    "shape product over 64 bits",
    buildFile(`{"a":${entry("[4294967296,4294967296,2]", 0, 4)}}`, 4),
    "too large",
  ),
  bad(
    "byte count over 64 bits",
    buildFile(`{"a":${entry("[9007199254740991,1024]", 0, 4)}}`, 4),
    "too large",
  ),
  bad(
    "a hole between tensors",
    buildFile(`{"a":${one},"b":${entry("[1]", 8, 12)}}`, 12),
    "begins at byte 8",
  ),
  bad("negative offset", buildFile(`{"a":${entry("[1]", -4, 0)}}`), "-4"),
  bad("offsets reversed", buildFile(`{"a":${entry("[1]", 4, 0)}}`, 4), "begin at most end"),
  bad("offsets as text", buildFile(`{"a":${entry("[1]", '"0"', '"4"')}}`, 4), "data_offsets"),
  bad("fractional shape", buildFile(`{"a":${entry("[0.5,2]", 0, 4)}}`, 4), "0.5"),
  bad("negative shape", buildFile(`{"a":${entry("[-1]", 0, 4)}}`, 4), "-1"),
  bad("shape as text", buildFile(`{"a":${entry('"1"', 0, 4)}}`, 4), "shape"),
  bad("unknown dtype", buildFile(`{"a":${entry("[1]", 0, 4, "F33")}}`, 4), "F33"),
  bad(
    "a name twice",
    buildFile(`{"a":${one},"a":${entry("[1]", 4, 8)}}`, 8),
    "occurs twice",
  ),
  bad("header is an array", buildFile("[]"), "JSON object"),
  bad("header is null", buildFile("null"), "JSON object"),
  bad("header is a number", buildFile("7"), "JSON object"),
  bad("entry without dtype", buildFile(`{"a":{"shape":[1],"data_offsets":[0,4]}}`, 4), "dtype"),
  bad("metadata not text", buildFile(`{"__metadata__":{"n":1},"a":${one}}`, 4), "__metadata__"),
  legal("a tensor named __proto__", buildFile(`{"__proto__":${one}}`, 4)),
];

/** Odd but legal files. */
export const LEGAL: readonly SafetensorsCase[] = [
  legal("no tensors", buildFile("{}")),
  legal("a scalar", buildFile(`{"a":${entry("[]", 0, 4)}}`, 4)),
  legal("no elements", buildFile(`{"a":${entry("[2,0]", 0, 0)}}`)),
  legal("a zero before huge sizes", buildFile(`{"a":${entry("[0,4503599627370496,512]", 0, 0)}}`)),
  legal("blanks before the header", buildFile(` \n{"a":${one}}`, 4)),
  legal("blanks after the header", buildFile(`{"a":${one}}\n\t  `, 4)),
  legal("a tensor named constructor", buildFile(`{"constructor":${one}}`, 4)),
  legal(
    "data in another order than the header",
    buildFile(
      `{"b":${entry("[1]", 4, 8)},"a":${one}}`,
      8,
    ),
  ),
  legal("a hundred dimensions", buildFile(`{"a":${entry(`[${Array(100).fill(1)}]`, 0, 4)}}`, 4)),
  legal("a null metadata", buildFile(`{"__metadata__":null,"a":${one}}`, 4)),
  legal("an unknown field", buildFile(`{"a":{"x":["]","\\"}"],${one.slice(1)}}`, 4)),
  legal("4-bit elements", buildFile(`{"a":${entry("[3,2]", 0, 3, "F4")}}`, 3)),
];

/** Refused here, with the reason where the format's library is laxer. */
export const STRICTER: readonly SafetensorsCase[] = [
  // The library keeps one of the two; which one is the hash map's choice.
  bad("a name twice on the same bytes", buildFile(`{"a":${one},"a":${one}}`, 4), "occurs twice"),
  bad("an escaped name twice", buildFile(`{"a":${one},"\\u0061":${one}}`, 4), "occurs twice"),
  bad("a dtype twice", buildFile(`{"a":{"dtype":"F32",${one.slice(1)}}`, 4), "occurs twice"),
  bad("a lone surrogate as name", buildFile(`{"\\ud800":${one}}`, 4), "Unicode"),
  bad("an integer with a point", buildFile(`{"a":${entry("[1.0]", 0, 4)}}`, 4), "1.0"),
  bad("an exponent", buildFile(`{"a":${entry("[1e0]", 0, 4)}}`, 4), "1e0"),
  bad("a byte order mark", buildFile(`\ufeff{"a":${one}}`, 4), "JSON"),
  bad("shape 2^53+1", buildFile(`{"a":${entry("[9007199254740993]", 0, 4)}}`, 4), "safe integers"),
  bad("three offsets", buildFile(`{"a":${entry("[1]", 0, "4,4")}}`, 4), "data_offsets"),
  bad(
    "a zero after huge sizes",
    buildFile(
      `{"a":${entry("[9007199254740991,9007199254740991,0]", 0, 0)}}`,
    ),
    "too large",
  ),
  bad("a Git LFS pointer", new TextEncoder().encode("version https://git-lfs..."), "Git LFS"),
];
