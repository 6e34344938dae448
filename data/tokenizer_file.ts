/**
 * Checks a `tokenizer.json` before the tokenizer library sees it: the library trusts its input, and a
 * wrong id or merge would show up much later as wrong training.
 */
import type { AddedToken } from "./added_tokens.ts";
import { DataError } from "./error.ts";

/** The parts of a checked `tokenizer.json` that this program uses itself. */
export interface TokenizerFile {
  readonly json: Record<string, unknown>;
  /** Every token and its id, added tokens included. */
  readonly ids: ReadonlyMap<string, number>;
  /** The largest id + 1. */
  readonly vocabSize: number;
  /** Added tokens that are looked for in the text as it is. */
  readonly added: readonly AddedToken[];
  /** Added tokens that are looked for, normalized, in the normalized text. */
  readonly addedNormalized: readonly AddedToken[];
}

const MAX_ID = 2 ** 24;

/**
 * Parses and checks the text of a `tokenizer.json`.
 *
 * @param name the file's path or name, used in messages.
 * @throws DataError naming the file and the wrong key.
 */
export function readTokenizerFile(name: string, text: string): TokenizerFile {
  const json = parseObject(name, text);
  // The library insists on these keys, older files leave some of them out.
  for (const key of ["normalizer", "pre_tokenizer", "post_processor", "decoder"]) {
    json[key] ??= null;
    if (typeof json[key] !== "object" || Array.isArray(json[key])) {
      fail(name, key, "must be an object or null");
    }
  }
  checkPatterns(name, "decoder", json.decoder);
  json.added_tokens ??= [];
  const model = json.model;
  if (!isObject(model)) return fail(name, "model", "must be an object");
  // Without a type the library takes some files with merges for plain word lists.
  if (model.type === undefined && model.merges !== undefined) model.type = "BPE";
  if (model.type !== "BPE") {
    fail(name, "model.type", `must be BPE, is "${model.type}", which is not implemented`);
  }
  checkModelKeys(name, model);
  const ids = readVocab(name, model.vocab);
  checkMerges(name, model.merges, ids);
  addTokens(name, json.added_tokens, ids);
  const unknown = model.unk_token;
  if (unknown !== undefined && unknown !== null && !ids.has(unknown as string)) {
    fail(name, "model.unk_token", `is ${JSON.stringify(unknown)}, which is not in the vocabulary`);
  }
  let vocabSize = 0;
  for (const id of ids.values()) vocabSize = Math.max(vocabSize, id + 1);
  const added = (json.added_tokens as Record<string, unknown>[]).map((entry) => ({
    token: {
      id: entry.id as number,
      content: entry.content as string,
      singleWord: entry.single_word === true,
      lstrip: entry.lstrip === true,
      rstrip: entry.rstrip === true,
    },
    normalized: entry.normalized ?? !entry.special,
  }));
  return {
    json,
    ids,
    vocabSize,
    added: added.filter(({ normalized }) => !normalized).map(({ token }) => token),
    addedNormalized: added.filter(({ normalized }) => normalized).map(({ token }) => token),
  };
}

/** Keys of a BPE model that change its ids in ways that are not implemented. */
function checkModelKeys(name: string, model: Record<string, unknown>): void {
  for (const key of ["dropout", "continuing_subword_prefix", "end_of_word_suffix"]) {
    const value = model[key];
    if (value !== undefined && value !== null && value !== "" && value !== 0) {
      fail(name, `model.${key}`, `is ${JSON.stringify(value)}, which is not implemented`);
    }
  }
}

/** The library leaves out a step of decoding whose pattern it does not know, and gives other text. */
function checkPatterns(name: string, key: string, part: unknown): void {
  if (Array.isArray(part)) part.forEach((step, i) => checkPatterns(name, `${key}[${i}]`, step));
  if (!isObject(part)) return;
  checkPatterns(name, `${key}.decoders`, part.decoders);
  if (part.type !== "Replace") return;
  const pattern = part.pattern;
  const text = isObject(pattern) ? pattern.Regex ?? pattern.String : undefined;
  if (typeof text === "string") return;
  fail(name, `${key}.pattern`, `must be {"String": text} or {"Regex": text}`);
}

/**
 * Parses a JSON text that must be an object.
 *
 * @throws DataError naming the file.
 */
export function parseObject(name: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text.startsWith("\ufeff") ? text.slice(1) : text);
  } catch (error) {
    throw new DataError(
      `Reading tokenizer file "${name}": not valid JSON (${(error as Error).message}), ` +
        `fetch the file again`,
      { cause: error },
    );
  }
  if (!isObject(value)) {
    throw new DataError(`Reading tokenizer file "${name}": expected a JSON object at the top`);
  }
  return value;
}

/** A vocabulary `{token: id}`; each id once. */
function readVocab(name: string, vocab: unknown): Map<string, number> {
  if (!isObject(vocab)) return fail(name, "model.vocab", "must be an object of token: id");
  const ids = new Map<string, number>();
  const owners = new Map<number, string>();
  for (const [token, id] of Object.entries(vocab)) {
    checkId(name, `model.vocab[${JSON.stringify(token)}]`, id);
    const owner = owners.get(id as number);
    if (owner !== undefined) {
      fail(name, "model.vocab", `gives id ${id} to "${owner}" and to "${token}"`);
    }
    owners.set(id as number, token);
    ids.set(token, id as number);
  }
  if (ids.size === 0) fail(name, "model.vocab", "is empty");
  return ids;
}

/** Merges are "a b" or ["a", "b"]; both parts and their product must be tokens. */
function checkMerges(name: string, merges: unknown, ids: ReadonlyMap<string, number>): void {
  if (!Array.isArray(merges)) fail(name, "model.merges", "must be a list");
  const list = merges as unknown[];
  const asText = typeof list[0] === "string";
  list.forEach((merge, i) => {
    const parts = asText && typeof merge === "string" ? merge.split(" ") : merge;
    const valid = Array.isArray(parts) && parts.length === 2 && Array.isArray(merge) !== asText &&
      parts.every((part) => typeof part === "string");
    if (!valid) {
      fail(name, `model.merges[${i}]`, `must be a pair of tokens, is ${JSON.stringify(merge)}`);
    }
    const [left, right] = parts as [string, string];
    for (const token of [left, right, left + right]) {
      if (!ids.has(token)) {
        fail(name, `model.merges[${i}]`, `uses "${token}", which is not in the vocabulary`);
      }
    }
  });
}

/** Adds the added tokens to `ids`; an id may belong to one token only. */
function addTokens(name: string, added: unknown, ids: Map<string, number>): void {
  if (!Array.isArray(added)) fail(name, "added_tokens", "must be a list");
  const owners = new Map([...ids].map(([token, id]) => [id, token]));
  (added as unknown[]).forEach((entry, i) => {
    const place = `added_tokens[${i}]`;
    if (!isObject(entry) || typeof entry.content !== "string" || entry.content === "") {
      return fail(name, place, `must be an object with a non-empty text "content"`);
    }
    checkId(name, `${place}.id`, entry.id);
    const id = entry.id as number;
    const owner = owners.get(id);
    if (owner !== undefined && owner !== entry.content) {
      fail(name, place, `gives id ${id} to "${entry.content}", it belongs to "${owner}"`);
    }
    const known = ids.get(entry.content);
    if (known !== undefined && known !== id) {
      fail(name, place, `gives "${entry.content}" the id ${id}, the vocabulary has ${known}`);
    }
    owners.set(id, entry.content);
    ids.set(entry.content, id);
  });
}

function checkId(name: string, key: string, id: unknown): void {
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= MAX_ID) {
    fail(name, key, `must be an id from 0 to ${MAX_ID - 1}, is ${JSON.stringify(id)}`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fail(name: string, key: string, what: string): never {
  throw new DataError(`Reading tokenizer file "${name}": "${key}" ${what}`);
}
