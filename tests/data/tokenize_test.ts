import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type Encoder,
  type TokenizedExample,
  tokenizeExample,
  type TokenLimits,
} from "../../data/tokenize.ts";
import { BOS, characterIds, EOS, tinyTokenizer } from "./tiny_tokenizer.ts";

/** Whole sequences and the place of their first scored token. */
function sequences({ prompt, answers }: TokenizedExample): { ids: number[]; scored: number }[] {
  return answers.map(({ ids, scoredFrom }) => ({
    ids: [...prompt, ...ids],
    scored: prompt.length + scoredFrom,
  }));
}

function tokenize(
  encoder: Encoder,
  prompt: string,
  answers: string[],
  limits?: TokenLimits,
) {
  const result = tokenizeExample({ row: 5, prompt, answers }, encoder, limits);
  if ("drop" in result) return result.drop;
  assertEquals(result.example.row, 5);
  return sequences(result.example);
}

/** Words as tokens, with the ids that GPT-2 gives them. */
const words: Encoder = {
  eosId: 2,
  encode(text) {
    const table: Record<string, number> = {
      The: 464,
      " sky": 6766,
      " is": 318,
      " blue": 4171,
      " green": 4077,
    };
    return Uint32Array.from(text.match(/ ?\w+/g) ?? [], (word) => table[word]);
  },
};

// Facts from TRL `tests/test_dpo_trainer.py` before 2026-02, test_tokenize_row_*.
Deno.test("tokenizeExample() gives the ids of TRL's tokenize_row, with and without truncation", () => {
  const answers = [" blue", " green"];
  assertEquals(tokenize(words, "The sky is", answers), [
    { ids: [464, 6766, 318, 4171, 2], scored: 3 },
    { ids: [464, 6766, 318, 4077, 2], scored: 3 },
  ]);
  const limits = { maxPromptLength: 2, maxCompletionLength: 1 };
  assertEquals(tokenize(words, "The sky is", answers, limits), [
    { ids: [6766, 318, 4171], scored: 2 },
    { ids: [6766, 318, 4077], scored: 2 },
  ]);
});

// The case of TRL's test_fully_truncated_completion_examples_dropped.
Deno.test("tokenizeExample() drops a row whose prompt alone fills max_length with keep_start", () => {
  const tokenizer = tinyTokenizer({ bos: false });
  const keepStart = { maxLength: 6, truncationMode: "keep_start" } as const;
  const long = "This is a very long prompt";
  assertEquals(
    tokenize(tokenizer, long, [" yes", " no"], keepStart),
    "no answer token left after truncation",
  );
  assertEquals(tokenize(tokenizer, "Hi", [" you!", " no"], keepStart), [
    { ids: characterIds("Hi you"), scored: 2 },
    { ids: [...characterIds("Hi no"), EOS], scored: 2 },
  ]);
  assertEquals(tokenize(tokenizer, long, [" yes", " no"], { maxLength: 6 }), [
    { ids: [...characterIds("t yes"), EOS], scored: 1 },
    { ids: [...characterIds("pt no"), EOS], scored: 2 },
  ]);
});

Deno.test("tokenizeExample() counts a token across the boundary to the answer", () => {
  const tokenizer = tinyTokenizer({ merges: [["i", "s"], ["is", "l"]] });
  const isl = 100, is = 99;
  assertEquals(tokenize(tokenizer, "this is", ["land", " it"]), [
    // "isl" is one token: it is scored, and with it the end of the prompt.
    { ids: [BOS, ...characterIds("th"), is, 4, isl, ...characterIds("and"), EOS], scored: 5 },
    { ids: [BOS, ...characterIds("th"), is, 4, is, ...characterIds(" it"), EOS], scored: 6 },
  ]);
  const result = tokenizeExample(
    { row: 0, prompt: "this is", answers: ["land", " it"] },
    tokenizer,
  );
  assert("example" in result);
  // What is shared ends before the first scored token of any answer.
  assertEquals([...result.example.prompt], [BOS, ...characterIds("th"), is, 4]);
  assertEquals(result.example.answers.map(({ scoredFrom }) => scoredFrom), [0, 1]);
});

Deno.test("tokenizeExample() shares the prompt only, also of answers that begin alike", () => {
  const result = tokenizeExample(
    { row: 0, prompt: "ab", answers: ["cde", "cdf"] },
    tinyTokenizer(),
  );
  assert("example" in result);
  assertEquals([...result.example.prompt], [BOS, ...characterIds("ab")]);
  assertEquals(result.example.answers.map(({ scoredFrom }) => scoredFrom), [0, 0]);
  assertEquals([...result.example.answers[0].ids], [...characterIds("cde"), EOS]);
});

Deno.test("tokenizeExample() ends each answer with EOS once and begins with BOS once", () => {
  const tokenizer = tinyTokenizer();
  const expected = [{ ids: [BOS, ...characterIds("ab"), EOS], scored: 2 }];
  assertEquals(tokenize(tokenizer, "a", ["b"]), expected);
  assertEquals(tokenize(tokenizer, "<s>a", ["b</s>"]), expected);
});

Deno.test("tokenizeExample() cuts prompt, answer and whole in this order", () => {
  const tokenizer = tinyTokenizer();
  const cut = (limits: TokenLimits) => tokenize(tokenizer, "abcdef", ["uvwxyz"], limits);
  const one = (text: string, scored: number, end: number[] = []) => [
    { ids: [...characterIds(text), ...end], scored },
  ];
  assertEquals(cut({ maxPromptLength: 4 }), one("cdefuvwxyz", 4, [EOS]));
  assertEquals(cut({ maxPromptLength: 7 }), [
    { ids: [BOS, ...characterIds("abcdefuvwxyz"), EOS], scored: 7 },
  ]);
  assertEquals(cut({ maxPromptLength: 3, maxCompletionLength: 2 }), one("defuv", 3));
  assertEquals(cut({ maxPromptLength: 3, maxCompletionLength: 7 }), one("defuvwxyz", 3, [EOS]));
  // max_length 8 after prompt 6 and answer 4.
  const both = { maxPromptLength: 6, maxCompletionLength: 4, maxLength: 8 };
  assertEquals(cut(both), one("cdefuvwx", 4));
  assertEquals(cut({ ...both, truncationMode: "keep_start" }), one("abcdefuv", 6));
});

Deno.test("tokenizeExample() never scores the first token of a sequence", () => {
  const tokenizer = tinyTokenizer({ bos: false });
  // Only answer tokens are left: the first of them is context.
  assertEquals(tokenize(tokenizer, "abc", ["uvwxyz"], { maxLength: 4 }), [
    { ids: [...characterIds("xyz"), EOS], scored: 1 },
  ]);
  assertEquals(tokenize(tokenizer, "", ["uv"]), [{ ids: [...characterIds("uv"), EOS], scored: 1 }]);
  const dropped = "no answer token left after truncation";
  assertEquals(tokenize(tokenizer, "abc", ["uv"], { maxLength: 1 }), dropped);
  assertEquals(tokenize(tokenizer, "abc", ["uv"], { maxCompletionLength: 0 }), dropped);
  // One answer lost loses the pair.
  const keepStart = { maxLength: 4, truncationMode: "keep_start" } as const;
  assertEquals(tokenize(tokenizer, "abcd", ["u", "v"], keepStart), dropped);
});

Deno.test("tokenizeExample() drops what is longer than the model's context after the cuts", () => {
  const tokenizer = tinyTokenizer();
  const long = "longer than the model's context";
  assertEquals(tokenize(tokenizer, "ab", ["c", "cdef"], { contextLength: 7 }), long);
  assert(Array.isArray(tokenize(tokenizer, "ab", ["c", "cdef"], { contextLength: 8 })));
  assert(
    Array.isArray(tokenize(tokenizer, "ab", ["c", "cdef"], { contextLength: 7, maxLength: 7 })),
  );
});

Deno.test("tokenizeExample() keeps its promises for any texts, merges and limits", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", " "), maxLength: 12 });
  const answer = fc.string({ unit: fc.constantFrom("a", "b", " "), minLength: 1, maxLength: 12 });
  const limit = fc.option(fc.integer({ min: 1, max: 14 }), { nil: undefined });
  const tokenizers = [
    tinyTokenizer(),
    tinyTokenizer({ bos: false, merges: [["a", "b"], [" ", "ab"], ["b", "b"], ["ab", "a"]] }),
  ];
  const limits = fc.record({
    maxPromptLength: limit,
    maxCompletionLength: limit,
    maxLength: limit,
    truncationMode: fc.constantFrom("keep_end" as const, "keep_start" as const),
  });
  fc.assert(
    fc.property(
      letters,
      fc.array(answer, { minLength: 1, maxLength: 3 }),
      limits,
      fc.constantFrom(...tokenizers),
      (prompt, answers, limits, tokenizer) => {
        const result = tokenizeExample({ row: 1, prompt, answers }, tokenizer, limits);
        if ("drop" in result) return;
        const { maxPromptLength = 99, maxCompletionLength = 99, maxLength = 99 } = limits;
        assertEquals(result.example.answers.length, answers.length);
        sequences(result.example).forEach(({ ids, scored }, a) => {
          assert(scored >= 1 && scored < ids.length);
          assert(ids.length <= maxLength);
          assert(ids.length - scored <= maxCompletionLength);
          const whole = [...tokenizer.encode(prompt + answers[a]), EOS];
          assert(`,${whole},`.includes(`,${ids},`), "a sequence is a part of the uncut one");
          if (!result.truncated) {
            // The answer begins at the first token in which the prompt alone differs.
            const own = tokenizer.encode(prompt);
            const differs = whole.findIndex((id, i) => id !== own[i]);
            assertEquals(scored, Math.max(1, differs));
            assertEquals(ids, whole);
          }
          if (maxLength === 99) assert(scored <= Math.max(1, maxPromptLength));
        });
      },
    ),
    { seed: 4, numRuns: 2000 },
  );
});
