/** The files of a Hugging Face tokenizer as the tokenizer of a GGUF file: `gguf_tokenizer.ts` backwards. */
import { DataError } from "./error.ts";
import { nameOfSplit, nearestSplit } from "./gguf_splits.ts";
import { TOKEN_TYPES, type VocabularySource } from "./gguf_tokenizer.ts";
import { loadTokenizer, type TokenizerFiles, tokenText } from "./tokenizer.ts";
import { parseObject, readTokenizerFile, type TokenizerFile } from "./tokenizer_file.ts";

type Json = Readonly<Record<string, unknown>>;

/** Spaces of SentencePiece, and its tokens for bytes. */
const SPACE = "▁", BYTE = /^<0x[0-9A-F]{2}>$/;

/** A vocabulary, and what the user should know about it. */
export interface WrittenVocabulary {
  readonly vocabulary: VocabularySource;
  readonly notices: readonly string[];
}

/**
 * The vocabulary with `rows` tokens, as many as the model has embeddings. Where the way a byte-level
 * tokenizer splits text has no name in GGUF files, the nearest one stands there with a notice, and the
 * whole `tokenizer.json` beside it for readers that look at it, as this program does.
 *
 * @throws DataError naming the file: a kind of tokenizer that GGUF files do not have
 */
export function ggufVocabulary(files: TokenizerFiles, rows: number): WrittenVocabulary {
  const name = `${files.name}/tokenizer.json`;
  const fail = (problem: string): never => {
    throw new DataError(`Writing the tokenizer "${name}" as GGUF: ${problem}`);
  };
  const file = readTokenizerFile(name, files.tokenizer), { json } = file;
  const tokenizer = loadTokenizer(files);
  const config = files.config === undefined ? {} : parseObject(name, files.config);
  const model = json.model as Json;
  if (model.type !== "BPE") fail(`its model is ${model.type}, only BPE can be written`);
  if (file.vocabSize > rows) {
    fail(`it has ids up to ${file.vocabSize - 1}, the model has only ${rows} embeddings`);
  }
  const steps = flatten(json.normalizer, "normalizers");
  const known = ["Prepend", "Replace", "NFC"];
  const odd = steps.find(({ type }) => !known.includes(String(type)));
  if (odd !== undefined) fail(`its normalizer has ${odd.type}, which readers of GGUF do not know`);
  const common = {
    ...tokensOf(file, rows),
    bosId: tokenizer.bosId,
    eosId: tokenizer.eosId,
    paddingId: file.ids.get(tokenText(config.pad_token) ?? ""),
    addBos: tokenizer.bosId !== undefined && tokenizer.encode("a")[0] === tokenizer.bosId,
    chatTemplate: files.chatTemplate ?? tokenizer.namedTemplates.get("default"),
  };
  const merges = mergesOf(model);
  if (model.byte_fallback === true) {
    const vocabulary = {
      ...common,
      model: "llama",
      pre: "default",
      scores: scoresOf(common.tokens, merges),
      unknownId: file.ids.get(String(model.unk_token)),
      addSpacePrefix: prependsSpace(json),
    };
    return { vocabulary, notices: [] };
  }
  const splits = flatten(json.pre_tokenizer, "pretokenizers");
  if (!splits.some(({ type }) => type === "ByteLevel")) {
    fail("it is neither byte-level nor has tokens for bytes");
  }
  const byteLevel = {
    ...common,
    model: "gpt2",
    merges: merges.map((pair) => pair.join(" ")),
  };
  const ignoreMerges = model.ignore_merges === true;
  const pre = nameOfSplit(json.pre_tokenizer, { ignoreMerges, normalizes: steps.length > 0 });
  if (pre !== undefined) return { vocabulary: { ...byteLevel, pre }, notices: [] };
  const near = nearestSplit(json.pre_tokenizer);
  const notice = `The way "${name}" splits text has no name in GGUF files: it is written as ` +
    `"${near}", so that other programs may cut some words into other tokens`;
  return {
    vocabulary: { ...byteLevel, pre: near, huggingFaceJson: files.tokenizer },
    notices: [notice],
  };
}

function tokensOf({ ids, json }: TokenizerFile, rows: number) {
  // Rows without a token are named so by other writers too.
  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(rows).fill(TOKEN_TYPES.unused);
  const { unk_token: unknown, byte_fallback: bytes } = json.model as Json;
  for (const [token, id] of ids) {
    tokens[id] = token;
    types[id] = bytes === true && BYTE.test(token) ? TOKEN_TYPES.byte : TOKEN_TYPES.normal;
  }
  for (const added of json.added_tokens as Json[]) {
    types[added.id as number] = added.special === true
      ? TOKEN_TYPES.control
      : TOKEN_TYPES.userDefined;
  }
  const unknownId = bytes === true ? ids.get(String(unknown)) : undefined;
  if (unknownId !== undefined) types[unknownId] = TOKEN_TYPES.unknown;
  return { tokens, types };
}

function mergesOf(model: Json): [string, string][] {
  return (model.merges as (string | [string, string])[]).map((merge) =>
    (typeof merge === "string" ? merge.split(" ") : merge) as [string, string]
  );
}

/** Higher is merged earlier: minus the place of the first merge that makes the token. */
function scoresOf(tokens: readonly string[], merges: readonly [string, string][]): Float32Array {
  const places = new Map<string, number>();
  merges.forEach(([left, right], place) => {
    if (!places.has(left + right)) places.set(left + right, place);
  });
  return Float32Array.from(tokens, (token) => -(places.get(token) ?? merges.length));
}

/** Whether a space is put before the text. */
function prependsSpace(json: Json): boolean {
  const normalizers = flatten(json.normalizer, "normalizers");
  if (normalizers.some(({ type, prepend }) => type === "Prepend" && prepend === SPACE)) return true;
  const splits = flatten(json.pre_tokenizer, "pretokenizers");
  return splits.some(({ type, prepend_scheme, add_prefix_space }) =>
    type === "Metaspace" &&
    (prepend_scheme === undefined ? add_prefix_space !== false : prepend_scheme !== "never")
  );
}

/** The steps of a part of `tokenizer.json` that may be none, one, or a sequence. */
function flatten(part: unknown, list: string): Json[] {
  if (part === null || part === undefined) return [];
  const inner = (part as Json)[list];
  return Array.isArray(inner) ? inner.flatMap((step) => flatten(step, list)) : [part as Json];
}
