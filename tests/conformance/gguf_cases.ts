/** Damaged GGUF files: fields of the header one by one, and bytes. */
import { assertEquals } from "@std/assert";
import { tokenizerOfGguf } from "../../data/gguf_tokenizer.ts";
import { loadTokenizer } from "../../data/tokenizer.ts";
import { readGgufConfig } from "../../model/gguf/config_read.ts";
import { GgufFile } from "../../model/gguf/file.ts";
import { ggufStore } from "../../model/gguf/store.ts";
import { isReadable } from "../../model/gguf/tensor_types.ts";
import { readVocabulary } from "../../model/gguf/vocabulary.ts";
import { encodeHeader } from "../../model/gguf/write.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { elementCount } from "../../model/safetensors_header.ts";
import { type Field, modelFields, oddFields, serialize } from "./gguf_fields.ts";
import { type Choices, choices, COUNTS, damageBytes } from "./random.ts";
import type { Kind } from "./run_cases.ts";

/** Every fourth case is a whole model; its tokenizer is built too. */
const MODEL_EVERY = 4;

function damageFields(fields: readonly Field[], random: Choices): Field[] {
  const damaged = [...fields];
  for (let n = 1 + random.below(2); n > 0; n--) {
    const at = random.below(damaged.length), field = damaged[at];
    const action = random.below(6);
    if (action === 0) damaged.splice(at, 1);
    else if (action === 1) damaged.splice(at, 0, field);
    else if (action === 2) damaged[at] = damaged[random.below(damaged.length)];
    else if (field.type === "text") damaged[at] = { ...field, value: oddText(field.value, random) };
    else if (field.type === "bytes") damaged[at] = { ...field, value: field.value.slice(1) };
    else damaged[at] = { ...field, value: random.pick(COUNTS) };
  }
  return damaged;
}

function oddText(text: string, random: Choices): string {
  return random.pick([
    "",
    `${text}\u0000`,
    text.toUpperCase(),
    "a".repeat(300),
    text.slice(1),
    "é",
  ]);
}

function make(index: number): Uint8Array {
  const random = choices("gguf", index);
  const fields = index % MODEL_EVERY === 0 ? modelFields() : oddFields();
  const bytes = serialize(fields);
  // Cut at every byte of the small file first.
  const cut = Math.floor(index / MODEL_EVERY) * (MODEL_EVERY - 1) + index % MODEL_EVERY - 1;
  if (index % MODEL_EVERY !== 0 && cut < bytes.length) return bytes.slice(0, cut);
  if (index % MODEL_EVERY === 0 && index < MODEL_EVERY) return bytes;
  return random.below(3) === 0
    ? damageBytes(bytes, random)
    : serialize(damageFields(fields, random));
}

/** Reads everything; the metadata must be written the same. */
function read(bytes: Uint8Array, path: string): void {
  using file = GgufFile.fromBytes(bytes, path);
  for (const [name, { type, shape }] of file.tensors) {
    if (isReadable(type)) file.readRows(name, 0, elementCount(shape.slice(0, -1)));
  }
  const specs = [...file.tensors].filter(([, { type }]) => type === "F32")
    .map(([name, { shape }]) => ({ name, shape, type: "F32" as const }));
  const head = encodeHeader(file.metadata, specs);
  const data = specs.reduce((n, { shape }) => n + Math.ceil(elementCount(shape) / 8) * 32, 0);
  const written = new Uint8Array(head.length + data);
  written.set(head);
  // Another alignment of the source would move the data.
  if (!file.metadata.has("general.alignment")) {
    using again = GgufFile.fromBytes(written, path);
    assertEquals(again.metadata, file.metadata);
  }
  if (file.metadata.has("general.architecture")) readModel(file, path);
}

function readModel(file: GgufFile, path: string): void {
  const { architecture, config } = readGgufConfig(file);
  const checked = parseArchitecture(JSON.stringify(config), path);
  const store = ggufStore(file, architecture.tensors, checked);
  for (const [name, { shape }] of store.tensors) {
    // As far as its shape fits: a model is only read when all do.
    if (shape[0] === checked.numAttentionHeads * checked.headDim) store.readF32(name);
  }
  loadTokenizer(tokenizerOfGguf(path, readVocabulary(file.metadata, path))).encode("the end");
}

export const GGUF: Kind = { name: "x.gguf", count: 20_000, make, read };
