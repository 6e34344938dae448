/** Two small tokenizers of the kinds that GGUF files have, trained on nothing. */
import type { TextTokenizer, TokenizerFiles } from "../../data/tokenizer.ts";

const special = (content: string, id: number) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

function bosInFront(token: string, id: number) {
  return {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

const CHAT = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";

/** SentencePiece: `<unk> <s> </s>`, 256 bytes, letters and merges, a space in front of every text. */
export function sentencePiece(): TokenizerFiles {
  const bytes = Array.from(
    { length: 256 },
    (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const letters = [..."▁abcdefghijklmnopqrstuvwxyz.,"];
  const merges = ["▁ t", "h e", "▁t he", "i n", "▁ a", "in g", "e r", "▁a n", "▁an d", "h i"];
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...letters];
  // Ids in another order than merges, so that the one cannot stand for the other.
  for (const merge of merges.toReversed()) tokens.push(merge.replace(" ", ""));
  const tokenizer = {
    version: "1.0",
    added_tokens: [special("<unk>", 0), special("<s>", 1), special("</s>", 2)],
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null,
    post_processor: bosInFront("<s>", 1),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
  return {
    name: "sentencepiece",
    tokenizer: JSON.stringify(tokenizer),
    config: JSON.stringify({ bos_token: "<s>", eos_token: "</s>", chat_template: CHAT }),
  };
}

/** Byte-level BPE in the way of Qwen 2: 256 bytes, merges, `<|end|>`. */
export function byteLevel(): TokenizerFiles {
  // Bytes that print stand for themselves, the others for characters from 256 on.
  const prints = (b: number) => b >= 33 && b <= 126 || b >= 161 && b <= 172 || b >= 174;
  let next = 256;
  const bytes = Array.from({ length: 256 }, (_, b) => String.fromCharCode(prints(b) ? b : next++));
  const merges = ["Ġ t", "h e", "Ġt he", "i n", "in g", "Ã ¼"];
  const tokens = [...bytes, ...merges.map((merge) => merge.replace(" ", "")), "<|end|>"];
  const pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" +
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const tokenizer = {
    version: "1.0",
    added_tokens: [special("<|end|>", tokens.length - 1)],
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map((merge) => merge.split(" ")),
    },
  };
  return {
    name: "byte-level",
    tokenizer: JSON.stringify(tokenizer),
    config: JSON.stringify({ eos_token: "<|end|>" }),
  };
}

/** Ids of texts, with and without what is put in front. */
export function idsOf(tokenizer: TextTokenizer, texts: readonly string[]): number[][] {
  return texts.flatMap((text) => [
    [...tokenizer.encode(text)],
    [...tokenizer.encode(text, { addSpecialTokens: false })],
  ]);
}
