/**
 * Added tokens of a `tokenizer.json`: texts that become one token before anything else is looked at.
 * As in the Rust library, the longest that begins at a place wins, the leftmost place first.
 */

/** An entry of `added_tokens`, checked. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Only where no letter, digit or the like stands right beside it. */
  readonly singleWord: boolean;
  /** The blanks before and behind it belong to it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** A part of a text: an added token, or text between such. */
export type Section = { readonly id: number } | {
  readonly text: string;
  readonly atStart: boolean;
};

/** Parts a text. */
export type Sectioning = (text: string) => Section[];

const WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]/u;

/** A node of the tree of contents, by UTF-16 units. */
interface Node {
  token?: AddedToken;
  readonly next: Map<string, Node>;
}

/** Builds what finds these tokens in texts. */
export function findAddedTokens(tokens: readonly AddedToken[]): Sectioning {
  const root: Node = { next: new Map() };
  for (const token of tokens) {
    let node = root;
    for (let i = 0; i < token.content.length; i++) {
      const unit = token.content[i];
      if (!node.next.has(unit)) node.next.set(unit, { next: new Map() });
      node = node.next.get(unit)!;
    }
    // Of equal contents the first counts.
    node.token ??= token;
  }
  return (text) => partBy(root, text);
}

function partBy(root: Node, text: string): Section[] {
  const sections: Section[] = [];
  let done = 0;
  const addText = (end: number) => {
    if (end > done) sections.push({ text: text.slice(done, end), atStart: done === 0 });
  };
  for (let at = 0; at < text.length;) {
    const token = longestAt(root, text, at);
    const end = at + (token?.content.length ?? 1);
    if (token && fits(token, text, at, end)) {
      const from = token.lstrip ? at - blanksBefore(text, at) : at;
      addText(Math.max(from, done));
      sections.push({ id: token.id });
      done = token.rstrip ? end + blanksBehind(text, end) : end;
    }
    at = end;
  }
  addText(text.length);
  return sections;
}

function longestAt(root: Node, text: string, at: number): AddedToken | undefined {
  let token: AddedToken | undefined;
  for (let node = root.next.get(text[at]), i = at; node; node = node.next.get(text[++i])) {
    token = node.token ?? token;
  }
  return token;
}

function fits({ singleWord }: AddedToken, text: string, from: number, to: number): boolean {
  if (!singleWord) return true;
  // The last character before by hand: V8's `[...]$` misses characters beyond the basic plane.
  const before = [...text.slice(Math.max(0, from - 2), from)].at(-1) ?? "";
  return !WORD.test(before) && !WORD.test(text.slice(to, to + 2));
}

function isBlank(unit: string): boolean {
  return /\p{White_Space}/u.test(unit);
}

function blanksBefore(text: string, at: number): number {
  let from = at;
  while (from > 0 && isBlank(text[from - 1])) from--;
  return at - from;
}

function blanksBehind(text: string, at: number): number {
  let to = at;
  while (to < text.length && isBlank(text[to])) to++;
  return to - at;
}
