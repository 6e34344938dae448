/**
 * Patterns of a `tokenizer.json`: a text, or a regular expression in Oniguruma's syntax, which the
 * tokenizer library translates to JavaScript's. What that translation only approximates is refused.
 */
import { SplitPreTokenizer } from "@huggingface/tokenizers";
import { DataError } from "./error.ts";

/**
 * Compiles a pattern `{String}` or `{Regex}` to a global regular expression.
 *
 * @param file the file's name; `key` the place in it, both used in messages.
 * @throws DataError when there is neither or the expression cannot be translated.
 */
export function compilePattern(file: string, key: string, value: unknown): RegExp {
  const { String: text, Regex: source } = isObject(value) ? value : {};
  if (typeof text === "string" && text !== "") {
    return new RegExp(text.replace(/[/\-.*+?^${}()|[\]\\]/g, "\\$&"), "gu");
  }
  if (typeof source !== "string" || source === "") {
    return refuse(file, key, `must have a text that is not empty under "Regex" or "String"`);
  }
  return compileRegex(file, `${key}.Regex`, source);
}

/** Compiles an expression in Oniguruma's syntax. */
export function compileRegex(file: string, key: string, source: string): RegExp {
  // Escapes and character classes may hold any sign.
  const bare = source.replace(/\\./gsu, "E").replace(/\[[^\]]*\]/g, "C");
  const inexact = /\(\?>|[*+?]\+|\(\?[a-z]*[mxWDSPy-]/.exec(bare);
  if (inexact) {
    refuse(file, key, `uses "${inexact[0]}" of Oniguruma, which JavaScript does not have`);
  }
  let pattern: RegExp | null;
  try {
    pattern = new SplitPreTokenizer({
      type: "Split",
      pattern: { Regex: source },
      behavior: "Isolated",
      invert: false,
    }).pattern;
  } catch (error) {
    throw new DataError(message(file, key, `cannot be used (${(error as Error).message})`), {
      cause: error,
    });
  }
  return pattern ?? refuse(file, key, "cannot be used");
}

/** The `type` of a part; a part without one is refused. */
export function typeOf(file: string, key: string, value: unknown): string {
  if (isObject(value) && typeof value.type === "string") return value.type;
  return refuse(file, key, `must be an object with a text "type"`);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Refuses a tokenizer by a key of its file. */
export function refuse(file: string, key: string, what: string): never {
  throw new DataError(message(file, key, what));
}

function message(file: string, key: string, what: string): string {
  return `Reading tokenizer file "${file}": "${key}" ${what}; ` +
    `token ids would not be those the model was trained with`;
}
