import { assertEquals } from "@std/assert";
import { decodeBase64 } from "./base64.ts";
import { dequantize } from "../../model/gguf/dequantize.ts";
import { quantize } from "../../model/gguf/quantize.ts";
import { blockOf, isReadable, READABLE, type ReadableType } from "../../model/gguf/tensor_types.ts";
import golden from "./blocks.json" with { type: "json" };

function floats(text: string): Float32Array<ArrayBuffer> {
  return new Float32Array(decodeBase64(text).buffer);
}

Deno.test("blocks of all eleven types have the bits of the gguf package", () => {
  assertEquals(golden.blocks.map(({ type }) => type).sort(), [...READABLE].sort());
  for (const { type, bytes, values } of golden.blocks) {
    const data = decodeBase64(bytes), expected = floats(values);
    const out = new Float32Array(expected.length);
    dequantize(type as ReadableType, data, out);
    assertEquals(data.length / blockOf(type as ReadableType).bytes * out.length > 0, true);
    assertEquals(new Uint32Array(out.buffer), new Uint32Array(expected.buffer), type);
  }
});

Deno.test("a block does not depend on the blocks before it", () => {
  for (const { type, bytes, values } of golden.blocks) {
    const block = blockOf(type as ReadableType), data = decodeBase64(bytes);
    const out = new Float32Array(block.values);
    const last = data.slice(data.length - block.bytes);
    dequantize(type as ReadableType, last, out);
    assertEquals([...out], [...floats(values).slice(-block.values)], type);
  }
});

Deno.test("Q8_0 blocks have the bytes of the gguf package, ties and zeros among them", () => {
  const values = floats(golden.q8_0.values);
  assertEquals(values.length, 18 * 32);
  assertEquals(quantize("Q8_0", values), decodeBase64(golden.q8_0.bytes));
});

Deno.test("Q8_0 comes back within half a step of its scale", () => {
  const values = floats(golden.q8_0.values), back = new Float32Array(values.length);
  dequantize("Q8_0", quantize("Q8_0", values), back);
  for (let block = 0; block < values.length; block += 32) {
    const part = values.subarray(block, block + 32);
    const step = Math.max(...part.map(Math.abs)) / 127;
    part.forEach((x, i) => {
      // float16 keeps 11 bits of the scale, or steps of 2^-24.
      const bound = step * (0.5 + 127 * 2 ** -11) + 127 * 2 ** -25;
      assertEquals(
        Math.abs(back[block + i] - x) <= bound,
        true,
        `${x} came back as ${back[block + i]}`,
      );
    });
  }
});

Deno.test("types that files may have but that are not read are known by name", () => {
  assertEquals(isReadable("Q2_K"), false);
  assertEquals([blockOf("Q6_K").values, blockOf("Q6_K").bytes], [256, 210]);
});
