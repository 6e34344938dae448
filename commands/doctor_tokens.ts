/** Rows as the model will see them: texts, and tokens with a mark at those that are scored. */
import type { TokenizedDataset } from "../data/load.ts";
import type { TextTokenizer } from "../data/tokenizer.ts";

/** One token. */
export interface ShownToken {
  readonly id: number;
  readonly text: string;
  readonly scored: boolean;
}

/** A row: what is trained on, after the length limits. */
export interface ShownRow {
  readonly row: number;
  readonly prompt: string;
  /** Names of the answers: chosen and rejected, or answer. */
  readonly answers: readonly {
    readonly name: string;
    readonly text: string;
    /** The prompt's tokens, then the answer's. */
    readonly tokens: readonly ShownToken[];
  }[];
}

/** Tokens shown before and behind the border of a sequence on the page. */
const BEFORE = 24, BEHIND = 40;

/** Rows spread over a dataset: the first, the middle and the last of `count`. */
export function sampleRows(
  dataset: Pick<TokenizedDataset, "length" | "get" | "text">,
  tokenizer: Pick<TextTokenizer, "decode">,
  count = 3,
): ShownRow[] {
  const last = dataset.length - 1;
  const places = Array.from({ length: count }, (_, k) => Math.round(k * last / (count - 1)));
  return [...new Set(places)].map((i) => {
    const example = dataset.get(i);
    const { row, prompt, answers } = dataset.text(i);
    return {
      row,
      prompt,
      answers: answers.map((text, a) => {
        const { ids, scoredFrom } = example.answers[a];
        // The first token of a sequence is never scored.
        const from = Math.max(example.prompt.length + scoredFrom, 1);
        const tokens = [...example.prompt, ...ids].map((id, at) => ({
          id,
          text: tokenizer.decode([id]),
          scored: at >= from,
        }));
        const name = answers.length === 2 ? ["chosen", "rejected"][a] : "answer";
        return { name, text, tokens };
      }),
    };
  });
}

/**
 * A row as lines. Scored tokens stand in brackets, and in green where `color` is set; of a long sequence
 * the tokens around the border are shown.
 */
export function rowLines({ row, prompt, answers }: ShownRow, color: boolean): string[] {
  const lines = [`Row ${row}`, `  prompt    ${JSON.stringify(clip(prompt, -300))}`];
  for (const { name, text, tokens } of answers) {
    const border = tokens.findIndex(({ scored }) => scored);
    const scored = tokens.length - border;
    lines.push(
      `  ${name.padEnd(10)}${JSON.stringify(clip(text, 300))}`,
      `  ${"".padEnd(10)}${tokens.length} tokens, ${scored} of them scored:`,
      `  ${"".padEnd(10)}${tokenText(tokens, border, color)}`,
    );
  }
  return lines;
}

function tokenText(tokens: readonly ShownToken[], border: number, color: boolean): string {
  const from = Math.max(0, border - BEFORE), to = Math.min(tokens.length, border + BEHIND);
  const shown = tokens.slice(from, to).map(({ text, scored }) => {
    const plain = JSON.stringify(text).slice(1, -1);
    if (!scored) return `${plain}|`;
    return color ? `\x1b[32m[${plain}]\x1b[0m` : `[${plain}]`;
  });
  const more = (count: number) => count > 0 ? `... ${count} more ... ` : "";
  return more(from) + shown.join("") + (to < tokens.length ? ` ${more(tokens.length - to)}` : "")
    .trimEnd();
}

/** At most so many characters: the first of them, or with a negative number the last. */
function clip(text: string, length: number): string {
  if (text.length <= Math.abs(length)) return text;
  return (length > 0 ? `${text.slice(0, length)}...` : `...${text.slice(length)}`).toWellFormed();
}
