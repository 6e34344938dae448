/**
 * Trains a byte-level BPE tokenizer (GPT-2's byte alphabet; Sennrich et al. 2016, Radford et al. 2019)
 * and writes it in the form of Hugging Face's `tokenizer.json`. For small vocabularies and corpora: each
 * merge recounts all pairs over the distinct pieces, which needs no index of where a pair occurs.
 */

/**
 * Cuts text into pieces that merges never cross: contractions, words and punctuation with the blank
 * before them, single digits, runs of newlines, other blanks. Read the same way by JavaScript (flag u)
 * and by the Rust library.
 */
export const piecePattern =
  "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\n+|\\s+(?!\\S)|\\s+";

export interface BpeVocabulary {
  /** Special tokens first, then the 256 bytes, then one token a merge; the index is the id. */
  readonly tokens: readonly string[];
  /** Pairs of tokens in the order in which they are merged. */
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * The printable character that stands for each byte, in id order: printable bytes stand for themselves,
 * the others for the characters from U+0100 on.
 */
export function byteAlphabet(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from(
    { length: 256 },
    (_, byte) => String.fromCharCode(printable(byte) ? byte : next++),
  );
}

/** A distinct piece as token ids, and how often it occurs. */
interface Piece {
  ids: number[];
  readonly count: number;
}

function countPieces(texts: Iterable<string>, firstByteId: number): Piece[] {
  const pattern = new RegExp(piecePattern, "gu");
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [piece] of text.matchAll(pattern)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts].map(([piece, count]) => ({
    ids: Array.from(encoder.encode(piece), (byte) => firstByteId + byte),
    count,
  }));
}

/** The most frequent neighbours, of equals those with the smaller left id, then the smaller right id. */
function bestPair(pieces: readonly Piece[], size: number): [number, number] | undefined {
  const counts = new Map<number, number>();
  for (const { ids, count } of pieces) {
    for (let i = 1; i < ids.length; i++) {
      const code = ids[i - 1] * size + ids[i];
      counts.set(code, (counts.get(code) ?? 0) + count);
    }
  }
  let best = -1;
  let most = 1; // A pair that occurs once is no pattern.
  for (const [code, count] of counts) {
    if (count > most || (count === most && best >= 0 && code < best)) [best, most] = [code, count];
  }
  return best < 0 ? undefined : [Math.floor(best / size), best % size];
}

/** Replaces each occurrence of left, right by one id, from the left. */
function mergePair(ids: readonly number[], left: number, right: number, merged: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      out.push(merged);
      i++;
    } else out.push(ids[i]);
  }
  return out;
}

/**
 * Learns a vocabulary of exactly `size` tokens, special tokens and bytes included.
 *
 * Throws a `RangeError` when `size` leaves no room for the bytes, or when the texts run out of pairs
 * that occur twice.
 */
export function trainBpe(
  texts: Iterable<string>,
  size: number,
  specials: readonly string[],
): BpeVocabulary {
  const tokens = [...specials, ...byteAlphabet()];
  if (size < tokens.length) {
    throw new RangeError(
      `Training a tokenizer: ${size} tokens asked for, bytes and special tokens need ${tokens.length}`,
    );
  }
  const pieces = countPieces(texts, specials.length);
  const merges: [string, string][] = [];
  while (tokens.length < size) {
    const pair = bestPair(pieces, size);
    if (pair === undefined) {
      throw new RangeError(
        `Training a tokenizer: the texts give ${tokens.length} tokens, ${size} asked for; give more text`,
      );
    }
    const [left, right] = pair;
    for (const piece of pieces) {
      if (piece.ids.length > 1) piece.ids = mergePair(piece.ids, left, right, tokens.length);
    }
    merges.push([tokens[left], tokens[right]]);
    tokens.push(tokens[left] + tokens[right]);
  }
  return { tokens, merges };
}

/** The vocabulary as the content of a `tokenizer.json` that puts `bos` in front of every text. */
export function tokenizerJson(
  vocabulary: BpeVocabulary,
  specials: readonly string[],
  bos: string,
): object {
  const id = (token: string) => vocabulary.tokens.indexOf(token);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const first = { SpecialToken: { id: bos, type_id: 0 } };
  const sequence = (name: string) => ({ Sequence: { id: name, type_id: 0 } });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specials.map((content) => ({
      id: id(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: piecePattern }, behavior: "Isolated", invert: false },
        { ...byteLevel, use_regex: false },
      ],
    },
    post_processor: {
      type: "TemplateProcessing",
      single: [first, sequence("A")],
      pair: [first, sequence("A"), sequence("B")],
      special_tokens: { [bos]: { id: bos, ids: [id(bos)], tokens: [bos] } },
    },
    decoder: { ...byteLevel, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.tokens.map((token, index) => [token, index])),
      merges: vocabulary.merges.map(([left, right]) => `${left} ${right}`),
    },
  };
}
