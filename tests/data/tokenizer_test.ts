import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { DataError } from "../../data/error.ts";
import { loadTokenizer } from "../../data/tokenizer.ts";
import { BOS, characterIds, EOS, tinyTokenizer, tinyTokenizerFiles } from "./tiny_tokenizer.ts";

Deno.test("encode() puts BOS in front once, also when the text begins with it", () => {
  const ids = characterIds("hi");
  const tokenizer = tinyTokenizer();
  assertEquals([...tokenizer.encode("hi")], [BOS, ...ids]);
  assertEquals([...tokenizer.encode("<s>hi")], [BOS, ...ids]);
  assertEquals([...tokenizer.encode("hi", { addSpecialTokens: false })], ids);
  assertEquals([...tokenizer.encode("")], [BOS]);
  const bare = tinyTokenizer({ bos: false });
  assertEquals([...bare.encode("hi")], ids);
  assertEquals([...bare.encode("<s>hi")], [BOS, ...ids]);
});

Deno.test("encode() follows add_bos_token of the config and never adds EOS", () => {
  const ids = characterIds("hi");
  const added = tinyTokenizer({ bos: false, config: { add_bos_token: true } });
  assertEquals([...added.encode("hi")], [BOS, ...ids]);
  const removed = tinyTokenizer({ config: { add_bos_token: false } });
  assertEquals([...removed.encode("hi")], ids);
  const files = tinyTokenizerFiles();
  const json = JSON.parse(files.tokenizer);
  json.post_processor.single.push({ SpecialToken: { id: "</s>", type_id: 0 } });
  const ending = loadTokenizer({ ...files, tokenizer: JSON.stringify(json) });
  assertEquals([...ending.encode("hi")], [BOS, ...ids]);
});

Deno.test("loadTokenizer() knows the special tokens and the vocabulary's size", () => {
  const tokenizer = tinyTokenizer({ merges: [["h", "i"]] });
  const { bosId, bosToken, eosId, eosToken, vocabSize } = tokenizer;
  assertEquals({ bosId, bosToken, eosId, eosToken, vocabSize }, {
    bosId: 1,
    bosToken: "<s>",
    eosId: 2,
    eosToken: "</s>",
    vocabSize: 100,
  });
  assertEquals([...tokenizer.encode("hi")], [BOS, 99]);
  const object = { config: { eos_token: { content: "</s>", lstrip: false }, bos_token: null } };
  assertEquals(tinyTokenizer(object).eosId, EOS);
  assertEquals(tinyTokenizer(object).bosId, undefined);
  const { config: _, ...files } = tinyTokenizerFiles();
  const mapped = loadTokenizer({ ...files, specialTokensMap: '{"eos_token":"</s>"}' });
  assertEquals(mapped.eosId, EOS);
});

Deno.test("decode() gives the text back with its spaces", () => {
  const text = " Well , this isn 't it .\n";
  const tokenizer = tinyTokenizer();
  const ids = tokenizer.encode(text);
  assertEquals(tokenizer.decode(ids, { skipSpecialTokens: true }), text);
  assertEquals(tokenizer.decode([BOS, ...characterIds("a"), EOS]), "<s>a</s>");
  assertEquals(tokenizer.decode([]), "");
});

Deno.test("loadTokenizer() takes the default chat template, from the config or its own file", () => {
  const messages = [{ role: "user", content: "hi" }];
  const render = (template: unknown, file?: string) =>
    loadTokenizer({
      ...tinyTokenizerFiles({ config: { chat_template: template } }),
      chatTemplate: file,
    }).chatTemplate?.(messages);
  assertEquals(render("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"), "<s>hi</s>");
  const named = [{ name: "tools", template: "T" }, { name: "default", template: "D" }];
  assertEquals(render(named), "D");
  assertEquals(render("config", "file"), "file");
  assertEquals(render(undefined), undefined);
  assertEquals(render([{ name: "tools", template: "T" }]), undefined);
  const { namedTemplates } = tinyTokenizer({ config: { chat_template: named } });
  assertEquals([...namedTemplates], [["tools", "T"], ["default", "D"]]);
  assertThrows(() => render([{ name: "tools" }]), DataError, "a list of templates with");
});

Deno.test("loadTokenizer() names the file and the key that is wrong", () => {
  // deno-lint-ignore no-explicit-any
  const broken = (change: (json: any) => void, config?: string) => {
    const files = tinyTokenizerFiles({ merges: [["h", "i"]] });
    const json = JSON.parse(files.tokenizer);
    change(json);
    const texts = { ...files, tokenizer: JSON.stringify(json) };
    return () => loadTokenizer(config === undefined ? texts : { ...texts, config });
  };
  const keep = () => {};
  const cases: [() => unknown, string][] = [
    [broken((json) => delete json.model), '"tiny/tokenizer.json": "model" must be an object'],
    [broken((json) => json.model.vocab = 3), '"model.vocab"'],
    [broken((json) => json.model.vocab = {}), "is empty"],
    [broken((json) => json.model.vocab.a = -1), `"model.vocab["a"]" must be an id`],
    [broken((json) => json.model.vocab.a = 1.5), "must be an id"],
    [broken((json) => json.model.vocab.a = json.model.vocab.b), 'gives id 70 to "a" and to "b"'],
    [broken((json) => json.model.merges = "x"), '"model.merges" must be a list'],
    [broken((json) => json.model.merges = [["h", "Z!"]]), 'uses "Z!"'],
    [broken((json) => json.model.merges = [["a", "b"]]), 'uses "ab"'],
    [broken((json) => json.model.merges = ["h i", ["h", "i"]]), '"model.merges[1]" must be a pair'],
    [broken((json) => json.model.merges = ["h"]), '"model.merges[0]" must be a pair'],
    [broken((json) => json.added_tokens = 1), '"added_tokens" must be a list'],
    [broken((json) => json.added_tokens[0].content = ""), '"added_tokens[0]" must be'],
    [broken((json) => json.added_tokens[0].id = "0"), '"added_tokens[0].id" must be an id'],
    [broken((json) => json.added_tokens[0].id = 9), 'it belongs to "%"'],
    [broken((json) => json.added_tokens[0].id = 500), 'gives "<unk>" the id 500'],
    [broken((json) => json.model.type = "Markov"), '"model.type" must be BPE'],
    [broken((json) => json.model.dropout = 0.1), '"model.dropout" is 0.1, which is not'],
    [
      broken((json) => json.model.continuing_subword_prefix = "##"),
      '"model.continuing_subword_prefix" is "##"',
    ],
    [
      broken((json) => json.pre_tokenizer = { type: "Nope" }),
      '"pre_tokenizer.type" "Nope" is a kind of pre-tokenizer not implemented here; token ids',
    ],
    [
      broken((json) =>
        json.normalizer = { type: "Sequence", normalizers: [{ type: "Precompiled" }] }
      ),
      '"normalizer.normalizers[0].type" "Precompiled" is a kind of normalizer not implemented',
    ],
    ...["(?>a|b)+", "a++b", "(?m)a.b", "(?i-m:a)"].map((Regex): [() => unknown, string] => [
      broken((json) =>
        json.pre_tokenizer = { type: "Split", pattern: { Regex }, behavior: "Isolated" }
      ),
      '"pre_tokenizer.pattern.Regex" uses "',
    ]),
    [
      broken((json) =>
        json.pre_tokenizer = { type: "Split", pattern: { String: "" }, behavior: "Isolated" }
      ),
      '"pre_tokenizer.pattern" must have a text',
    ],
    [
      broken((json) =>
        json.pre_tokenizer = { type: "Split", pattern: { String: " " }, behavior: "Kept" }
      ),
      '"pre_tokenizer.behavior" must be one of',
    ],
    [
      broken((json) =>
        json.pre_tokenizer = { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" }
      ),
      "cannot be used",
    ],
    [broken((json) => json.model.unk_token = "<nope>"), '"model.unk_token" is "<nope>"'],
    [broken((json) => json.decoder = []), '"decoder" must be an object or null'],
    [
      broken((json) => json.post_processor.single[0].SpecialToken.id = "<new>"),
      '"post_processor" adds "<new>"',
    ],
    [broken(keep, "{"), '"tiny/tokenizer_config.json": not valid JSON'],
    [broken(keep, "[]"), "expected a JSON object"],
    [broken(keep, "{}"), 'names no "eos_token"'],
    [broken(keep, '{"eos_token":"<end>"}'), '"eos_token" is "<end>", which is not a token'],
    [
      broken(keep, '{"eos_token":"</s>","chat_template":"{% if %}"}'),
      "Compiling the chat template",
    ],
  ];
  for (const [load, message] of cases) assertThrows(load, DataError, message, message);
});

Deno.test("encode() of one letter takes time in proportion to the text, not to its square", () => {
  const tokenizer = tinyTokenizer({ merges: [["a", "a"], ["aa", "aa"], ["aaaa", "aaaa"]] });
  const seconds = (count: number) => {
    const start = performance.now();
    assertEquals(tokenizer.encode("a".repeat(count)).length, 1 + count / 8);
    return performance.now() - start;
  };
  seconds(8000);
  const small = Math.min(seconds(8000), seconds(8000));
  // 100,000 letters: 12.5 times the text, 156 times its square.
  assert(seconds(100_000) < 80 * small);
});

Deno.test("loadTokenizer() fails only with a DataError, whatever is in the file", () => {
  const files = tinyTokenizerFiles({ merges: [["h", "i"]] });
  const json = JSON.parse(files.tokenizer);
  json.model.vocab = { "<unk>": 0, "<s>": 1, "</s>": 2, h: 3, i: 4, hi: 5, a: 6 };
  const short = JSON.stringify(json);
  const tokens = short.match(/"[^"]*"|[\d.]+|true|false|null|[[\]{}:,]/g)!;
  assertEquals(tokens.join(""), short);
  const values = ["null", "0", "-1", '""', '"x"', "[]", "{}", "1e9", "true", '"(["', '"<s>"'];
  let accepted = 0;
  const change = fc.tuple(fc.nat(tokens.length - 1), fc.constantFrom(...values, ""));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const mutated = [...tokens];
      for (const [at, value] of changes) {
        // Punctuation is kept mostly, so that many mutants are still JSON.
        if (!/^[[\]{}:,]$/.test(mutated[at]) || at % 7 === 0) mutated[at] = value;
      }
      try {
        const tokenizer = loadTokenizer({ ...files, tokenizer: mutated.join("") });
        for (const text of ["hi a", "", "<s>hi", "\u{1f600}"]) {
          tokenizer.decode(tokenizer.encode(text));
        }
        accepted++;
      } catch (error) {
        assert(
          error instanceof DataError,
          `${error}\n${(error as Error).stack}\n${mutated.join("")}`,
        );
        assert(error.message.includes("tiny"), error.message);
      }
    }),
    { seed: 3, numRuns: 3000 },
  );
  assert(accepted > 300, `only ${accepted} mutants were accepted: the test has lost its bite`);
});
