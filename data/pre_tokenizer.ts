/**
 * The `pre_tokenizer` of a `tokenizer.json`: it cuts a text into pieces, in which merges are then
 * looked for. As the Rust library runs it; what is not known to give the same pieces is refused.
 */
import { compilePattern, compileRegex, refuse, typeOf } from "./tokenizer_pattern.ts";

/** Pieces of a text; `atStart` tells that the text stands at the very beginning of what is encoded. */
export type PreTokenize = (text: string, atStart: boolean) => string[];

/** What GPT-2 splits by. */
const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/**
 * Builds the pre-tokenizer.
 *
 * @param file the file's name, used in messages.
 * @param key the place in the file, such as `pre_tokenizer.pretokenizers[1]`.
 * @throws DataError naming the key when it is of a kind that is not implemented.
 */
export function buildPreTokenizer(file: string, key: string, value: unknown): PreTokenize {
  if (value === null) return (text) => [text];
  const type = typeOf(file, key, value);
  const tree = value as Record<string, unknown>;
  switch (type) {
    case "Sequence":
      return sequence(file, key, tree);
    case "ByteLevel":
      return byteLevel(file, key, tree);
    case "Split":
      return split(file, key, tree);
    case "Digits":
      return cut(
        tree.individual_digits ? /\p{N}/gu : /\p{N}+/gu,
        "Isolated",
      );
    case "WhitespaceSplit":
      return cut(/\p{White_Space}/gu, "Removed");
    case "Metaspace":
      return metaspace(file, key, tree);
    default:
      return refuse(
        file,
        `${key}.type`,
        `"${type}" is a kind of pre-tokenizer not implemented here`,
      );
  }
}

function sequence(file: string, key: string, tree: Record<string, unknown>): PreTokenize {
  const list = tree.pretokenizers;
  if (!Array.isArray(list)) return refuse(file, `${key}.pretokenizers`, "must be a list");
  const parts = list.map((part, i) => buildPreTokenizer(file, `${key}.pretokenizers[${i}]`, part));
  return (text, atStart) =>
    parts.reduce(
      (pieces, part) => pieces.flatMap((piece, i) => part(piece, atStart && i === 0)),
      [text],
    );
}

/** Bytes as printable characters: those that are none are moved beyond the first 256. */
const BYTE_CHARACTERS = (() => {
  let moved = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = byte > 0x20 && byte < 0x7f || byte > 0xa0 && byte !== 0xad;
    return String.fromCharCode(printable ? byte : 256 + moved++);
  });
})();

function byteLevel(file: string, key: string, tree: Record<string, unknown>): PreTokenize {
  const cutWords: PreTokenize = tree.use_regex ?? true
    ? cut(compileRegex(file, key, GPT2), "Isolated")
    : (text) => [text];
  const encoder = new TextEncoder();
  const asBytes = (piece: string) =>
    Array.from(encoder.encode(piece), (byte) => BYTE_CHARACTERS[byte]).join("");
  return (text, atStart) => {
    const spaced = tree.add_prefix_space && !text.startsWith(" ") ? ` ${text}` : text;
    return cutWords(spaced, atStart).map(asBytes);
  };
}

const BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"];

function split(file: string, key: string, tree: Record<string, unknown>): PreTokenize {
  const pattern = compilePattern(file, `${key}.pattern`, tree.pattern);
  const behavior = tree.behavior as string;
  if (!BEHAVIORS.includes(behavior)) {
    refuse(file, `${key}.behavior`, `must be one of ${BEHAVIORS.join(", ")}`);
  }
  return cut(pattern, behavior, Boolean(tree.invert));
}

/** Cuts at the matches of a pattern; inverted, what lies between matches counts as the matches. */
function cut(pattern: RegExp, behavior: string, invert = false): PreTokenize {
  return (text) => {
    const pieces: string[] = [];
    let previous = false;
    for (const [part, matched] of parts(text, pattern)) {
      const match = matched !== invert;
      const joins = pieces.length > 0 && (
        behavior === "MergedWithPrevious" && match && !previous ||
        behavior === "MergedWithNext" && previous && !match ||
        behavior === "Contiguous" && match === previous
      );
      previous = match;
      if (joins) pieces[pieces.length - 1] += part;
      else if (behavior !== "Removed" || !match) pieces.push(part);
    }
    return pieces;
  };
}

/** A text as matches and what lies between them, in order; empty parts left out. */
function* parts(text: string, pattern: RegExp): Generator<[string, boolean]> {
  let done = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    if (match === "") continue;
    if (index > done) yield [text.slice(done, index), false];
    yield [match, true];
    done = index + match.length;
  }
  if (done < text.length) yield [text.slice(done), false];
}

/** Blanks as SentencePiece writes them, one in front of the first word, cut before each. */
function metaspace(file: string, key: string, tree: Record<string, unknown>): PreTokenize {
  const { replacement = "\u2581", add_prefix_space: older } = tree;
  if (typeof replacement !== "string" || [...replacement].length !== 1) {
    return refuse(file, `${key}.replacement`, "must be one character");
  }
  const scheme = older === false ? "never" : tree.prepend_scheme ?? "always";
  if (!["always", "first", "never"].includes(scheme as string)) {
    refuse(file, `${key}.prepend_scheme`, "must be always, first or never");
  }
  const words = cut(
    compilePattern(file, key, { String: replacement }),
    tree.split === false ? "Contiguous" : "MergedWithNext",
  );
  return (text, atStart) => {
    const marked = text.replaceAll(" ", () => replacement);
    const prepend = scheme === "always" || scheme === "first" && atStart;
    const whole = prepend && !marked.startsWith(replacement) ? replacement + marked : marked;
    return tree.split === false ? [whole] : words(whole, atStart);
  };
}
