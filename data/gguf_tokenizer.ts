/**
 * The tokenizer of a GGUF file as the files of a Hugging Face tokenizer. Byte-level BPE ("gpt2") has its
 * merges in the file; SentencePiece BPE ("llama") has scores: the pair whose product has the highest
 * score is merged first, so that merges in the order of scores do the same.
 */
import { DataError } from "./error.ts";
import { KNOWN_SPLITS, splitNamed } from "./gguf_splits.ts";
import type { TokenizerFiles } from "./tokenizer.ts";

/** A GGUF file's tokenizer; token i has `tokens[i]`, `types[i]` and `scores[i]`. */
export interface VocabularySource {
  readonly model: string;
  readonly pre?: string;
  readonly tokens: readonly string[];
  readonly types?: ArrayLike<number>;
  readonly scores?: ArrayLike<number>;
  readonly merges?: readonly string[];
  readonly bosId?: number;
  readonly eosId?: number;
  readonly unknownId?: number;
  readonly paddingId?: number;
  readonly addBos?: boolean;
  readonly addSpacePrefix?: boolean;
  readonly chatTemplate?: string;
  /** A whole `tokenizer.json`, which some files have; it says more than the rest. */
  readonly huggingFaceJson?: string;
}

/** Kinds of tokens in `types`. */
export const TOKEN_TYPES = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** No real vocabulary comes near; cutting a token in all ways takes the square of it. */
const LONGEST_TOKEN = 1024;

type Json = Readonly<Record<string, unknown>>;

/**
 * The texts of `tokenizer.json` and `tokenizer_config.json`.
 *
 * @param file the GGUF file's path, used in messages
 * @throws DataError naming the file: a kind of tokenizer that is not supported, or inconsistent lists
 */
export function tokenizerOfGguf(file: string, source: VocabularySource): TokenizerFiles {
  const fail = failing(file);
  if (source.model !== "gpt2" && source.model !== "llama") {
    fail(
      `its kind is ${
        show(source.model)
      }, supported are gpt2 and llama; put tokenizer.json beside it`,
    );
  }
  if (source.eosId === undefined) fail("it names no end-of-text token");
  const token = (id: number | undefined) => id === undefined ? undefined : source.tokens[id];
  const { text, addBos } = source.huggingFaceJson === undefined
    ? tokenizerText(source, fail)
    : { text: source.huggingFaceJson, addBos: source.addBos };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: token(source.bosId),
    eos_token: token(source.eosId),
    unk_token: token(source.unknownId),
    pad_token: token(source.paddingId),
    add_bos_token: addBos,
    clean_up_tokenization_spaces: false,
    chat_template: source.chatTemplate,
  };
  return {
    name: file,
    tokenizer: text,
    config: JSON.stringify(config, null, 2) + "\n",
  };
}

/** `tokenizer.json` out of the lists. */
function tokenizerText(
  source: VocabularySource,
  fail: Fail,
): { readonly text: string; readonly addBos: boolean } {
  const vocab = vocabularyOf(source, fail);
  const parts = source.model === "gpt2"
    ? byteLevelParts(source, vocab, fail)
    : sentencePieceParts(source, vocab, fail);
  const { bosId, tokens } = source;
  const addBos = bosId !== undefined && (source.addBos ?? parts.addBos);
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(source),
    normalizer: parts.normalizer,
    pre_tokenizer: parts.preTokenizer,
    post_processor: addBos ? bosInFront(bosId, tokens[bosId]) : null,
    decoder: parts.decoder,
    model: parts.model,
  };
  return { text: JSON.stringify(tokenizer), addBos };
}

interface Parts {
  readonly normalizer: Json | null;
  readonly preTokenizer: Json | null;
  readonly decoder: Json;
  readonly model: Json;
  readonly addBos: boolean;
}

type Fail = (problem: string) => never;

function failing(file: string): Fail {
  return (problem) => {
    throw new DataError(`Reading the tokenizer of "${file}": ${problem}`);
  };
}

function show(value: string): string {
  return JSON.stringify(value.slice(0, 60));
}

/** Token to id. Unused ones only fill up the embedding: no text may become one. */
function vocabularyOf({ tokens, types }: VocabularySource, fail: Fail): Map<string, number> {
  const vocab = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (types?.[id] === TOKEN_TYPES.unused) return;
    if (token.length > LONGEST_TOKEN) fail(`token ${id} has ${token.length} characters`);
    const other = vocab.get(token);
    if (other !== undefined) fail(`the token ${show(token)} has the ids ${other} and ${id}`);
    vocab.set(token, id);
  });
  return vocab;
}

function byteLevelParts(
  { pre = "default", merges }: VocabularySource,
  vocab: ReadonlyMap<string, number>,
  fail: Fail,
): Parts {
  const split = splitNamed(pre) ?? fail(
    `it splits text as ${show(pre)}, supported are ${KNOWN_SPLITS.join(", ")}; ` +
      `put tokenizer.json beside it`,
  );
  if (merges === undefined) fail("it has no merges");
  const pairs = merges!.map((merge, i) => {
    const pair = merge.split(" ");
    return pair.length === 2 ? pair : fail(`merge ${i} is ${show(merge)}, not two tokens`);
  });
  return {
    ...split,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: split.ignoreMerges,
      vocab: Object.fromEntries(vocab),
      merges: pairs,
    },
  };
}

function sentencePieceParts(
  source: VocabularySource,
  vocab: ReadonlyMap<string, number>,
  fail: Fail,
): Parts {
  const { scores, tokens, addSpacePrefix = true, unknownId } = source;
  if (scores === undefined) fail("it has no scores");
  if (!Array.from(scores!).every(Number.isFinite)) fail("it has scores that are not finite");
  const space = "▁";
  const replace = { type: "Replace", pattern: { String: " " }, content: space };
  const decoders: Json[] = [
    { type: "Replace", pattern: { String: space }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  if (addSpacePrefix) decoders.push({ type: "Strip", content: " ", start: 1, stop: 0 });
  return {
    normalizer: addSpacePrefix
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: space }, replace] }
      : replace,
    preTokenizer: null,
    decoder: { type: "Sequence", decoders },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: unknownId === undefined ? null : tokens[unknownId],
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges: mergesByScore(vocab, scores!),
    },
    addBos: true,
  };
}

/** Every way to put a token together from two others, the best token first, then the longer left part. */
function mergesByScore(
  vocab: ReadonlyMap<string, number>,
  scores: ArrayLike<number>,
): [string, string][] {
  const merges: { readonly pair: [string, string]; readonly score: number }[] = [];
  for (const [token, id] of vocab) {
    for (let cut = 1; cut < token.length; cut++) {
      const left = token.slice(0, cut), right = token.slice(cut);
      if (!vocab.has(left) || !vocab.has(right)) continue;
      merges.push({ pair: [left, right], score: scores[id] });
    }
  }
  merges.sort((a, b) => b.score - a.score || b.pair[0].length - a.pair[0].length);
  return merges.map(({ pair }) => pair);
}

/** Tokens that are found in the text before it is split. */
function addedTokens({ tokens, types }: VocabularySource): Json[] {
  const added: Json[] = [];
  tokens.forEach((content, id) => {
    const type = types?.[id] ?? TOKEN_TYPES.normal;
    const special = type === TOKEN_TYPES.control || type === TOKEN_TYPES.unknown;
    if (!special && type !== TOKEN_TYPES.userDefined || content === "") return;
    added.push({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special,
    });
  });
  return added;
}

function bosInFront(id: number, token: string): Json {
  const special = (type: number) => ({ SpecialToken: { id: token, type_id: type } });
  const text = (name: string, type: number) => ({ Sequence: { id: name, type_id: type } });
  return {
    type: "TemplateProcessing",
    single: [special(0), text("A", 0)],
    pair: [special(0), text("A", 0), special(1), text("B", 1)],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
