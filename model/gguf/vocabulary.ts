/** The tokenizer in a GGUF file's metadata, as it lies there. */
import { MetadataReader } from "./metadata.ts";
import type { GgufMetadata, GgufValue } from "./value_types.ts";

/** Token i has `tokens[i]`, `types[i]` and `scores[i]`. */
export interface GgufVocabulary {
  /** "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), or one that is not supported. */
  readonly model: string;
  /** How text is split before BPE. */
  readonly pre?: string;
  readonly tokens: readonly string[];
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly types?: ArrayLike<number>;
  readonly scores?: ArrayLike<number>;
  /** "left right", best first. */
  readonly merges?: readonly string[];
  readonly bosId?: number;
  readonly eosId?: number;
  readonly unknownId?: number;
  readonly paddingId?: number;
  readonly addBos?: boolean;
  readonly addEos?: boolean;
  readonly addSpacePrefix?: boolean;
  readonly chatTemplate?: string;
  /** A whole `tokenizer.json`, which some files have. */
  readonly huggingFaceJson?: string;
}

const KEY = "tokenizer.ggml.", HF_JSON = "tokenizer.huggingface.json";

/**
 * @param path for messages
 * @throws ModelError: no tokenizer, a key of another type, lists of different lengths
 */
export function readVocabulary(metadata: GgufMetadata, path: string): GgufVocabulary {
  const reader = new MetadataReader(metadata, path);
  const tokens = reader.texts(`${KEY}tokens`) ??
    reader.fail(
      `${KEY}tokens`,
      "is missing: the file has no tokenizer; put tokenizer.json beside it",
    );
  for (const list of ["token_type", "scores"]) {
    const length = reader.numbers(`${KEY}${list}`)?.length ?? tokens.length;
    if (length === tokens.length) continue;
    reader.fail(`${KEY}${list}`, `has ${length} items for ${tokens.length} tokens`);
  }
  const id = (name: string) => {
    const key = `${KEY}${name}_token_id`, value = reader.number(key);
    const inside = value === undefined || Number.isInteger(value) && value >= 0 &&
        value < tokens.length;
    return inside ? value : reader.fail(key, `is ${value}, there are ${tokens.length} tokens`);
  };
  return {
    model: reader.text(`${KEY}model`) ?? reader.fail(`${KEY}model`, "is missing"),
    pre: reader.text(`${KEY}pre`),
    tokens,
    types: reader.numbers(`${KEY}token_type`),
    scores: reader.numbers(`${KEY}scores`),
    merges: reader.texts(`${KEY}merges`),
    bosId: id("bos"),
    eosId: id("eos"),
    unknownId: id("unknown"),
    paddingId: id("padding"),
    addBos: reader.flag(`${KEY}add_bos_token`),
    addEos: reader.flag(`${KEY}add_eos_token`),
    addSpacePrefix: reader.flag(`${KEY}add_space_prefix`),
    chatTemplate: reader.text("tokenizer.chat_template"),
    huggingFaceJson: reader.text(HF_JSON),
  };
}

/** The metadata of a vocabulary, in the order in which files usually have it. */
export function vocabularyMetadata(vocabulary: GgufVocabulary): [string, GgufValue][] {
  const { tokens, types, scores, merges } = vocabulary;
  const text = (key: string, value?: string): [string, GgufValue | undefined] => [
    key,
    value === undefined ? undefined : { type: "string", value },
  ];
  const id = (name: string, value?: number): [string, GgufValue | undefined] => [
    `${KEY}${name}_token_id`,
    value === undefined ? undefined : { type: "u32", value },
  ];
  const flag = (name: string, value?: boolean): [string, GgufValue | undefined] => [
    `${KEY}${name}`,
    value === undefined ? undefined : { type: "bool", value },
  ];
  const entries: [string, GgufValue | undefined][] = [
    text(`${KEY}model`, vocabulary.model),
    text(`${KEY}pre`, vocabulary.pre),
    [`${KEY}tokens`, { type: "array", of: "string", value: tokens }],
    [`${KEY}scores`, scores && { type: "array", of: "f32", value: Float32Array.from(scores) }],
    [`${KEY}token_type`, types && { type: "array", of: "i32", value: Int32Array.from(types) }],
    [`${KEY}merges`, merges && { type: "array", of: "string", value: merges }],
    id("bos", vocabulary.bosId),
    id("eos", vocabulary.eosId),
    id("unknown", vocabulary.unknownId),
    id("padding", vocabulary.paddingId),
    flag("add_bos_token", vocabulary.addBos),
    flag("add_eos_token", vocabulary.addEos),
    flag("add_space_prefix", vocabulary.addSpacePrefix),
    text("tokenizer.chat_template", vocabulary.chatTemplate),
    text(HF_JSON, vocabulary.huggingFaceJson),
  ];
  return entries.filter((entry): entry is [string, GgufValue] => entry[1] !== undefined);
}
