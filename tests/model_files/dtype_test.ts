import { assertEquals } from "@std/assert";
import { bitsOf, decodeFloats, encodeFloats, firstNonFinite, isDtype } from "../../model/dtype.ts";
import { philox } from "../../model/philox.ts";

function bits16(dtype: "F16" | "BF16", values: number[]): number[] {
  return [...new Uint16Array(encodeFloats(dtype, Float32Array.from(values)).buffer)];
}

function decode16(dtype: "F16" | "BF16", words: Uint16Array): Float32Array {
  const out = new Float32Array(words.length);
  decodeFloats(dtype, new Uint8Array(words.buffer), out);
  return out;
}

const allWords = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** Value of a float of `exponentBits` and `fractionBits`, by the definition. */
function valueOf(word: number, exponentBits: number, fractionBits: number): number {
  const sign = word >>> 15 ? -1 : 1;
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = (word >>> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (word & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

Deno.test("all 65,536 words of F16 and BF16 have the value of the definition and come back", () => {
  for (const [dtype, exponentBits, fractionBits] of [["F16", 5, 10], ["BF16", 8, 7]] as const) {
    const values = decode16(dtype, allWords);
    const back = new Uint16Array(encodeFloats(dtype, values).buffer);
    const again = decode16(dtype, back);
    for (let word = 0; word < 65536; word++) {
      const expected = valueOf(word, exponentBits, fractionBits);
      assertEquals(Object.is(values[word], expected), true, `${dtype} ${word.toString(16)}`);
      // The quiet bit of a NaN may be set on the way; it stays a NaN of the same sign.
      if (Number.isNaN(expected)) assertEquals(Number.isNaN(again[word]), true);
      else assertEquals(back[word], word, `${dtype} ${word.toString(16)}`);
    }
  }
});

Deno.test("bfloat16 rounds to nearest even", () => {
  const known: [number, number][] = [
    [1, 0x3f80],
    [-2.5, 0xc020],
    [1 + 2 ** -8, 0x3f80], // tie, down to even
    [1 + 3 * 2 ** -8, 0x3f82], // tie, up to even
    [1 + 2 ** -8 + 2 ** -20, 0x3f81],
    [0.1, 0x3dcd],
    [-0, 0x8000],
    [2 ** -133, 0x0001], // smallest subnormal
    [2 ** -134, 0x0000],
    [3.3895313892515355e38, 0x7f7f], // largest
    [3.4e38, 0x7f80],
    [Infinity, 0x7f80],
    [-Infinity, 0xff80],
    [NaN, 0x7fc0],
  ];
  assertEquals(bits16("BF16", known.map(([x]) => x)), known.map(([, word]) => word));
  // A NaN whose payload sits in the low bits only would turn into infinity if it were cut.
  const sneaky = new Float32Array(new Uint32Array([0x7f800001, 0xffffffff]).buffer);
  assertEquals([...new Uint16Array(encodeFloats("BF16", sneaky).buffer)], [0x7fc0, 0xffff]);
});

Deno.test("float16 rounds to nearest even", () => {
  const known: [number, number][] = [
    [1, 0x3c00],
    [1 + 2 ** -11, 0x3c00], // tie, down to even
    [1 + 3 * 2 ** -11, 0x3c02], // tie, up to even
    [0.1, 0x2e66],
    [65504, 0x7bff],
    [65519, 0x7bff],
    [65520, 0x7c00], // tie, up to infinity
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 * 1.5, 0x0001],
    [-Infinity, 0xfc00],
  ];
  assertEquals(bits16("F16", known.map(([x]) => x)), known.map(([, word]) => word));
});

Deno.test("20,000 random values round to the nearest 16-bit value, ties to the even word", () => {
  const words = new Uint32Array(20_000);
  for (let i = 0; i < words.length; i += 4) philox([i, 0, 0, 0], [7, 0], words.subarray(i, i + 4));
  const values = new Float32Array(words.buffer);
  for (const dtype of ["F16", "BF16"] as const) {
    const table = decode16(dtype, allWords);
    const encoded = new Uint16Array(encodeFloats(dtype, values).buffer);
    const largest = dtype === "F16" ? 0x7bff : 0x7f7f;
    for (let i = 0; i < values.length; i++) {
      const x = Math.abs(values[i]), word = encoded[i] & 0x7fff;
      if (Number.isNaN(x) || word > largest) continue;
      const error = Math.abs(table[word] - x);
      for (const neighbour of [word - 1, word + 1]) {
        if (neighbour < 0 || neighbour > largest) continue;
        const other = Math.abs(table[neighbour] - x);
        const nearest = error < other || (error === other && word % 2 === 0);
        assertEquals(nearest, true, `${dtype} ${values[i]}`);
      }
    }
  }
});

Deno.test("the first NaN or infinity is found by its bits", () => {
  assertEquals(firstNonFinite(Float32Array.of(0, 1, -3.4e38, 1e-45)), -1);
  assertEquals(firstNonFinite(Float32Array.of(0, 1, NaN, Infinity)), 2);
  assertEquals(firstNonFinite(Float32Array.of(-Infinity)), 0);
  assertEquals(firstNonFinite(new Float32Array(new Uint32Array([0, 0xff800001]).buffer)), 1);
  assertEquals(firstNonFinite(Float32Array.of(NaN, 1, 2).subarray(1)), -1);
});

Deno.test("dtype names are exact", () => {
  assertEquals(["F32", "BF16", "F4", "I64"].map(isDtype), [true, true, true, true]);
  assertEquals(["f32", "", "toString", "__proto__", 1, null].some(isDtype), false);
  assertEquals([bitsOf("F4"), bitsOf("F6_E2M3"), bitsOf("C64")], [4, 6, 64]);
});
