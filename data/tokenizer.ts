/** Text to token ids and back, by a Hugging Face `tokenizer.json`. */
import { Tokenizer } from "@huggingface/tokenizers";
import { findAddedTokens } from "./added_tokens.ts";
import { type ChatRenderer, compileChatTemplate } from "./chat_template.ts";
import { DataError } from "./error.ts";
import { buildNormalizer } from "./normalizer.ts";
import { buildPreTokenizer } from "./pre_tokenizer.ts";
import { parseObject, readTokenizerFile, type TokenizerFile } from "./tokenizer_file.ts";

/** The texts of a model folder's tokenizer files. */
export interface TokenizerFiles {
  /** The folder's path or the model's name, used in messages. */
  readonly name: string;
  /** `tokenizer.json` */
  readonly tokenizer: string;
  /** `tokenizer_config.json` */
  readonly config?: string;
  /** `special_tokens_map.json`, asked for tokens that the config does not name. */
  readonly specialTokensMap?: string;
  /** `chat_template.jinja`, which newer models have instead of a key in the config. */
  readonly chatTemplate?: string;
}

/** A model's tokenizer. */
export interface TextTokenizer {
  readonly name: string;
  /** The largest id + 1; a model needs at least as many rows of embedding. */
  readonly vocabSize: number;
  readonly bosId?: number;
  readonly bosToken?: string;
  /** Ends every completion. */
  readonly eosId: number;
  readonly eosToken: string;
  /** Present when the model has a chat template: its only one, or the one named `default`. */
  readonly chatTemplate?: ChatRenderer;
  /** Texts of the model's templates by name, where it has several. */
  readonly namedTemplates: ReadonlyMap<string, string>;
  /**
   * Token ids of a text. With `addSpecialTokens` (default true) what the tokenizer puts at the front
   * (BOS) is there exactly once, also when the text itself begins with it as rendered chats do. EOS is
   * never added. Throws DataError when the tokenizer cannot express the text.
   */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): Uint32Array;
  /** The text of token ids, spaces left as they are. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
}

/**
 * Loads a tokenizer.
 *
 * @throws DataError naming the file and what is wrong with it; a tokenizer without an end-of-text token
 * is refused, because completions are scored with it.
 */
export function loadTokenizer(files: TokenizerFiles): TextTokenizer {
  const tokenizerName = `${files.name}/tokenizer.json`;
  const configName = `${files.name}/tokenizer_config.json`;
  const file = readTokenizerFile(tokenizerName, files.tokenizer);
  const config = files.config === undefined ? {} : parseObject(configName, files.config);
  const map = files.specialTokensMap === undefined
    ? {}
    : parseObject(`${files.name}/special_tokens_map.json`, files.specialTokensMap);

  const special = (key: string): { id: number; token: string } | undefined => {
    const token = tokenText(config[key]) ?? tokenText(map[key]);
    if (token === undefined) return undefined;
    const id = file.ids.get(token);
    if (id === undefined) {
      throw new DataError(
        `Reading tokenizer file "${configName}": "${key}" is "${token}", ` +
          `which is not a token of "${tokenizerName}"`,
      );
    }
    return { id, token };
  };
  const bos = special("bos_token");
  const eos = special("eos_token");
  if (!eos) {
    throw new DataError(
      `Reading tokenizer file "${configName}": it names no "eos_token", ` +
        `add the token that ends a text`,
    );
  }
  const library = buildLibraryTokenizer(tokenizerName, file.json, config);
  const encodePlain = buildEncoder(library, tokenizerName, file);
  const front = frontTokens(library, tokenizerName, file.ids, config.add_bos_token, bos?.id);
  const named = templatesOf(configName, config.chat_template);
  const template = files.chatTemplate ?? named.get("default");
  return {
    name: files.name,
    vocabSize: file.vocabSize,
    bosId: bos?.id,
    bosToken: bos?.token,
    eosId: eos.id,
    eosToken: eos.token,
    chatTemplate: template === undefined
      ? undefined
      : compileChatTemplate(files.name, template, { bosToken: bos?.token, eosToken: eos.token }),
    namedTemplates: named,
    encode: (text, { addSpecialTokens = true } = {}) => {
      const ids = encodePlain(text);
      const present = front.every((id, i) => ids[i] === id);
      return Uint32Array.from(addSpecialTokens && !present ? [...front, ...ids] : ids);
    },
    decode: (ids, { skipSpecialTokens = false } = {}) =>
      // The library refuses an empty list.
      ids.length === 0 ? "" : library.decode(Array.from(ids), {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: false,
      }),
  };
}

/** Pieces whose ids are remembered, and how long such a piece may be. */
const KNOWN_PIECES = 50_000, LONGEST_KNOWN = 256;

function buildLibraryTokenizer(name: string, json: object, config: object): Tokenizer {
  try {
    // Normalizer and splitting are not asked of it, see buildEncoder.
    const library = new Tokenizer({ ...json, normalizer: null, pre_tokenizer: null }, config);
    library.encode("a");
    return library;
  } catch (error) {
    throw new DataError(
      `Reading tokenizer file "${name}": it cannot be used (${(error as Error).message})`,
      { cause: error },
    );
  }
}

/**
 * Ids without special tokens around them. Merges are the library's; added tokens, normalizer and
 * splitting are this program's, because the library's differ from the Rust library in places. Ids that
 * the vocabulary lacks are an error.
 */
function buildEncoder(
  library: Tokenizer,
  name: string,
  file: TokenizerFile,
): (text: string) => number[] {
  const normalize = buildNormalizer(name, "normalizer", file.json.normalizer);
  const preTokenize = buildPreTokenizer(name, "pre_tokenizer", file.json.pre_tokenizer);
  const partText = findAddedTokens(file.added);
  const partNormalized = findAddedTokens(
    file.addedNormalized.map((token) => ({ ...token, content: normalize(token.content) })),
  );
  const model = library.model!;
  // Most pieces are words that occur again and again.
  const known = new Map<string, number[]>();
  const encodePiece = (piece: string): number[] => {
    const found = known.get(piece);
    if (found) return found;
    const ids = mergePiece(piece);
    if (known.size >= KNOWN_PIECES) known.clear();
    if (piece.length <= LONGEST_KNOWN) known.set(piece, ids);
    return ids;
  };
  const mergePiece = (piece: string): number[] =>
    model([piece]).map((token) => {
      const id = file.ids.get(token);
      if (id !== undefined) return id;
      throw new DataError(
        `Encoding a text by "${name}": the vocabulary has no token for a part of ` +
          `${JSON.stringify(piece.slice(0, 60))} and no unknown token`,
      );
    });
  return (text) =>
    partText(text).flatMap((outer) =>
      "id" in outer
        ? [outer.id]
        : partNormalized(normalize(outer.text)).flatMap((inner) =>
          "id" in inner
            ? [inner.id]
            : preTokenize(inner.text, outer.atStart && inner.atStart).flatMap(encodePiece)
        )
    );
}

/**
 * What the tokenizer puts before a text: the front of its post-processor, unless `add_bos_token` of the
 * config says otherwise (transformers rebuilds the post-processor by that key).
 */
function frontTokens(
  library: Tokenizer,
  name: string,
  ids: ReadonlyMap<string, number>,
  addBos: unknown,
  bos: number | undefined,
): number[] {
  const probe = "a";
  const bare = library.encode(probe, { add_special_tokens: false }).tokens;
  const whole = library.encode(probe).tokens;
  let at = 0;
  while (at + bare.length < whole.length && !bare.every((t, i) => whole[at + i] === t)) at++;
  const front = whole.slice(0, at).map((token) => {
    const id = ids.get(token);
    // The library would put the unknown token there.
    if (id !== undefined) return id;
    throw new DataError(
      `Reading tokenizer file "${name}": "post_processor" adds "${token}", ` +
        `which is not in the vocabulary`,
    );
  });
  if (bos === undefined || typeof addBos !== "boolean") return front;
  if (!addBos) return front[0] === bos ? front.slice(1) : front;
  return front[0] === bos ? front : [bos, ...front];
}

/** A special token is written as a text or as an object with a text `content`. */
export function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content = (value as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

/** The config's templates: a text, which is the default one, or a list of named ones. */
function templatesOf(name: string, value: unknown): Map<string, string> {
  if (value === undefined || value === null) return new Map();
  if (typeof value === "string") return new Map([["default", value]]);
  const list: unknown[] = Array.isArray(value) ? value : [undefined];
  return new Map(list.map((entry) => {
    const { name: key, template } = (entry ?? {}) as Record<string, unknown>;
    if (typeof key === "string" && typeof template === "string") return [key, template];
    throw new DataError(
      `Reading tokenizer file "${name}": "chat_template" must be a text, ` +
        `or a list of templates with "name" and "template"`,
    );
  }));
}
