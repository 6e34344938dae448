/**
 * Templates trim texts, and JavaScript trims other characters than Python: U+FEFF, which is no blank in
 * Python, but not U+0085, which is one. So while a template runs, these two are other characters, which
 * both languages treat as Python treats the two.
 */

/** Characters that no text has any business to hold (Unicode's noncharacters); never blanks. */
const NONCHARACTERS = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i));
/** Blanks in both languages that are rare in texts. */
const BLANKS = [..."\u1680\u2000\u2001\u2004\u2005\u2006\u2008\u205f"];

/** Blanks in Python only, of which JSON escapes: they cannot be swapped. */
// deno-lint-ignore no-control-regex
const SEPARATORS = /^\s*[\x1c-\x1f]|[\x1c-\x1f]\s*$/;

/** Changes values before a template sees them, and the text that comes out back. */
export interface BlankSwap {
  swap<T>(value: T): T;
  restore(text: string): string;
}

const NOTHING: BlankSwap = { swap: (value) => value, restore: (text) => text };

/**
 * Chooses characters that the values do not hold.
 *
 * @throws Error when a message begins or ends with a separator (U+001C to U+001F), or holds every
 * character that could stand for the two.
 */
export function swapBlanks(
  messages: readonly { readonly content: string }[],
  tools?: readonly unknown[],
): BlankSwap {
  if (messages.some(({ content }) => SEPARATORS.test(content))) {
    throw new Error("a message begins or ends with one of U+001C to U+001F, remove it");
  }
  const whole = JSON.stringify([messages, tools ?? null]);
  if (!/[\ufeff\u0085]/.test(whole)) return NOTHING;
  const unused = (characters: readonly string[]) => {
    const found = characters.find((character) => !whole.includes(character));
    if (found === undefined) throw new Error("a message holds too many kinds of rare characters");
    return found;
  };
  const mark = unused(NONCHARACTERS), blank = unused(BLANKS);
  const swapText = (text: string) => text.replaceAll("\ufeff", mark).replaceAll("\u0085", blank);
  return {
    // Neither character is ever escaped in JSON.
    swap: (value) => JSON.parse(swapText(JSON.stringify(value))),
    restore: (text) => text.replaceAll(mark, "\ufeff").replaceAll(blank, "\u0085"),
  };
}
