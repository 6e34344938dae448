import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";
import { byteAlphabet, piecePattern, trainBpe } from "../../tools/bpe.ts";
import { defaultOptions, exampleFiles } from "../../tools/example/files.ts";
import committedTokenizer from "../../examples/model/tokenizer.json" with { type: "json" };
import committedTokenizerConfig from "../../examples/model/tokenizer_config.json" with {
  type: "json",
};
import committedConfig from "../../examples/model/config.json" with { type: "json" };
import committedGeneration from "../../examples/model/generation_config.json" with { type: "json" };
import committedSpecials from "../../examples/model/special_tokens_map.json" with { type: "json" };
import committedPairs from "../../examples/preferences.jsonl" with { type: "text" };
import committedHeldout from "../../examples/preferences_heldout.jsonl" with { type: "text" };
import committedSft from "../../examples/sft.jsonl" with { type: "text" };
import golden from "./tokenizer_ids.json" with { type: "json" };

const files = exampleFiles(defaultOptions);

function parsed(name: string) {
  return JSON.parse(files.get(name)!);
}

const tokenizer = new Tokenizer(
  parsed("model/tokenizer.json"),
  parsed("model/tokenizer_config.json"),
);

Deno.test("example files: those kept in examples/ are what the generator makes", () => {
  assertEquals(files.get("preferences.jsonl"), committedPairs);
  assertEquals(files.get("preferences_heldout.jsonl"), committedHeldout);
  assertEquals(files.get("sft.jsonl"), committedSft);
  assertEquals(parsed("model/tokenizer.json"), committedTokenizer);
  assertEquals(parsed("model/tokenizer_config.json"), committedTokenizerConfig);
  assertEquals(parsed("model/generation_config.json"), committedGeneration);
  assertEquals(parsed("model/special_tokens_map.json"), committedSpecials);
  assertEquals(parsed("model/config.json"), committedConfig);
});

Deno.test("example tokenizer: 1,024 ids without gaps, special tokens first, merges as given", () => {
  const { model, added_tokens } = parsed("model/tokenizer.json");
  const ids = Object.values(model.vocab as Record<string, number>).sort((a, b) => a - b);
  assertEquals(ids, Array.from({ length: 1024 }, (_, id) => id));
  assertEquals([model.vocab["<|endoftext|>"], model.vocab["<|bos|>"]], [0, 1]);
  assertEquals(added_tokens.map((token: { id: number }) => token.id), [0, 1]);
  assertEquals(model.merges.length, 1024 - 256 - 2);
  assertEquals(committedConfig.vocab_size, 1024);
  assertEquals([committedConfig.eos_token_id, committedConfig.bos_token_id], [0, 1]);
});

Deno.test("example tokenizer: every text comes back, with one bos in front and few tokens", () => {
  let tokens = 0;
  const rows = committedPairs.trimEnd().split("\n").map((line) => JSON.parse(line));
  for (const text of rows.flatMap((row) => [row.chosen, row.rejected])) {
    const { ids } = tokenizer.encode(text);
    assertEquals(ids[0], 1);
    assertEquals(ids.lastIndexOf(1), 0);
    assertEquals(tokenizer.decode(ids, { skip_special_tokens: true }), text);
    tokens += ids.length;
  }
  assertLess(tokens / (2 * rows.length), 48);
});

Deno.test("example tokenizer: text it never saw comes back", () => {
  for (
    const text of [
      "Ünïcödé 😀 日本語",
      "a\r\nb\u00a0c\u200b",
      "  two  blanks \n\n\n x\t\ty ",
      "1234's",
    ]
  ) {
    assertEquals(
      tokenizer.decode(tokenizer.encode(text).ids, { skip_special_tokens: true }),
      text,
    );
  }
});

Deno.test("example tokenizer: ids are those of the Rust library", () => {
  // Written by Python's `tokenizers` 0.23 from the same tokenizer.json.
  for (const { text, ids } of golden) assertEquals(tokenizer.encode(text).ids, ids, text);
});

Deno.test("example tokenizer: a prompt's tokens begin the tokens of prompt and answer", () => {
  for (const line of committedSft.trimEnd().split("\n").slice(0, 500)) {
    const { prompt, completion } = JSON.parse(line);
    const { ids } = tokenizer.encode(prompt);
    assertEquals(tokenizer.encode(prompt + completion).ids.slice(0, ids.length), ids);
  }
});

Deno.test("example tokenizer: the chat template writes the HH form", () => {
  const template = new Template(parsed("model/tokenizer_config.json").chat_template);
  const messages = [
    { role: "user", content: "Hello. " },
    { role: "assistant", content: " Good morning." },
    { role: "user", content: "Where is the key?" },
  ];
  const render = (add_generation_prompt: boolean) =>
    template.render({ messages, add_generation_prompt, bos_token: "<|bos|>" });
  const text = "<|bos|>\n\nHuman: Hello.\n\nAssistant: Good morning.\n\nHuman: Where is the key?";
  assertEquals(render(false), text);
  assertEquals(render(true), text + "\n\nAssistant:");
  assertThrows(() => template.render({ messages: [{ role: "system", content: "x" }] }));
});

Deno.test("bpe: merges by frequency, ties by smaller ids", () => {
  // Pieces: "ab" 3 times, " cd" twice, " ce" twice; "ab" wins, then the tie " c" (4) before "cd", "ce".
  const { tokens, merges } = trainBpe(["ab", "ab", "ab cd cd ce ce"], 261, ["<e>"]);
  assertEquals(merges, [["Ġ", "c"], ["a", "b"], ["Ġc", "d"], ["Ġc", "e"]]);
  assertEquals(tokens.slice(-4), ["Ġc", "ab", "Ġcd", "Ġce"]);
  assertEquals(tokens[0], "<e>");
  assertEquals(trainBpe(["zz zz", "yy yy"], 257, []).merges, [["y", "y"]]);
});

Deno.test("bpe: the byte alphabet is 256 distinct printable characters", () => {
  const alphabet = byteAlphabet();
  assertEquals(new Set(alphabet).size, 256);
  assertEquals([alphabet[0x20], alphabet[0x0a], alphabet[0x41], alphabet[0xad]], [
    "Ġ",
    "Ċ",
    "A",
    "Ń",
  ]);
  assert(alphabet.every((character) => !/[\s\p{Cc}]/u.test(character)));
});

Deno.test("bpe: pieces put together are the text", () => {
  const text = "\n\nHuman: It's 12 o'clock,  isn't it?\n\n\tYes \n";
  const pieces = [...text.matchAll(new RegExp(piecePattern, "gu"))].map(([piece]) => piece);
  assertEquals(pieces.join(""), text);
  assertEquals(pieces.slice(0, 8), ["\n\n", "Human", ":", " It", "'s", " 1", "2", " o"]);
});

Deno.test("bpe: refuses a vocabulary that is too small or that the texts cannot fill", () => {
  assertThrows(() => trainBpe(["a"], 100, []), RangeError, "need 256");
  assertThrows(() => trainBpe(["abab"], 300, []), RangeError, "give more text");
});
