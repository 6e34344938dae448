/** GGUF headers with one fault each, and what is said about it. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ModelError } from "../../model/error.ts";
import { readGgufConfig } from "../../model/gguf/config_read.ts";
import { GgufFile } from "../../model/gguf/file.ts";
import { type Field, modelFields, oddFields, serialize } from "../conformance/gguf_fields.ts";

/** Fields after one that is the text `name`. */
function change(
  name: string,
  offset: number,
  value: Partial<Field>,
  fields = oddFields(),
): Field[] {
  const at = fields.findIndex((field) => field.type === "text" && field.value === name);
  assertEquals(at >= 0, true, name);
  return fields.with(at + offset, { ...fields[at + offset], ...value } as Field);
}

const n = (value: bigint | number) => ({ value: BigInt(value) });
const t = (value: string) => ({ value });

const REFUSED: readonly (readonly [string, Field[], string])[] = [
  ["magic", oddFields().with(0, { type: "u32", value: 1n }), "does not begin with GGUF"],
  ["version 1", oddFields().with(1, { type: "u32", value: 1n }), "GGUF version 1 is not read"],
  ["big-endian", oddFields().with(1, { type: "u32", value: 3n << 24n }), "it is big-endian"],
  ["tensor count", oddFields().with(2, { type: "u64", value: 2n ** 40n }), "number of tensors"],
  ["key count", oddFields().with(3, { type: "u64", value: 2n ** 63n }), "too large"],
  ["value type", change("a.u8", 1, n(13)), `value of "a.u8" has the unknown type 13`],
  ["boolean", change("a.bool", 2, n(2)), `"a.bool" is the boolean 2`],
  ["a key twice", change("a.bool", 0, t("a.u8")), `key "a.u8" occurs twice`],
  ["nested array", change("a.texts", 2, n(9)), "an array of arrays"],
  ["list length", change("a.texts", 3, n(2 ** 30)), `length of "a.texts"`],
  ["array of booleans", change("a.bools", 5, n(3)), `"a.bools" has booleans other than 0 and 1`],
  ["alignment 0", change("general.alignment", 2, n(0)), "must be a power of two"],
  ["alignment 24", change("general.alignment", 2, n(24)), "must be a power of two"],
  ["a tensor twice", change("t.f16", 0, t("t.f32")), `tensor "t.f32" occurs twice`],
  ["dimensions", change("t.f32", 1, n(5)), `tensor "t.f32": 5 dimensions`],
  ["a huge size", change("t.f32", 3, n(2n ** 52n)), `tensor "t.f32": shape`],
  ["tensor type", change("t.f32", 4, n(99)), `tensor "t.f32": unknown type 99`],
  ["part of a block", change("t.q8", 2, n(33)), "rows of 33 values are no whole blocks of 32"],
  ["overlap", change("t.f16", 4, n(0)), `tensor "t.f32": its data begins at byte 0 of the data`],
  ["a hole", change("t.f16", 4, n(64)), `its data begins at byte 64 of the data, it should at`],
  ["not aligned", change("t.f16", 4, n(24)), "begins at byte 24"],
  [
    "too much data",
    [...oddFields(), { type: "bytes", value: new Uint8Array(33) }],
    "the tensors end",
  ],
];

Deno.test("a fault of the header is named, with the file", () => {
  for (const [name, fields, says] of REFUSED) {
    const open = () => GgufFile.fromBytes(serialize(fields), "some.gguf").close();
    const { message } = assertThrows(open, ModelError);
    assertStringIncludes(message, `Cannot read "some.gguf"`, name);
    assertStringIncludes(message, says, name);
  }
});

Deno.test("every kind of value and type is read as it lies", () => {
  using file = GgufFile.fromBytes(serialize(oddFields()));
  const value = (key: string) => file.metadata.get(key)!.value;
  assertEquals([value("a.u8"), value("a.bool"), value("a.text")], [7, true, "hello"]);
  assertEquals([value("a.u64"), value("a.f32")], [5n, 1]);
  assertEquals([value("a.texts"), value("a.i32s")], [["x", "é"], Int32Array.of(1, -1)]);
  // The file's first size is the length of a row.
  assertEquals(file.tensors.get("t.f32")!.shape, [3, 2]);
  assertEquals(file.readRows("t.empty", 0, 1).length, 0);
  assertEquals([...file.readRows("t.f32", 1, 3)], [...file.readRows("t.f32", 0, 3)].slice(2));
  assertThrows(() => file.readRows("t.f32", 2, 4), ModelError, "rows 2 to 4 asked for, it has 3");
  assertThrows(() => file.readRows("t.x", 0, 1), ModelError, "no such tensor");
});

Deno.test("every cut of a file is refused before its tensors are read", () => {
  const bytes = serialize(oddFields());
  // Zeros that fill up the end need not be there.
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  for (let length = 0; length < end; length++) {
    const open = () => GgufFile.fromBytes(bytes.subarray(0, length));
    const { message } = assertThrows(open, ModelError);
    assertEquals(message.includes("it ended at"), false, `${length}: ${message}`);
  }
});

Deno.test("a fault of a model's metadata is named with its key", () => {
  const model = (name: string, offset: number, value: Partial<Field>) =>
    change(name, offset, value, modelFields());
  const refused: [Field[], string][] = [
    [model("general.architecture", 2, t("mamba")), `is "mamba", supported are llama, qwen2`],
    [model("llama.block_count", 0, t("llama.blocks")), `"llama.block_count" is missing`],
    [model("llama.block_count", 2, n(2 ** 20)), "must be an integer from 1 to 4096"],
    [model("llama.attention.head_count_kv", 0, t("llama.expert_count")), "is 2: it is not known"],
    [model("llama.rope.dimension_count", 2, n(2)), "only whole heads of 4 may turn"],
    [model("token_embd.weight", 0, t("blk.0.embd.weight")), `"token_embd.weight" is missing`],
  ];
  for (const [fields, says] of refused) {
    using file = GgufFile.fromBytes(serialize(fields), "some.gguf");
    const { message } = assertThrows(() => readGgufConfig(file), ModelError);
    assertStringIncludes(message, `"some.gguf"`);
    assertStringIncludes(message, says);
  }
  using file = GgufFile.fromBytes(serialize(modelFields()));
  const { config } = readGgufConfig(file);
  assertEquals([config.num_key_value_heads, config.rms_norm_eps, config.rope_theta], [
    2,
    1e-5,
    10000,
  ]);
});
