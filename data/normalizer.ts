/**
 * The `normalizer` of a `tokenizer.json`, as the Rust library runs it. A kind that is not known to give
 * the same text as there is refused, never approximated.
 */
import { compilePattern, refuse, typeOf } from "./tokenizer_pattern.ts";

/** Text to normalized text. */
export type Normalize = (text: string) => string;

const UNICODE_FORMS: readonly string[] = ["NFC", "NFD", "NFKC", "NFKD"];

/**
 * Builds the normalizer.
 *
 * @param file the file's name, used in messages.
 * @param key the place in the file, such as `normalizer.normalizers[1]`.
 * @throws DataError naming the key when the normalizer is of a kind that is not implemented.
 */
export function buildNormalizer(file: string, key: string, value: unknown): Normalize {
  if (value === null) return (text) => text;
  const type = typeOf(file, key, value);
  const tree = value as Record<string, unknown>;
  if (UNICODE_FORMS.includes(type)) return (text) => text.normalize(type);
  switch (type) {
    case "Sequence": {
      if (!Array.isArray(tree.normalizers)) {
        refuse(file, `${key}.normalizers`, "must be a list");
      }
      const parts = (tree.normalizers as unknown[]).map((part, i) =>
        buildNormalizer(file, `${key}.normalizers[${i}]`, part)
      );
      return (text) => parts.reduce((done, normalize) => normalize(done), text);
    }
    case "Replace": {
      const { content } = tree;
      if (typeof content !== "string") refuse(file, `${key}.content`, "must be a text");
      const pattern = compilePattern(file, `${key}.pattern`, tree.pattern);
      // By a function: `$` means nothing in the content.
      return (text) => text.replaceAll(pattern, () => content as string);
    }
    case "Prepend": {
      const { prepend } = tree;
      if (typeof prepend !== "string") refuse(file, `${key}.prepend`, "must be a text");
      return (text) => text === "" ? "" : prepend + text;
    }
    case "Strip":
      return (text) => {
        if (tree.strip_left) text = text.replace(/^\p{White_Space}+/u, "");
        return tree.strip_right ? text.replace(/(?<!\p{White_Space})\p{White_Space}+$/u, "") : text;
      };
    case "Lowercase":
      // One character after the other: the sigma that ends a word is no special case there.
      return (text) => Array.from(text, (character) => character.toLowerCase()).join("");
    default:
      return refuse(file, `${key}.type`, `"${type}" is a kind of normalizer not implemented here`);
  }
}
