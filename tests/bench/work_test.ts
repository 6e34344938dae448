/** The operations that shares are made of, against counts by hand and from the packed masks. */
import { assertEquals } from "@std/assert";
import { randomExamples, SMOL, STEPS } from "../../bench/cases.ts";
import { layerWeights, sizesOf, stepOperations } from "../../bench/work.ts";
import { parseArchitecture } from "../../model/parse_architecture.ts";
import { parameterList } from "../../model/param_table.ts";
import { packExamples } from "../../model/pack.ts";

const ROWS = [[5, 3, 7], [0, 4, 2], [9, 1, 1]] as const;

for (const sharePrompt of [true, false]) {
  Deno.test(`sizes are those of the pack, ${sharePrompt ? "one prompt" : "a prompt each"}`, () => {
    // A first token is scored from its prompt, so the row without one scores from its second on.
    const examples = randomExamples(ROWS, 50).map((example) => ({
      ...example,
      answers: example.answers.map((a) => ({ ...a, scoredFrom: example.prompt.length ? 0 : 1 })),
    }));
    const pack = packExamples(examples, sharePrompt);
    let pairs = 0;
    for (let t = 0; t < pack.tokens; t++) {
      const [prefixBegin, prefixEnd, ownBegin] = pack.mask.subarray(t * 4, t * 4 + 3);
      pairs += prefixEnd - prefixBegin + t - ownBegin + 1;
    }
    assertEquals(sizesOf(examples, sharePrompt), {
      tokens: 2 * 5 + 10 + 6 + 2 * 9 + 2,
      run: pack.tokens,
      scored: pack.scored,
      pairs,
    });
  });
}

Deno.test("a step's operations, by hand", () => {
  const config = parseArchitecture(
    JSON.stringify({
      ...SMOL,
      hidden_size: 8,
      intermediate_size: 12,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      vocab_size: 20,
    }),
    "tiny",
  );
  // q and o 8 x 8, k and v 8 x 4, three of 8 x 12.
  assertEquals(layerWeights(config), 64 + 64 + 32 + 32 + 3 * 96);
  const sizes = { tokens: 13, run: 10, scored: 6, pairs: 33 };
  // Forward 2, backward 4 for each weight and token; scores and values: 2 products, each 2 + 4.
  const products = 6 * (10 * 480 * 2 + 6 * 8 * 20);
  const attention = 2 * (2 + 4) * 33 * 2 * 4 * 2;
  assertEquals(stepOperations(config, sizes), products + attention);
});

Deno.test("the SFT step of 128 tokens counts 6 operations a parameter and token, and attention's", () => {
  const test = STEPS.find(({ model, kind }) => model === "SmolLM2-135M" && kind === "sft")!;
  const config = parseArchitecture(JSON.stringify(test.config), test.model);
  const sizes = sizesOf(randomExamples(test.rows, config.vocabSize), true);
  assertEquals(sizes, { tokens: 128, run: 128, scored: 127, pairs: 128 * 129 / 2 });
  // 106,168,320 weights in the layers' products, 28,311,552 in the head's.
  const products = 6 * (128 * 106_168_320 + 127 * 28_311_552);
  assertEquals(stepOperations(config, sizes), products + 12 * 8256 * 576 * 30);
});

Deno.test("the shapes are those of the models they are named after", () => {
  const counts = new Map(STEPS.map(({ model, config }) => {
    const parameters = parameterList(parseArchitecture(JSON.stringify(config), model));
    const count = parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    return [model, count];
  }));
  assertEquals(Object.fromEntries(counts), {
    "stories260K": 260_032,
    "SmolLM2-135M": 134_515_008,
    "Qwen2.5-0.5B": 494_032_768,
  });
});
