/** A tokenizer small enough to check by eye: one token for each printable ASCII character. */
import { loadTokenizer, type TextTokenizer, type TokenizerFiles } from "../../data/tokenizer.ts";

/** Ids: `<unk>` 0, `<s>` 1, `</s>` 2, newline 3, characters 32..126 from 4, then the merges. */
export const BOS = 1;
export const EOS = 2;

export interface TinyOptions {
  /** Pairs that become one token, in this order. */
  readonly merges?: readonly (readonly [string, string])[];
  /** Whether the post-processor puts `<s>` in front; default true. */
  readonly bos?: boolean;
  readonly chatTemplate?: string;
  readonly config?: Record<string, unknown>;
}

/** The files of the tiny tokenizer. */
export function tinyTokenizerFiles(options: TinyOptions = {}): TokenizerFiles {
  const { merges = [], bos = true, chatTemplate, config = {} } = options;
  const characters = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));
  const tokens = ["<unk>", "<s>", "</s>", "\n", ...characters, ...merges.map((m) => m.join(""))];
  const special = (content: string, id: number) => ({ id, content, special: true });
  const tokenizer = {
    version: "1.0",
    added_tokens: [special("<unk>", 0), special("<s>", BOS), special("</s>", EOS)],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: bos
      ? {
        type: "TemplateProcessing",
        single: [
          { SpecialToken: { id: "<s>", type_id: 0 } },
          { Sequence: { id: "A", type_id: 0 } },
        ],
        pair: [],
        special_tokens: { "<s>": { id: "<s>", ids: [BOS], tokens: ["<s>"] } },
      }
      : null,
    decoder: { type: "Fuse" },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
  return {
    name: "tiny",
    tokenizer: JSON.stringify(tokenizer),
    config: JSON.stringify({
      bos_token: "<s>",
      eos_token: "</s>",
      chat_template: chatTemplate,
      ...config,
    }),
  };
}

export function tinyTokenizer(options: TinyOptions = {}): TextTokenizer {
  return loadTokenizer(tinyTokenizerFiles(options));
}

/** Ids of a text without merges. */
export function characterIds(text: string): number[] {
  return [...text].map((c) => c === "\n" ? 3 : c.charCodeAt(0) - 32 + 4);
}

/** `file:///.../shared/`, and whether a file of it can be read here. */
export const SHARED = new URL("../../../shared/", import.meta.url);

export async function missingShared(path: string): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "read" });
  if (state !== "granted") return true;
  return await Deno.stat(new URL(path, SHARED)).then(() => false, () => true);
}
