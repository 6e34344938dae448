/**
 * Ids against the Rust library's (make_tokenizers.py), for tokenizers of the kinds that models have:
 * equal on every one of 1,000 texts.
 */
import { assertEquals } from "@std/assert";
import { loadTokenizer } from "../../../data/tokenizer.ts";
import goldens from "./ids.json" with { type: "json" };
import { fnv, parityText } from "./texts.ts";
import gemma from "./tokenizers/gemma.json" with { type: "json" };
import gpt2 from "./tokenizers/gpt2.json" with { type: "json" };
import llama3 from "./tokenizers/llama3.json" with { type: "json" };
import pythia from "./tokenizers/pythia.json" with { type: "json" };
import qwen from "./tokenizers/qwen.json" with { type: "json" };
import variants from "./variants.json" with { type: "json" };

const TEXTS = 1000;
const kinds: Record<string, object> = { gpt2, llama3, qwen, gemma, pythia };

interface Golden {
  /** What the post-processor puts in front. */
  readonly front: readonly number[];
  /** Eight hexadecimal digits a text. */
  readonly hashes: string;
  /** The ids of the first texts. */
  readonly shown: readonly (readonly number[])[];
}

interface Variant {
  readonly base: string;
  readonly set: Readonly<Record<string, unknown>>;
}

/** A kind with some keys changed; keys are dotted. */
function vary({ base, set }: Variant): object {
  const tree = structuredClone(kinds[base]) as Record<string, unknown>;
  for (const [key, value] of Object.entries(set)) {
    const path = key.split(".");
    const last = path.pop()!;
    const at = path.reduce((node, part) => node[part] as Record<string, unknown>, tree);
    at[last] = value;
  }
  return tree;
}

function loadKind(name: string, tree: object) {
  const added = (tree as { added_tokens: { content: string }[] }).added_tokens;
  return loadTokenizer({
    name,
    tokenizer: JSON.stringify(tree),
    config: JSON.stringify({ eos_token: added[0].content }),
  });
}

const trees: [string, object][] = [
  ...Object.entries(kinds),
  ...Object.entries(variants as Record<string, Variant>).map(
    ([name, variant]): [string, object] => [name, vary(variant)],
  ),
];

Deno.test("parity texts: the generator is the one the goldens were made with", () => {
  assertEquals(parityText(3).length > 0, true);
  assertEquals(Object.keys(goldens).sort(), trees.map(([name]) => name).sort());
});

for (const [name, tree] of trees) {
  const golden = (goldens as Record<string, Golden>)[name];
  Deno.test(`tokenizer parity, ${name}: ids of ${TEXTS} texts are the Rust library's`, () => {
    const tokenizer = loadKind(name, tree);
    const unlike: number[] = [];
    for (let index = 0; index < TEXTS; index++) {
      const text = parityText(index);
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      if (golden.shown[index]) assertEquals([...ids], golden.shown[index], JSON.stringify(text));
      const hash = golden.hashes.slice(8 * index, 8 * index + 8);
      if (fnv(ids).toString(16).padStart(8, "0") !== hash) unlike.push(index);
    }
    assertEquals(unlike, []);
    assertEquals(golden.hashes.length, 8 * TEXTS);
    assertEquals([...tokenizer.encode("")], golden.front);
  });
}
